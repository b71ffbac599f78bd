"""An exported encoder's file: what it says of itself, and whether it is whole. No onnx package.

The file is an ONNX model with everything inside. Behind the model stand our own entries of its
metadata, the last of them the hash of all bytes before it: protocol buffers are read in any order,
so to every other program it is a model like others.

Source: onnx.proto3 of the ONNX specification (Apache-2.0), for the fields' numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.embedder.encoders import RECORD
from nearfar.embedder.tensorfile import unreadable
from nearfar.errors import WeightsError

MODEL = "encoder.onnx"
FACTS, DIGEST = "nearfar-encoder", "nearfar-sha256"
FORMAT = 1  # of the facts; a newer one may say what this nearfar must not ignore
OPSET, IR = 17, 8  # what is written: every onnxruntime since 1.12 reads them
OPSETS = range(17, 18)  # of which the graphs are known to be read alike
KNOWN = ("kind", "dim", "grid_dim", "longest", "precision", "source")
AGAIN = "export it again with this nearfar"

Field = tuple[int, int, memoryview]  # number, value of a whole number, bytes of anything else
# Of each message the fields that hold others; what they hold themselves is looked through for data
# that lie outside the file.
_WITHIN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # fmt: skip
_EXTERNAL = 13  # of a tensor: where its data lie outside


@dataclass(frozen=True)
class ModelFile:
    """An exported encoder that has been looked at.

    Args:
        path: the file.
        facts: what the export wrote: kind, frames, dim, grid_dim, longest, precision, source …
        metadata: all texts in the file, by name.
        sha256: of all bytes before it, as the file states it: loading compares.

    >>> ModelFile(Path("encoder.onnx"), {"kind": "eat", "dim": 768}, {}, "ab").facts["dim"]
    768
    """

    path: Path
    facts: Mapping[str, Any]
    metadata: Mapping[str, str] = field(repr=False)
    sha256: str


def open_model(reference: str | os.PathLike[str]) -> ModelFile:
    """Find an exported encoder and check all of it but what its numbers give.

    Args:
        reference: the folder it was written to, or the file.

    Raises:
        WeightsError: not there, not whole, no export of ours, of a newer format, or of an opset
            that is not read here.
    """
    text = os.fspath(reference)
    path = Path(os.path.expanduser(text)) if "\0" not in text else None
    if path is not None and path.is_dir():
        path = path / MODEL
    if path is None or not path.is_file():
        raise WeightsError(
            f"{text!r}: no exported encoder there; give the folder with {MODEL} that an export made"
        )
    try:
        state = path.stat()
    except OSError as error:
        raise unreadable(path, error) from None
    return _opened(path.absolute(), (state.st_ino, state.st_size, state.st_mtime_ns))


def read_whole(file: ModelFile) -> bytes:
    """The bytes of the file, those that its hash was compared with.

    Raises:
        WeightsError: they changed, or cannot be read.
    """
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise unreadable(file.path, error) from None
    if _looked_at(file.path, memoryview(data)).sha256 != file.sha256:
        raise WeightsError(f"{file.path}: was written anew meanwhile; start again")
    return data


def signed(model: bytes, facts: Mapping[str, Any], record: str | None) -> bytes:
    """A model as a file of ours: what it is, and its hash, behind it.

    Args:
        model: an ONNX model, serialized, without metadata.
        facts: see `ModelFile`.
        record: how the encoder was trained, for `nearfar.embedder.record`.
    """
    said = json.dumps({"format": FORMAT, **facts}, ensure_ascii=False)
    data = model + _entry(FACTS, said) + (b"" if record is None else _entry(RECORD, record))
    return data + _entry(DIGEST, hashlib.sha256(data).hexdigest())


def fields(data: memoryview) -> Iterator[Field]:
    r"""The fields of a message, one after another.

    Raises:
        ValueError: the bytes are none.

    >>> [(n, value, bytes(data)) for n, value, data in fields(memoryview(b"\x08\x07\x12\x01a"))]
    [(1, 7, b''), (2, 0, b'a')]
    """
    at, nothing = 0, memoryview(b"")
    while at < len(data):
        tag, at = _number(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _number(data, at)
            yield number, value, nothing
            continue
        length = {1: 8, 5: 4}.get(kind)
        if length is None:
            if kind != 2:
                raise ValueError(f"a field of kind {kind}")
            length, at = _number(data, at)
        if at + length > len(data):
            raise ValueError("it ends in the middle of a field")
        yield number, 0, data[at : at + length]
        at += length


@lru_cache(maxsize=32)  # asked for each batch of clips: a file is read once for each stamp
def _opened(path: Path, _stamp: tuple[int, ...]) -> ModelFile:
    try:
        # Mapped, not read: to be looked at, a file needs no memory of its size.
        mapped: Any = np.memmap(path, np.uint8, "r")
    except ValueError:
        raise WeightsError(f"{path}: is empty; copy it again, or {AGAIN}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    return _looked_at(path, memoryview(mapped))


def _looked_at(path: Path, data: memoryview) -> ModelFile:
    try:
        ir, opset, metadata, end = _top(data)
        outside = _has_outside(data, "model")
    except (ValueError, RecursionError):
        raise WeightsError(
            f"{path}: is damaged, or no ONNX model; copy it again, or {AGAIN}"
        ) from None
    if FACTS not in metadata or DIGEST not in metadata:
        raise WeightsError(
            f"{path}: does not say what it was made of, so it is no encoder that nearfar exported; "
            f"give the {MODEL} of an export"
        )
    stated = metadata[DIGEST]
    if hashlib.sha256(data[:end]).hexdigest() != stated:
        raise WeightsError(
            f"{path}: a byte of it changed since it was exported; copy it again, or {AGAIN}"
        )
    if outside:
        raise WeightsError(
            f"{path}: keeps numbers in other files, which is not read; {AGAIN}, which puts all of "
            "them into one"
        )
    if ir > IR or opset not in OPSETS:
        raise WeightsError(
            f"{path}: has opset {opset} and IR version {ir}, this nearfar reads opset {OPSET} and "
            f"IR version {IR}; {AGAIN}"
        )
    return ModelFile(path, _facts(path, metadata[FACTS]), metadata, stated)


def _facts(path: Path, text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
        version = facts["format"]
        if version > FORMAT:
            raise WeightsError(
                f"{path}: was exported by a newer nearfar (format {version}, this one reads "
                f"{FORMAT}); upgrade nearfar"
            )
        missing = next((name for name in KNOWN if name not in facts), None)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: what it says of itself is damaged; {AGAIN}") from None
    if missing is not None:
        raise WeightsError(f"{path}: does not say its {missing}; {AGAIN}")
    return dict(facts)


def _top(data: memoryview) -> tuple[int, int, dict[str, str], int]:
    """IR version, opset of the standard operators, metadata, and where the last entry begins."""
    ir, opset, graphs, at = 0, 0, 0, 0
    metadata: dict[str, str] = {}
    for number, value, inside in fields(data):
        if number == 1:
            ir = value
        elif number == 7:
            graphs += 1
        elif number == 8:
            domain, version = _opset(inside)
            opset = opset if domain else version
        elif number == 14:
            key, text = _pair(inside)
            metadata[key] = text
            at = len(_entry(key, text))
    if not graphs:
        raise ValueError("no graph")
    # The hash is the last: an entry behind it would be no part of what it says.
    return ir, opset, metadata, len(data) - at


def _opset(data: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value, inside in fields(data):
        if number == 1:
            domain = bytes(inside).decode()
        elif number == 2:
            version = value
    return domain.removeprefix("ai.onnx"), version


def _pair(data: memoryview) -> tuple[str, str]:
    found = {number: bytes(inside).decode() for number, _, inside in fields(data)}
    return found.get(1, ""), found.get(2, "")


def _has_outside(data: memoryview, kind: str) -> bool:
    within = _WITHIN[kind]
    for number, _, inside in fields(data):
        if kind == "tensor" and number == _EXTERNAL:
            return True
        if number in within and _has_outside(inside, within[number]):
            return True
    return False


def _number(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number without an end")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _entry(key: str, text: str) -> bytes:
    """One entry of a model's metadata, field 14."""
    pair = _text(1, key) + _text(2, text)
    return _size(14 << 3 | 2) + _size(len(pair)) + pair


def _text(number: int, text: str) -> bytes:
    data = text.encode()
    return _size(number << 3 | 2) + _size(len(data)) + data


def _size(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
