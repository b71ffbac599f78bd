"""Raw samples on a pipe, as `arecord -t raw` and `ffmpeg -f s16le` write them."""

from __future__ import annotations

import io
import select
import sys
import time
from collections.abc import Callable
from datetime import datetime
from threading import Event, Thread
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, did_you_mean, first_line
from nearfar.service.incoming import Put, now
from nearfar.service.sources.feed import Feed, check_stream
from nearfar.service.sources.pace import Pace
from nearfar.text import counted, lasting

FORMS = ("s16le", "s24le", "s32le", "f32le", "s16be", "s24be", "s32be", "f32be")
_ENOUGH = 1 << 18  # bytes of a read; more only costs memory
_LOOK = 0.2  # s; so long a `close` may have to wait
_LOST = 3  # clip lengths without a byte, after which a stream is lost


def samples_of(data: bytes | bytearray, form: str) -> NDArray[np.float32]:
    """Samples as numbers, full scale ±1.

    Args:
        data: whole samples.
        form: one of `FORMS`.

    >>> samples_of(bytes([0, 0, 0x40, 0, 0, 0x80]), "s24le")
    array([ 0.5, -1. ], dtype=float32)
    """
    order, width = "<>"[form.endswith("be")], int(form[1:3]) // 8
    if form[0] == "f":
        return np.frombuffer(data, f"{order}f4").astype(np.float32)
    if width == 3:  # as the upper three bytes of four
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        upper = wide[:, 1:] if order == "<" else wide[:, :3]
        upper[:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = wide.tobytes(), 4
    # Through doubles: of 32 bits a float would round before it is scaled.
    numbers = np.frombuffer(data, f"{order}i{width}").astype(np.float64)
    return (numbers / 2.0 ** (8 * width - 1)).astype(np.float32)


class PcmSource:
    """Clips of a stream of raw samples, cut one behind the other.

    What comes is taken as it comes: the pipe fills while clips are judged, and its writer waits.
    Without a byte for three clip lengths the stream is lost, until more comes. At its end, and
    where it was lost, half a clip or more is given as a shorter one; what is less is told of.
    On Windows, where a pipe cannot be asked, a loss is told of only when it is over.

    Args:
        name: the source's.
        stream: binary; it is read by nobody else, and not closed.
        rate: of the samples, Hz.
        form: one of `FORMS`.
        channels: that take turns in it.
        seconds: of a clip.
        machine: whose sound it is.
        section: of the machine.
        chosen: the channels of near and far, counted from 1; needed of more than two. Of one
            channel clips have one: who judges them says that far is missing.
        clock: says when samples arrive.
        ticks: s, never going back; says how long none came.

    Raises:
        SettingError: an impossible setting.

    >>> import io
    >>> source = PcmSource("-", io.BytesIO(bytes(64_000)), rate=16_000, seconds=1.0)
    """

    def __init__(
        self, name: str, stream: BinaryIO, *, rate: int, form: str = "s16le", channels: int = 2,
        seconds: float, machine: str = "", section: str = "00",
        chosen: tuple[int, int] | None = None, clock: Callable[[], datetime] = now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        check_stream(rate, seconds)
        if form.lower() not in FORMS:
            raise SettingError(f"format {form!r}; {did_you_mean(form.lower(), FORMS)}")
        self.name, self._stream, self._form = name, stream, form.lower()
        self._rows = _chosen(channels, chosen)
        self._frame = channels * int(self._form[1:3]) // 8  # bytes
        self._rate, self._seconds, self._whose = rate, seconds, (machine, section)
        self._channels, self._clock, self._ticks = channels, clock, ticks
        self._rest = bytearray()  # reads end anywhere, also inside of a sample
        self._lost = False
        self._stop = Event()
        self._thread: Thread | None = None
        self._poll = _poll_of(stream)
        self._last = 0.0
        self._pace, self._waited = Pace(rate), False

    def start(self, put: Put) -> None:
        """Begin; returns at once."""
        machine, section = self._whose
        self._feed = Feed(self.name, rate=self._rate, seconds=self._seconds, put=put,
                          machine=machine, section=section)  # fmt: skip
        self._last = self._ticks()
        self._thread = Thread(target=self._run, name=f"source {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop giving, end the thread, and close the stream unless it is standard input."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        ended = self._thread is None or not self._thread.is_alive()
        if ended and self._stream is not sys.stdin.buffer:
            self._stream.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set() and self._turn():
                pass
        except Exception as error:  # a thread that died in silence would hear nothing for ever
            self._feed.tell("trouble", f"{type(error).__name__}: {first_line(error)}")
            self._end()

    def _turn(self) -> bool:
        """Take what is there, or wait a moment for it; False at the end."""
        if self._poll is not None and not self._poll.poll(0):
            self._waited = True
            if not self._poll.poll(_LOOK * 1e3):
                self._mind_loss()
                return True
        data = self._read()
        if data is None:  # a stream that does not block, and has nothing
            self._stop.wait(_LOOK)
            self._mind_loss()
            return True
        if not data:
            self._end()
            return False
        self._mind_loss()  # where reading waited
        if self._lost:
            self._lost = False
            self._feed.tell("back", "sound comes again")
        self._take(data)
        self._last = self._ticks()  # now, for judging a clip may have taken long
        return True

    def _read(self) -> bytes | None:
        # No more than one read of the system: what is there shall not wait for what is not.
        if isinstance(self._stream, io.BufferedIOBase):
            return self._stream.read1(_ENOUGH)
        return self._stream.read(_ENOUGH)

    def _take(self, data: bytes) -> None:
        arrived = self._clock()
        self._rest += data
        whole = len(self._rest) // self._frame * self._frame
        samples = samples_of(self._rest[:whole], self._form).reshape(-1, self._channels)
        del self._rest[:whole]
        if real := self._pace.came(len(samples), self._ticks(), waited=self._waited):
            self._feed.tell("format", f"samples come at {real:,} Hz and not at {self._rate:,}; "
                            "look at rate, format and channels")  # fmt: skip
        self._waited = False
        self._feed.take(np.ascontiguousarray(samples.T[self._rows]), arrived)

    def _mind_loss(self) -> None:
        if not self._lost and self._ticks() - self._last >= _LOST * self._seconds:
            self._lost = True
            left = self._feed.rest()
            self._feed.tell("lost", f"no sound for {lasting(_LOST * self._seconds)}"
                            + (f"; {left}" if left else ""))  # fmt: skip

    def _end(self) -> None:
        if self._rest:
            self._feed.tell("format", f"{counted(len(self._rest), 'byte')} at the end are no whole "
                            f"sample of {counted(self._channels, 'channel')} in {self._form}; look "
                            "at format and channels")  # fmt: skip
        left = self._feed.rest()
        self._feed.tell("ended", f"the stream ended after {counted(self._feed.clips, 'clip')}"
                        + (f"; {left}" if left else ""))  # fmt: skip


def _chosen(channels: int, chosen: tuple[int, int] | None) -> list[int]:
    """Which of a stream's channels are near and far, counted from 0."""
    if not (isinstance(channels, int) and 1 <= channels <= 1024):
        raise SettingError(f"channels is {channels}; it is a number from 1 to 1,024")
    if chosen is None:
        if channels > 2:
            raise SettingError(f"{channels} channels; say which are near and far, as in --near 1 "
                               "--far 2")  # fmt: skip
        return list(range(channels))
    if len(set(chosen)) != 2 or not all(1 <= c <= channels for c in chosen):
        raise SettingError(f"near and far are channels {chosen[0]} and {chosen[1]} of {channels}; "
                           "need two different ones, counted from 1")  # fmt: skip
    return [c - 1 for c in chosen]


def _poll_of(stream: BinaryIO) -> select.poll | None:
    """Asks whether a stream has something; None where that cannot be asked."""
    if sys.platform == "win32":
        return None
    try:
        handle = stream.fileno()
    except (OSError, ValueError):  # a stream in memory
        return None
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return poll
