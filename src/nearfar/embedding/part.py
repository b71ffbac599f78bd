"""A part: what one shard's clips gave, and all that the command was asked, in one file.

A safetensors file, written whole or not at all. Its only metadata are a head in JSON, with the hash
of itself and of all that follows; behind it lie the shard's clips, a line of JSON each, and a piece
for each clip (`heard_file`). Read, it stays on disk but for its names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.embedding.heard_file import NAME, clip_in, header_of, text_of
from nearfar.errors import FormatError, SettingError, StorageError
from nearfar.files import atomic_file, check_output, storage_errors
from nearfar.runtime.shards import Deferred, Shard
from nearfar.runtime.urls import url_of
from nearfar.runtime.workers import Told
from nearfar.version import __version__

FORMAT = 1  # raised whenever an older nearfar could not read a part, or would misread it
KEY = "nearfar_part"  # of the metadata, and what tells a part
COMMANDS = ("fit", "score")
_AGAIN = "run its shard again"
_LONGEST = 1 << 26  # bytes of a header: what is asked, and warnings


@dataclass(frozen=True)
class Question:
    """What a command was asked that changes its result, and its clips.

    >>> len(Question("fit", {"skip_bad": False}, [Clip(Path("a.wav"))]).digest)
    64
    """

    command: str  # "fit" or "score"
    settings: Mapping[str, Any]  # plain data
    clips: Sequence[Clip]  # of all shards

    @cached_property
    def digest(self) -> str:
        """sha256 of the list of clips, hexadecimal."""
        return digest_of_clips(self.clips)


def digest_of_clips(clips: Sequence[Clip]) -> str:
    """What says whether two lists of clips are one."""
    found = hashlib.sha256()
    for clip in clips:
        found.update(text_of(clip).encode() + b"\n")
    return found.hexdigest()


@dataclass(frozen=True, eq=False)
class ShardPart:
    """A part as it was read, which is whole.

    >>> ShardPart(Path("3"), {"shard": [3, 16]}, (), {}).shard
    Shard(number=3, of=16)
    """

    path: Path
    head: Mapping[str, Any]
    clips: tuple[Clip, ...]  # the shard's own, in their order
    pieces: Mapping[bytes, bytes]

    @property
    def shard(self) -> Shard:
        """Which it is."""
        return Shard(*self.head["shard"])

    @property
    def told(self) -> list[Told]:
        """Warnings of its jobs."""
        return [(str(text), str(about)) for text, about in self.head["told"]]


class _OnDisk(Mapping[bytes, bytes]):
    """Pieces by their names, read when they are asked for."""

    def __init__(
        self, names: NDArray[np.uint8], ends: NDArray[np.int64], pieces: NDArray[np.uint8]
    ) -> None:
        self._places = {bytes(name): place for place, name in enumerate(names)}
        self._ends, self._pieces = ends, pieces

    def __getitem__(self, name: bytes) -> bytes:
        place = self._places[name]
        return bytes(self._pieces[self._ends[place - 1] if place else 0 : self._ends[place]])

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def check_place(path: Path, shard: Shard, inputs: Sequence[Path | str], replace: bool) -> None:
    """Refuse a place that no part can be written to, before any clip is heard.

    Raises:
        StorageError: a URL, a folder, an input, or a file that is no part of this shard.
    """
    if (url := url_of(path)) is not None:  # else it would be a file here, below "s3:"
        raise StorageError(f"{url}: parts are written to this machine; name a file of it")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    check_output(
        path, endings=(path.suffix.lower(),), inputs=inputs, replace=replace,
        ours=lambda there: _is_of(there, shard),
    )  # fmt: skip


def _is_of(path: Path, shard: Shard) -> bool:
    try:
        return bool(_head(path, np.memmap(path, np.uint8, "r"))["shard"] == [*_pair(shard)])
    except (FormatError, OSError, ValueError):
        return False


def _pair(shard: Shard) -> tuple[int, int]:
    return shard.number, shard.of


def write_part(path: Path, shard: Shard, asked: Question, end: Deferred) -> None:
    """Write what a shard gave, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    from safetensors.numpy import save

    lines = "".join(text_of(clip) + "\n" for clip in asked.clips[shard.mine]).encode()
    names = b"".join(end.pieces)
    tensors: dict[str, NDArray[Any]] = {
        "clips": np.frombuffer(lines, np.uint8),
        "names": np.frombuffer(names, np.uint8).reshape(-1, NAME),
        "ends": np.cumsum([len(piece) for piece in end.pieces.values()], dtype=np.int64),
        "pieces": np.frombuffer(b"".join(end.pieces.values()), np.uint8),
    }
    head = {
        "format": FORMAT,
        "nearfar": __version__,
        "command": asked.command,
        "shard": _pair(shard),
        "clips": len(asked.clips),
        "digest": asked.digest,
        "asked": asked.settings,
        "told": end.told,
    }
    head["sha256"] = _hash(head, tensors)
    with atomic_file(path) as file:
        file.write(save(tensors, metadata={KEY: json.dumps(head)}))


def _hash(head: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    rest = {name: value for name, value in head.items() if name != "sha256"}
    found = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in ("clips", "names", "ends", "pieces"):
        found.update(f"|{name} {tensors[name].size}|".encode())
        found.update(np.ascontiguousarray(tensors[name]).data)
    return found.hexdigest()


def read_part(path: Path) -> ShardPart:
    """Read what `write_part` wrote, all of it checked.

    Raises:
        FormatError: no part, damaged, or of another format.
    """
    try:
        content = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise _no_part(path, error) from None
    head = _head(path, content)
    try:
        tensors = _tensors(content)
        whole = head["sha256"] == _hash(head, tensors)
        if whole:
            own = tuple(clip_in(line) for line in bytes(tensors["clips"]).splitlines())
            places = range(int(head["clips"]))[Shard(*head["shard"]).mine]
            if len(own) == len(places) and _is_ours(head):
                pieces = _OnDisk(tensors["names"], tensors["ends"], tensors["pieces"])
                return ShardPart(path, head, own, pieces)
    except (LookupError, TypeError, ValueError, AttributeError, SettingError):
        pass
    raise FormatError(f"{path}: changed since it was written, or cut short; {_AGAIN}")


def _is_ours(head: Mapping[str, Any]) -> bool:
    return (
        head["command"] in COMMANDS
        and isinstance(head["asked"], dict)
        and all(len(one) == 2 for one in head["told"])
    )


def _no_part(path: Path, error: Exception) -> FormatError:
    told = (error.strerror if isinstance(error, OSError) else None) or "another file"
    if path.is_dir():
        return FormatError(f"{path}: no part (is a folder); name the files in it, as {path}/*")
    if not path.exists():
        told = "no such file"
    return FormatError(
        f"{path}: no part ({told}); name files that nearfar fit or nearfar score wrote as shards"
    )


def _head(path: Path, content: NDArray[np.uint8]) -> dict[str, Any]:
    """What a part says of itself, of the format that this nearfar reads."""
    size = int.from_bytes(bytes(content[:8]), "little")
    try:
        if not 0 < size <= min(_LONGEST, content.size):
            raise ValueError("no header")
        head = json.loads(header_of(bytes(content[: 8 + size]))["__metadata__"][KEY])
        kind = head["format"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _no_part(path, ValueError(str(error))) from None
    if kind != FORMAT:
        raise FormatError(
            f"{path}: a part of format {kind}, this nearfar {__version__} reads {FORMAT}; {_AGAIN} "
            "with this one"
        )
    return dict(head)


def _tensors(content: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    size = 8 + int.from_bytes(bytes(content[:8]), "little")
    header, found, end = header_of(bytes(content[:size])), {}, 0
    for name, kind, dtype in (
        ("clips", np.uint8, "U8"), ("names", np.uint8, "U8"), ("ends", np.int64, "I64"),
        ("pieces", np.uint8, "U8"),
    ):  # fmt: skip
        first, last = header[name]["data_offsets"]
        some = content[size + first : size + last]
        read = np.frombuffer(some.tobytes() if kind is np.int64 else some, kind)
        found[name] = read.reshape(-1, NAME) if name == "names" else read
        told = {"dtype": dtype, "shape": [*found[name].shape], "data_offsets": [first, last]}
        if some.size != last - first or header[name] != told:
            raise ValueError("cut short")
        end = max(end, size + last)
    # The hash is of what is read; here is all that is not.
    if end != content.size or len(header) != 1 + len(found) or len(header["__metadata__"]) != 1:
        raise ValueError("more than a part")
    return found
