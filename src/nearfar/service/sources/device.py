"""An input of this computer: a sound card with a near and a far microphone, through PortAudio."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import NearfarError, SettingError, did_you_mean, first_line, needs
from nearfar.service.incoming import Put, now
from nearfar.service.sources.feed import Feed, check_stream
from nearfar.text import counted, lasting, named

_HELD = 60.0  # s of sound that wait while clips are judged; three clips, if that is more
_QUIET = 3.0  # s without a block, after which a device is taken for unplugged
_AGAIN = 3.0  # s between tries to open it again
_WAIT = 0.2  # s; so long a `close` may have to wait


class _Sent(NamedTuple):
    """A block as the sound card gave it."""

    sound: NDArray[np.float32]  # (channels, samples)
    arrived: datetime
    lost_before: int  # samples that were dropped here, since nobody took them
    overrun: bool  # the driver lost some, and does not say how many


def devices(library: Any = None) -> list[str]:
    """The inputs of this computer, a line each: number, name, channels, rate.

    Raises:
        NearfarError: sounddevice or PortAudio is not installed.
    """
    found = _inputs(library or _library())
    return [f"{d['index']}: {d['name']} ({counted(int(d['max_input_channels']), 'channel')}, "
            f"{d['default_samplerate']:.0f} Hz)" for d in found]  # fmt: skip


class DeviceSource:
    """Clips of a microphone input, cut one behind the other.

    The sound card's own thread only hands its blocks on. Blocks that nobody takes in time are
    dropped and counted, told as an overrun; the clip then begins anew, for a gap in it would sound
    like a fault. A device that is unplugged is tried again every few seconds.

    Args:
        name: the source's.
        device: its number, its name or a part of it; "" is the system's own choice.
        rate: Hz; None is the device's own.
        seconds: of a clip.
        machine: whose sound it is.
        section: of the machine.
        chosen: the inputs of near and far, counted from 1.
        library: what speaks to PortAudio; None is the package sounddevice.
        clock: says when blocks arrive.
        ticks: s, never going back.

    Raises:
        SettingError: an impossible setting.

    >>> DeviceSource("mic", "USB", rate=48_000, seconds=10.0).name
    'mic'
    """

    def __init__(
        self, name: str, device: str, *, rate: int | None, seconds: float, machine: str = "",
        section: str = "00", chosen: tuple[int, int] = (1, 2), library: Any = None,
        clock: Callable[[], datetime] = now, ticks: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        check_stream(48_000 if rate is None else rate, seconds)
        if len(set(chosen)) != 2 or min(chosen) < 1:
            raise SettingError(f"near and far are inputs {chosen[0]} and {chosen[1]}; need two "
                               "different ones, counted from 1")  # fmt: skip
        self.name, self._device, self._rate, self._seconds = name, device, rate, seconds
        self._whose, self._rows = (machine, section), [c - 1 for c in chosen]
        self._library, self._clock, self._ticks = library, clock, ticks
        self._blocks: SimpleQueue[_Sent] = SimpleQueue()
        # Samples put into it and taken out. Each is written by one thread: a sum of both would be
        # wrong by a block now and then, and after months there would be no room.
        self._came = self._taken = 0
        self._dropped = 0  # samples since the last block that found room
        self._stream: Any = None
        self._stop = Event()
        self._thread: Thread | None = None
        self._last = self._tried = 0.0
        self.lost = 0  # samples that were dropped since the start

    def start(self, put: Put) -> None:
        """Begin; returns at once.

        Raises:
            NearfarError: sounddevice or PortAudio is not installed, or the device does not open.
            SettingError: no such device, or too few channels.
        """
        self._library = self._library or _library()
        found = _found(self._library, self._device, max(self._rows) + 1)
        self._rate = self._rate or round(found["default_samplerate"])
        machine, section = self._whose
        self._feed = Feed(self.name, rate=self._rate, seconds=self._seconds, put=put,
                          machine=machine, section=section)  # fmt: skip
        try:
            self._open(found)
        except Exception as error:  # PortAudio's own error is no OSError
            raise _refused(found["name"], error) from None
        self._thread = Thread(target=self._run, name=f"source {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop giving, let go of the device, and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        self._shut()

    # ---- the sound card's thread -----------------------------------------------------------------

    def _called(self, block: NDArray[np.float32], frames: int, _when: Any, status: Any) -> None:
        # Never waits, and takes no lock of ours: what is late here is lost in the driver.
        if self._came - self._taken + frames > self._most:
            self._dropped += frames
            return
        sound = np.ascontiguousarray(block[:, self._rows].T)
        dropped, self._dropped = self._dropped, 0
        self._came += frames
        self._blocks.put(_Sent(sound, self._clock(), dropped, bool(status.input_overflow)))

    # ---- our thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        said = ""
        while not self._stop.is_set():
            try:
                self._turn()
                said = ""
            except Exception as error:  # a thread that died in silence would hear nothing for ever
                text = f"{type(error).__name__}: {first_line(error)}; it goes on"
                if text != said:
                    said = text
                    self._feed.tell("trouble", text)
                self._stop.wait(_WAIT)

    def _turn(self) -> None:
        if self._stream is None:
            self._try_again()
            return
        try:
            sent = self._blocks.get(timeout=_WAIT)
        except Empty:
            self._mind_loss()
            return
        self._taken += sent.sound.shape[1]
        if sent.lost_before or sent.overrun:
            self._overrun(sent)
        self._feed.take(sent.sound, sent.arrived)
        self._last = self._ticks()

    def _overrun(self, sent: _Sent) -> None:
        self.lost += sent.lost_before
        gone = f"{lasting(sent.lost_before / self._feed.rate)} of sound were lost, for clips are "\
               "judged slower than they come"  # fmt: skip
        if not sent.lost_before:
            gone = "the sound card lost samples, for this computer was too busy"
        self._feed.tell("overrun", _and(gone, self._feed.rest()))

    def _mind_loss(self) -> None:
        if self._stream.active and self._ticks() - self._last < _QUIET:
            return
        self._shut()
        self._tried = self._ticks()
        why = f"the device gives no sound; is it plugged in? It is tried every {lasting(_AGAIN)}"
        self._feed.tell("lost", _and(why, self._feed.rest()))

    def _try_again(self) -> None:
        if self._ticks() - self._tried < _AGAIN:
            self._stop.wait(_WAIT)
            return
        self._tried = self._ticks()
        # PortAudio lists devices once: without this one that is plugged in again stays unknown.
        self._library._terminate()
        self._library._initialize()
        with suppress(Exception):  # any error is that it is still away; the next try will tell
            self._open(_found(self._library, self._device, max(self._rows) + 1))
            self._feed.tell("back", "the device gives sound again")

    def _open(self, found: Any) -> None:
        self._most = round(max(_HELD, 3 * self._seconds) * self._feed.rate)
        stream = self._library.InputStream(
            device=found["index"], samplerate=self._feed.rate, channels=max(self._rows) + 1,
            dtype="float32", callback=self._called,
        )  # fmt: skip
        self._last = self._ticks()
        try:
            stream.start()
        except Exception:
            stream.close()
            raise
        self._stream = stream

    def _shut(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(Exception):  # of a device that is gone
                stream.close()


def _and(text: str, left: str) -> str:
    return f"{text}; {left}" if left else text


def _library() -> Any:
    """The package sounddevice.

    Raises:
        NearfarError: it, or PortAudio that it speaks to, is not installed.
    """
    with needs("live", "hearing a device needs sounddevice"):
        try:
            import sounddevice
        except OSError:  # it is there, and its library is not
            raise NearfarError("hearing a device needs the library PortAudio; on Debian and "
                               "Ubuntu apt-get install libportaudio2") from None  # fmt: skip
    return sounddevice


def _inputs(library: Any) -> list[Any]:
    return [d for d in library.query_devices() if d["max_input_channels"] > 0]


def _found(library: Any, wanted: str, channels: int) -> Any:
    """The input that is meant.

    Raises:
        SettingError: none, several, or one of too few channels.
    """
    inputs = _inputs(library)
    if not inputs:
        raise SettingError("mic: this computer has no sound input; plug one in, or send its sound "
                           "through a pipe")  # fmt: skip
    chosen = _named_so(inputs, wanted) if wanted else _usual(library, inputs)
    if chosen["max_input_channels"] < channels:
        has = counted(int(chosen["max_input_channels"]), "channel")
        raise SettingError(f"mic:{chosen['name']}: it has {has}, and {channels} are needed; "
                           "take an input with a near and a far microphone")  # fmt: skip
    return chosen


def _usual(library: Any, inputs: list[Any]) -> Any:
    usual = library.default.device[0]
    return next((d for d in inputs if d["index"] == usual), inputs[0])


def _named_so(inputs: list[Any], wanted: str) -> Any:
    names = [str(d["name"]) for d in inputs]
    if wanted.isdecimal():
        fit = [d for d in inputs if d["index"] == int(wanted)]
    else:
        fit = [d for d in inputs if d["name"] == wanted] or [
            d for d in inputs if wanted.casefold() in d["name"].casefold()
        ]
    if not fit:
        raise SettingError(f"mic:{wanted}: no input is called so; {did_you_mean(wanted, names)}; "
                           "mic:? lists all")  # fmt: skip
    if len(fit) > 1:
        raise SettingError(f"mic:{wanted}: {named([d['name'] for d in fit])}; which? Say more of "
                           f"the name, or a number as mic:{fit[0]['index']}")  # fmt: skip
    return fit[0]


def _refused(name: str, error: Exception) -> NearfarError:
    return NearfarError(f"mic:{name}: does not open ({first_line(error)}); another program may "
                        "have it, or it does not know this rate")  # fmt: skip
