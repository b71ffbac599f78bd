"""What clips gave, as bytes that outlive a process: a note in JSON, rows as safetensors.

What is known of a sound comes back equal, its floats and rows to the bit. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nearfar import errors
from nearfar.clips.clip import Clip
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard
from nearfar.errors import FormatError, NearfarError
from nearfar.sound.audio import ChannelOrder
from nearfar.sound.lag import Lag
from nearfar.sound.look import Look
from nearfar.sound.recorded import Recorded

if TYPE_CHECKING:
    from nearfar.embedder.contract import Rows32

NAME = 16  # bytes of a clip's name among the pieces
_NOTE = "heard"  # the only key of a piece's metadata: safetensors writes several in any order


class _Listened(Protocol):
    """A job whose items are clips."""

    @property
    def clips(self) -> Sequence[Clip]: ...


@dataclass(frozen=True)
class HeardPieces:
    """The codec of what clips gave: a piece a clip, known by the clip and by all that hears it.

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Near
    >>> codec = HeardPieces((Chain(Near(), LogMel()),), "near-far", digest=True)
    >>> [found] = codec.result(codec.pieces([Heard((np.ones(2, np.float32),), 10.0, "9f86")]))
    >>> found.rows, found.digest
    ((array([1., 1.], dtype=float32),), '9f86')
    """

    chains: tuple[Chain, ...]
    order: ChannelOrder
    digest: bool

    @cached_property
    def _heard_by(self) -> str:
        # An encoder's key has its weights' hash: rows of others are never taken for its.
        return repr([self.order, self.digest, *(chain.key for chain in self.chains)])

    def names(self, job: _Listened) -> list[bytes]:
        """As `Codec.names`."""
        return [
            hashlib.sha256(f"{text_of(clip)}|{self._heard_by}".encode()).digest()[:NAME]
            for clip in job.clips
        ]

    def pieces(self, result: Sequence[Heard | NearfarError]) -> list[bytes]:
        """As `Codec.pieces`."""
        return [_piece(one) for one in result]

    def result(self, pieces: Sequence[bytes]) -> list[Heard | NearfarError]:
        """As `Codec.result`; raises FormatError for what `pieces` did not write."""
        return [_heard_in(piece) for piece in pieces]


def _piece(one: Heard | NearfarError) -> bytes:
    from safetensors.numpy import save

    if isinstance(one, NearfarError):
        note: Any = {"error": type(one).__name__, "text": str(one), "faults": one.faults}
        rows: dict[str, Rows32] = {}
    else:
        note = as_plain(one)
        rows = {str(place): np.ascontiguousarray(row) for place, row in enumerate(one.rows)}
    return save(rows, metadata={_NOTE: json.dumps(note)})


def _heard_in(piece: bytes) -> Heard | NearfarError:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        note = json.loads(header_of(piece)["__metadata__"][_NOTE])
        if "error" in note:
            return _error_in(note)
        rows = load(bytes(piece))
        about = from_plain(note)
        if about is None:
            raise FormatError("what a clip gave is not as nearfar writes it; run its shard again")
        return replace(about, rows=tuple(rows[str(place)] for place in range(len(rows))))
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError("what a clip gave is damaged; run its shard again") from None


def _error_in(note: Mapping[str, Any]) -> NearfarError:
    kind = getattr(errors, str(note["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, NearfarError)):
        kind = NearfarError
    found = kind(str(note["text"]))
    found.faults = tuple(map(str, note["faults"]))
    return found


def header_of(content: bytes | memoryview) -> dict[str, Any]:
    """The header of a safetensors file: its own length, 8 bytes, and JSON.

    Raises:
        ValueError: it has none.
    """
    size = int.from_bytes(content[:8], "little")
    found = json.loads(bytes(content[8 : 8 + size]))
    if not isinstance(found, dict):
        raise ValueError("no header")
    return found


def as_plain(about: Heard) -> Any:
    """What is known of a clip, but for its rows, as JSON can hold it.

    >>> from_plain(as_plain(Heard((), 10.0, "9f86"))).digest
    '9f86'
    """
    values = asdict(replace(about, rows=()))
    del values["rows"]
    return _python(values)


def _python(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    if isinstance(value, dict):
        return {name: _python(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_python(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value


def from_plain(values: Any) -> Heard | None:
    """What `as_plain` was given; None of anything else."""
    try:
        recorded, seen = values.pop("recorded"), values.pop("look")
        if seen is not None:
            lag = seen.pop("lag")
            seen = Look(**_tuples(seen), lag=None if lag is None else Lag(**lag))
        recorded = None if recorded is None else Recorded(**_tuples(recorded))
        return Heard((), **values, recorded=recorded, look=seen)
    except (TypeError, AttributeError, LookupError):
        return None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}


def text_of(clip: Clip) -> str:
    r"""A clip as a line of JSON, names of any bytes too; equal clips are equal lines.

    >>> text_of(Clip("a.wav", start=60, machine="fan"))
    '{"path": "a.wav", "start": 60.0, "machine": "fan"}'
    """
    values = asdict(clip)
    values["start"], values["path"] = float(clip.start), os.fspath(clip.path)
    values["stop"] = None if clip.stop is None else float(clip.stop)
    values["far"] = None if clip.far is None else os.fspath(clip.far)
    values["time"] = None if clip.time is None else clip.time.isoformat()
    plain = asdict(Clip(Path()))
    return json.dumps({n: v for n, v in values.items() if n == "path" or v != plain[n]})


def clip_in(text: str | bytes) -> Clip:
    """The clip that `text_of` was given.

    Raises:
        FormatError: it is none.

    >>> clip_in(text_of(Clip("a.wav", channels=(1, 2)))).channels
    (1, 2)
    """
    try:
        values = json.loads(text)
        if values.get("time") is not None:
            values["time"] = datetime.fromisoformat(values["time"])
        if values.get("channels") is not None:
            values["channels"] = tuple(values["channels"])
        for name in {"path", "far"} & set(values):
            values[name] = Path(values[name])
        return Clip(**values)
    except (ValueError, TypeError, AttributeError):
        raise FormatError("a clip that is none; run its shard again") from None
