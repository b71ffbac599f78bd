"""The header of a safetensors file, checked against the file's size before anything is loaded.

A file is 8 bytes of length, that much JSON (names, dtypes, shapes, places), then the numbers of one
tensor behind the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from nearfar.embedder.eat.architecture import Shape
from nearfar.errors import WeightsError

LARGEST = 100_000_000  # bytes of a header, as in the reference implementation of the format
BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header: where its bytes are, counted from the header's end."""

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
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    length: int


def header(path: Path) -> Header:
    """Read and check the header of a safetensors file; nothing else is read.

    Raises:
        WeightsError: unreadable, empty, truncated, or no safetensors.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise WeightsError(f"{path}: is no file; give the safetensors file or its folder")
        with path.open("rb") as file:
            length = _check_start(path, file.read(9), size)
            file.seek(8)
            content = file.read(length)
    except OSError as error:
        raise unreadable(path, error) from None
    fields = _parse(path, content)
    metadata = fields.pop("__metadata__", {})
    if not _is_text(metadata):
        raise _damaged(path, "its metadata are not text")
    tensors = {name: _tensor(path, name, entry) for name, entry in fields.items()}
    _check_extent(path, tensors, size - 8 - length)
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
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _check_start(path: Path, first: bytes, size: int) -> int:
    """The length of the JSON, if the first 9 bytes are those of a safetensors file."""
    if size == 0:
        raise _damaged(path, "it is empty")
    if first.startswith(b"version "):
        raise _damaged(path, "it is a git-LFS pointer, not the file itself")
    if len(first) < 9:
        raise _damaged(path, f"it ends after {size} bytes")
    length = int.from_bytes(first[:8], "little")
    # A length may begin with the bytes of a pickle or a zip, the JSON only with a brace.
    if first[8:] != b"{" and first.startswith((b"PK\x03\x04", b"\x80")):
        raise WeightsError(
            f"{path}: is a pickle by its content, whatever its name says; it was not loaded. Take "
            "the published safetensors, or try nearfar weights convert on it"
        )
    if first[8:] != b"{" or not 2 <= length <= LARGEST:
        raise _damaged(path, f"no safetensors: it would begin with a header of {length} bytes")
    if size < 8 + length:
        raise _damaged(path, f"truncated: {size} bytes, its header alone has {8 + length}")
    return length


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError):  # what is no UTF-8 is a ValueError too
        raise _damaged(path, "no safetensors: its header is no JSON") from None
    if not isinstance(fields, dict):
        raise _damaged(path, "no safetensors: its header is no JSON object")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name given twice would mean one thing to us and another to who loads it."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice")
    return fields


def _is_text(metadata: object) -> bool:
    return isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())


def _tensor(path: Path, name: str, entry: object) -> Tensor:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not (isinstance(dtype, str) and _is_sizes(shape) and _is_sizes(offsets)):
        raise _damaged(path, f"the header's entry for {name!r} is not a tensor's")
    if len(offsets) != 2:
        raise _damaged(path, f"the header's entry for {name!r} needs 2 offsets, has {offsets}")
    tensor = Tensor(dtype, tuple(shape), *offsets)
    # A dtype of a later version of the format is named by `_refuse_dtypes`; its size is not known.
    each = BYTES.get(dtype)
    if each is not None and tensor.stop - tensor.start != math.prod(tensor.shape) * each:
        raise _damaged(
            path,
            f"tensor {name!r} of shape {tensor.shape} in {dtype} has {tensor.stop - tensor.start} "
            "bytes",
        )
    return tensor


def _is_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**53 for n in value)


def _check_extent(path: Path, tensors: Mapping[str, Tensor], have: int) -> None:
    """Tensors lie one behind the other, from the header to the end of the file."""
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda t: (t[1].start, t[1].stop)):
        if tensor.start != end:
            raise _damaged(path, f"tensor {name!r} begins at byte {tensor.start}, need {end}")
        end = tensor.stop
    if have < end:
        raise _damaged(path, f"truncated: {end - have} of {end} bytes of its tensors are missing")
    if have > end:
        raise _damaged(path, f"{have - end} bytes follow the last tensor")


def _damaged(path: Path, what: str) -> WeightsError:
    return WeightsError(f"{path}: {what}; download it again, and compare its size")


def unreadable(path: Path, error: OSError) -> WeightsError:
    """What the file system says, as one line of ours."""
    return WeightsError(f"{path}: cannot be read ({error.strerror or error})")
