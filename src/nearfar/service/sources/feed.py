"""A stream of samples → clips of one length, each with the time at which it began."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.errors import SettingError, printable
from nearfar.service.incoming import Incoming, Notice, Put
from nearfar.sound import audio
from nearfar.text import lasting

_RATES = (1_000, 1_000_000)  # Hz; as files have them


class Segment(NamedTuple):
    """A clip of a stream.

    >>> Segment(np.zeros((2, 8), np.float32), datetime(2026, 6, 15)).sound.shape
    (2, 8)
    """

    sound: NDArray[np.float32]  # (channels, samples)
    began: datetime


class Cutter:
    """Blocks of any length → pieces with exactly so many samples; none is lost, none is twice.

    A piece's time is counted back from the arrival of its own last sample, never forward from the
    first of the stream: a recorder's clock that runs 200 ppm fast would be off by 17 s a day.

    >>> cutter = Cutter(samples=4, rate=2)
    >>> noon = datetime(2026, 6, 15, 12)
    >>> [p.began.second for p in cutter.feed(np.zeros((2, 5), np.float32), noon)], cutter.held
    ([57], 1)
    """

    def __init__(self, samples: int, rate: int) -> None:
        self._samples, self._rate = samples, rate
        self._blocks: list[NDArray[np.float32]] = []
        self._last: datetime | None = None
        self._arrived = self._began = datetime.min
        self.held = 0  # samples of the piece that is not whole yet

    def feed(self, block: NDArray[np.float32], arrived: datetime) -> Iterator[Segment]:
        """Take a block; all of it is taken only when all pieces are.

        Args:
            block: (channels, samples).
            arrived: when its last sample did.
        """
        zone = arrived.tzinfo
        if arrived < self._arrived.replace(tzinfo=zone):  # the clock was set back, and so are times
            self._began = datetime.min
        self._arrived = arrived
        while block.shape[1]:
            part, block = np.split(block, [self._samples - self.held], axis=1)
            self._blocks.append(part)
            self.held += part.shape[1]
            # What is behind it in the block came after it.
            self._last = arrived - timedelta(seconds=block.shape[1] / self._rate)
            if self.held == self._samples:
                yield self._piece(self._last)

    def rest(self) -> Segment | None:
        """What is there of a piece that will not become whole; it is let go of."""
        return self._piece(self._last) if self._last is not None and self.held else None

    def _piece(self, ended: datetime) -> Segment:
        length = timedelta(seconds=self.held / self._rate)
        # A file that is piped faster than it sounds comes all at once; its order stays.
        after = self._began.replace(tzinfo=ended.tzinfo) + timedelta(microseconds=1)
        self._began = max(ended - length, after)
        piece = Segment(np.concatenate(self._blocks, axis=1), self._began)
        self._blocks, self.held = [], 0
        return piece


class Feed:
    """What a source of a stream gives: clips, a rest worth hearing, and news.

    Raises:
        SettingError: a rate or a length that cannot be.

    >>> given = []
    >>> feed = Feed("mic", rate=1000, seconds=1.0, put=given.append)
    >>> feed.take(np.ones((2, 1500), np.float32), datetime(2026, 6, 15))
    >>> feed.rest(), [g.audio.shape for g in given]
    ('0.5 s of sound before that are too short to be judged and are left out', [(2, 1000)])
    """

    def __init__(
        self, name: str, *, rate: int, seconds: float, put: Put, machine: str = "",
        section: str = "00",
    ) -> None:  # fmt: skip
        check_stream(rate, seconds)
        self.name, self.rate, self.clips = name, rate, 0
        self._seconds, self._put, self._machine, self._section = seconds, put, machine, section
        self._cutter = Cutter(round(rate * seconds), rate)
        self._odd = False  # the last clip had samples that are no numbers

    def take(self, block: NDArray[np.float32], arrived: datetime) -> None:
        """Samples came, (channels, samples); gives the clips that are whole by them."""
        for piece in self._cutter.feed(block, arrived):
            self._give(piece)

    def rest(self) -> str:
        """The stream is broken off here: what is there is given if it is half a clip or more.

        Returns:
            What was left out, for people; "" if nothing.
        """
        piece = self._cutter.rest()
        if piece is None:
            return ""
        length = piece.sound.shape[1] / self.rate
        if length >= max(self._seconds / 2, audio.SHORTEST):
            self._give(piece)
            return ""
        why = "less than half a clip" if 2 * length < self._seconds else "too short to be judged"
        return f"{lasting(length)} of sound before that are {why} and are left out"

    def tell(self, kind: str, text: str) -> None:
        """Say something of the stream itself."""
        self._put(Notice(self.name, kind, printable(f"{self.name}: {text}"), self._machine))

    def _give(self, piece: Segment) -> None:
        self._count_odd(piece)
        path = Path(self.name, f"{piece.began:%Y-%m-%dT%H:%M:%S.%f}")
        clip = Clip(path, machine=self._machine, section=self._section, time=piece.began)
        self.clips += 1
        self._put(Incoming(self.name, clip, audio=piece.sound, rate=self.rate))

    def _count_odd(self, piece: Segment) -> None:
        """NaN and infinity are told of when they begin; the clips with them say it, too."""
        odd = int(np.count_nonzero(~np.isfinite(piece.sound)))
        if odd and not self._odd:
            self.tell("format", f"{odd} of {piece.sound.size} samples are no finite numbers; look "
                      "at the form they are sent in")  # fmt: skip
        self._odd = bool(odd)


def check_stream(rate: float, seconds: float) -> None:
    """Refuse an impossible rate in Hz or length of clips in seconds.

    Raises:
        SettingError: of either.
    """
    lowest, highest = _RATES
    if not (isinstance(rate, int) and lowest <= rate <= highest):
        raise SettingError(f"rate is {rate}; it is a whole number of Hz, {lowest:,} to {highest:,}")
    if not (isinstance(seconds, int | float) and audio.SHORTEST <= seconds <= 86_400):
        raise SettingError(f"clip_seconds is {seconds}; it is a number from {audio.SHORTEST:g} to "
                           "86,400")  # fmt: skip
