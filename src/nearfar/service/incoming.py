"""What sources give: whole recordings, and news of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip


def now() -> datetime:
    """Time of this computer, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Stamp:
    """A file as it was when it was whole; by this it is known again without being read.

    >>> Stamp("fan/1.wav", size=64_044, modified=1_790_000_000_000_000_000).size
    64044
    """

    path: str  # as the system has it; what is no text in it, surrogates stand for
    size: int  # bytes
    modified: int  # ns since 1970


@dataclass(frozen=True, eq=False)
class Incoming:
    """A recording that is complete, of files or of a stream.

    >>> from pathlib import Path
    >>> Incoming("hall", Clip(Path("fan/1.wav"), machine="fan")).clip.machine
    'fan'
    """

    source: str  # whose it is: the source's name
    clip: Clip  # the whole recording; of a stream its path is a name alone: `SOURCE/TIME`
    arrived: datetime = field(default_factory=now)  # UTC, by this computer's clock
    files: tuple[Stamp, ...] = ()  # one, or near and far; () of a stream
    audio: NDArray[np.float32] | None = None  # (2, samples) near first, at `rate`; of a stream
    rate: int = 0  # Hz, of `audio`


# What a source may have to say. "back" takes back "lost" and "gone".
NOTICES = {
    "lost": "the stream or device stopped before it was asked to",
    "gone": "the folder is not there any more",
    "back": "what was lost or gone is there again",
    "half": "the other microphone's file did not come",
    "unfinished": "a file did not become complete",
    "overrun": "sound was lost, for it came faster than it was heard",
    "format": "what came is not what was said: rate, channels, whole samples",
    "ended": "there will be no more: the stream was closed",
    "left": "what was there before the watch began is left alone",
    "polling": "the system tells nothing of this folder, so it is listed again and again",
    "trouble": "the source failed at something, and goes on",
}  # fmt: skip


@dataclass(frozen=True)
class Notice:
    """News of a source that is no recording.

    >>> Notice("hall", "gone", "/data/hall: the folder is gone; waiting for it").kind
    'gone'
    """

    source: str
    kind: str  # of NOTICES
    text: str  # one line for people
    machine: str = ""  # where the source is of one machine
    files: tuple[Stamp, ...] = ()  # that it is about; these need not be offered again
    clip: Clip | None = None  # what they would have been, by their names
    at: datetime = field(default_factory=now)


Put = Callable[[Incoming | Notice], None]
Knows = Callable[[tuple[Stamp, ...]], bool]


class ClipSource(Protocol):
    """A place that recordings come from.

    It works in threads of its own, and gives what it has to `put`, in the order of arrival. `put`
    never raises; where it is given sound faster than that is heard it blocks.

    >>> from pathlib import Path
    >>> from nearfar.service.sources.folder import FolderSource
    >>> source: ClipSource = FolderSource("hall", Path("/data"), knows=lambda files: False)
    >>> source.name
    'hall'
    """

    name: str

    def start(self, put: Put) -> None:
        """Begin; returns at once.

        Raises:
            NearfarError: it cannot be begun at all: no such folder, no such device.
        """

    def close(self) -> None:
        """Stop giving, and end its threads within a second or two."""
