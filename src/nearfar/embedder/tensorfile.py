"""The header of a safetensors file: read by the format's own package, which refuses damaged files.

A file is 8 bytes of length, that much JSON (names, dtypes, shapes, places), then the numbers of one
tensor behind the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from nearfar.errors import WeightsError

Shape = tuple[int, ...]

# Of one number; the names are the format's.
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header: where its bytes are, counted from the header's end.

    >>> entry = Tensor("F32", shape=(2, 3), start=0, stop=24)
    >>> entry.stop - entry.start == math.prod(entry.shape) * BYTES[entry.dtype]
    True
    """

    dtype: str
    shape: Shape
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself.

    Args:
        tensors: by name, in the order of the file.
        metadata: free text by name.
        length: bytes of the header, the 8 of its length among them.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "one.safetensors")
    ...     _ = file.write_bytes(header_bytes({"a": (2,)}, "F32", {"format": "pt"}) + bytes(8))
    ...     header(file).tensors
    {'a': Tensor(dtype='F32', shape=(2,), start=0, stop=8)}
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    length: int


def header(path: Path) -> Header:
    """Read the header of a safetensors file; of the rest no more than its size is looked at.

    Raises:
        WeightsError: unreadable, empty, truncated, or no safetensors.
    """
    try:
        if not path.is_file():
            raise WeightsError(f"{path}: is no file; give the safetensors file or its folder")
        with path.open("rb") as file:
            _refuse_others(path, file.read(9))
            # It knows every way in which header and size can disagree: overlaps, holes, overflows.
            with safe_open(path, framework="numpy"):
                pass
            # Read once more for the places of the tensors, which it does not tell.
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            fields = json.loads(file.read(length), object_pairs_hook=_unique)
    except OSError as error:
        raise unreadable(path, error) from None
    except WeightsError:
        raise
    except (SafetensorError, ValueError) as error:
        raise _damaged(path, f"no safetensors, or damaged ({_short(error)})") from None
    metadata = fields.pop("__metadata__", None) or {}  # the one entry that is no tensor
    tensors = {
        name: Tensor(entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
        for name, entry in fields.items()
    }
    return Header(tensors, metadata, 8 + length)


def header_bytes(shapes: Mapping[str, Shape], dtype: str, metadata: Mapping[str, str]) -> bytes:
    """The header that the reference implementation writes for tensors of one dtype.

    Tensors lie in the order of their names; spaces fill up to a multiple of 8 bytes.

    >>> header_bytes({"a": (2,)}, "F32", {})[8:].decode().rstrip()
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    """
    fields: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name in sorted(shapes):
        stop = start + math.prod(shapes[name]) * BYTES[dtype]
        entry = {"dtype": dtype, "shape": list(shapes[name]), "data_offsets": [start, stop]}
        fields[name] = entry
        start = stop
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # so that numbers mapped into memory are aligned
    return len(text).to_bytes(8, "little") + text


def _refuse_others(path: Path, first: bytes) -> None:
    """Say what a file is that people take for safetensors, by its first 9 bytes."""
    if first.startswith(b"version "):
        raise _damaged(path, "it is a git-LFS pointer, not the file itself")
    if first.startswith(b"\x89HDF"):
        raise WeightsError(
            f"{path}: is an HDF5 file; make safetensors of it: nearfar weights convert {path} OUT"
        )
    # A length may begin with the bytes of a pickle or a zip, the JSON only with a brace.
    if first[8:] != b"{" and first.startswith((b"PK\x03\x04", b"\x80")):
        raise WeightsError(
            f"{path}: is a pickle by its content, whatever its name says; it was not loaded. Take "
            "the published safetensors, or try nearfar weights convert on it"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name given twice would mean one thing to us and another to who loads it."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice")
    return fields


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).removeprefix("Error while deserializing header: ")[:160]


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path}: {what}; download it again, and compare its size")


def unreadable(path: Path, error: OSError) -> WeightsError:
    """What the file system says, as one line of ours."""
    return WeightsError(f"{path}: cannot be read ({error.strerror or error})")
