"""What a running watch shows: a line a clip on a terminal, or JSON, a line each."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import typer

from nearfar.cli.history import why_of
from nearfar.cli.lines import columns, wrapped
from nearfar.errors import StorageError, visible
from nearfar.files import as_bytes
from nearfar.text import called, counted, lasting

if TYPE_CHECKING:
    from nearfar.service.news import AlarmEvent, Bulletin, MachineNow, OutputHealth, WatchNow
    from nearfar.service.observation import Observation

STAMP = re.compile(r"^\d{4}-(\d\d-\d\d \d\d:\d\d:\d\d) ")  # of a line of the log
BAR = 10  # cells of a full percentile
LONGEST_NAME = 16  # cells of a machine's name on a terminal
SILENCE = 2.0  # s without a line after which a status line is shown
COLOURS = {"raised": "red", "cleared": "green", "unshelved": "red"}  # of events; others have none


class Ticker:
    """Shows clips and alarms to a person, on standard output; an Output of the watch.

    On a terminal a status line stands below while nothing happens.

    Args:
        machines: that are watched, so that columns are as wide as their names.
        stream: standard output, if none is given.
        gone: called once where nobody can read it any more.

    >>> from datetime import UTC, datetime
    >>> from nearfar.service.news import Bulletin, MachineNow
    >>> from nearfar.service.observation import Observation
    >>> at = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)
    >>> seen = Observation("hall", "1.wav", "1.wav", "pump", "00", at, at, 10.0, "9f", "idle",
    ...                    near_level=-71.2)
    >>> ticker = Ticker([("pump", "00")], sys.stdout)
    >>> ticker.tell(Bulletin(MachineNow("pump", "00", 1), seen))  # doctest: +ELLIPSIS
    11-29 ... pump  idle, near microphone -71 dBFS
    """

    name = "terminal"
    said = 0  # what a person has seen once is not shown again

    def __init__(
        self, machines: Sequence[tuple[str, str]] = (), stream: TextIO | None = None,
        gone: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._stream = sys.stdout if stream is None else stream
        self._gone = gone
        self._width = columns(self._stream)
        # https://no-color.org: any value but an empty one.
        self._coloured = self._width is not None and not os.environ.get("NO_COLOR")
        longest = max((len(visible(called(*key))) for key in machines), default=0)
        self._names = longest if self._width is None else min(longest, LONGEST_NAME)
        self._lock = threading.RLock()
        self._status: Callable[[], WatchNow] | None = None
        self._shown = False  # does a status line stand there?
        self._last = time.monotonic()
        self._closed = threading.Event()
        self._clock: threading.Thread | None = None
        self.broken: OSError | None = None

    def watching(self, now: Callable[[], WatchNow]) -> None:
        """Whom to ask for the status line."""
        self._status = now

    def start(self) -> None:
        """Begin to show a status line, on a terminal that can."""
        if self._width is not None and self._status is not None:
            self._clock = threading.Thread(target=self._idle, daemon=True)
            self._clock.start()

    def tell(self, bulletin: Bulletin) -> None:
        """Show a clip and what became of alarms."""
        seen, lines = bulletin.observation, []
        if seen is not None:
            lines.append(self._clip(seen, bulletin.machine))
        lines += [self._event(event) for event in bulletin.events if not event.silent]
        if lines:
            self.write("".join(f"{line}\n" for line in lines))

    @property
    def health(self) -> OutputHealth:
        """Whether anybody can read it."""
        from nearfar.service.news import OutputHealth

        trouble = "" if self.broken is None else str(self.broken.strerror)
        return OutputHealth(self.name, up=self.broken is None, trouble=trouble)

    def close(self, patience: float = 5.0) -> None:
        """Remove the status line."""
        self._closed.set()
        if self._clock is not None:
            self._clock.join(patience)
        with self._lock:
            self._clear()

    def write(self, text: str) -> None:
        """Write whole lines, above the status line."""
        with self._lock:
            self._clear()
            self._last = time.monotonic()
            self._put(text)

    def _put(self, text: str) -> None:
        if self.broken is not None:
            return
        try:
            self._stream.write(as_bytes(text).decode())
            self._stream.flush()
        except OSError as error:  # `| head` has seen enough, or the disk is full
            self.broken = error
            self._gone()

    # ---- lines -----------------------------------------------------------------------------------

    def _clip(self, seen: Observation, machine: MachineNow) -> str:
        when = seen.time or seen.arrived
        local = when if when.tzinfo is None else when.astimezone()
        name = visible(called(seen.machine, seen.section))
        if self._width is not None and len(name) > self._names:
            name = f"{name[: self._names - 1]}…"
        head = f"{local:%m-%d %H:%M:%S}  {name:<{self._names}}  "
        if seen.status == "judged":
            return head + self._judged(seen, machine)
        if seen.status == "idle":
            near = (
                "" if seen.near_level is None else f", near microphone {seen.near_level:.0f} dBFS"
            )
            return self._style(f"{head}idle{near}", dim=True)
        why = visible(why_of(seen))
        file = visible(seen.name.rpartition("/")[2])
        return self._style(self._fitting(f"{head}NOT HEARD {file}: {why}"), fg="yellow")

    def _judged(self, seen: Observation, machine: MachineNow) -> str:
        share = seen.percentile or 0.0
        full = round(BAR * share)
        solid, hollow = ("█", "░") if _writes(self._stream, "█░") else ("#", ".")
        p = "" if seen.p_value is None else f"p {seen.p_value:<6.3g}"
        row = f"{solid * full}{hollow * (BAR - full)} {100 * share:3.0f} %  {p}  "
        stands = any(a.kind == "machine" and a.word in ("active", "acknowledged")
                     for a in machine.alarms)  # fmt: skip
        word = "above threshold" if seen.anomalous else "normal"
        faults = f", {', '.join(seen.faults)}" if seen.faults else ""
        if stands:
            return row + self._style(f"ALARM, {word}{faults}", fg="red", bold=True)
        if seen.anomalous or faults:
            return row + self._style(f"{word}{faults}", fg="yellow")
        return row + word

    def _event(self, event: AlarmEvent) -> str:
        # Its line names the machine, and what a person did.
        verb = f" {event.verb}" if event.verb in ("raised", "cleared") else ""
        head = f"{event.at.astimezone():%m-%d %H:%M:%S}  alarm {event.alarm}{verb}: "
        line = wrapped(head + visible(event.told), self._width)
        colour = COLOURS.get(event.verb)
        return line if colour is None else self._style(line, fg=colour, bold=True)

    def _fitting(self, line: str) -> str:
        if self._width is None or len(line) <= self._width:
            return line
        return f"{line[: self._width - 1]}…"

    def _style(self, text: str, **how: bool | str) -> str:
        return typer.style(text, **how) if self._coloured else text  # type: ignore[arg-type]

    # ---- the status line -------------------------------------------------------------------------

    def _idle(self) -> None:
        while not self._closed.wait(1.0):
            # Asked before the lock: the watch may write a line here while it holds its own.
            now = None if self._status is None else self._status()
            with self._lock:
                quiet = time.monotonic() - self._last
                if quiet >= SILENCE and now is not None and not self._closed.is_set():
                    self._clear()
                    line = self._fitting(status_line(now, quiet))
                    self._put(self._style(line, dim=True))
                    self._shown = True

    def _clear(self) -> None:
        if self._shown:
            self._put("\r\x1b[K")
            self._shown = False


class AboveStatus:
    """A stream for log lines on the terminal of a ticker: above its status line, and like its own.

    >>> AboveStatus(Ticker(), sys.stdout).isatty()
    False
    """

    def __init__(self, ticker: Ticker, stream: TextIO) -> None:
        self._ticker, self._stream = ticker, stream

    def write(self, text: str) -> int:
        """Write whole lines, broken between words; the year is not told with each."""
        lines = (STAMP.sub(r"\1  ", line) for line in text.splitlines())
        self._ticker.write("".join(f"{wrapped(line, columns(self._stream))}\n" for line in lines))
        return len(text)

    def flush(self) -> None:
        """They are written already."""

    def isatty(self) -> bool:
        """Is it a terminal?"""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream itself."""
        return self._stream.fileno()


def status_line(now: WatchNow, quiet: float) -> str:
    """How a watch is, for a person who looks at a screen on which nothing moves.

    >>> from nearfar.service.incoming import now
    >>> from nearfar.service.news import WatchNow
    >>> status_line(WatchNow(now(), ready=True, clips=3, history="disk full"), 90.0)
    'waiting for 90 s; 3 clips, 0 alarms; history: disk full'
    """
    words = [alarm.word for machine in now.machines.values() for alarm in machine.alarms]
    # What is silent is not over.
    shelved = f", {words.count('shelved')} shelved" if "shelved" in words else ""
    parts = [
        f"waiting for {lasting(round(quiet))}" if now.ready else "starting",
        f"{counted(now.clips, 'clip')}, {counted(words.count('active'), 'alarm')}{shelved}",
    ]
    parts += [f"{now.queued} to be heard"] if now.queued else []
    parts += [f"{counted(now.awaited, 'file')} not complete yet"] if now.awaited else []
    parts += [f"{name}: {trouble}" for name, trouble in now.sources.items() if trouble]
    parts += [f"history: {now.history}"] if now.history else []
    parts += [f"{one.name} is down, {one.queued} waiting" for one in now.outputs if not one.up]
    return visible("; ".join(parts))


def _writes(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True


def _at_once(path: Path) -> int:
    """Open to write behind, or say at once why not: a pipe may have nobody who ever reads it."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    if sys.platform == "win32":
        return os.open(path, flags, 0o666)
    handle = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(handle, True)
    return handle


class JsonLines:
    """Writes each bulletin as a line of JSON, to standard output or behind what a file has.

    Args:
        place: a file, or "-".
        gone: called once where nobody can read standard output any more.

    >>> from nearfar.service.news import Bulletin, MachineNow
    >>> lines = JsonLines(Path("-"))
    >>> lines.health.up, lines.said
    (True, 0)
    """

    name = "json"

    def __init__(self, place: Path, gone: Callable[[], None] = lambda: None) -> None:
        self._place, self._gone = place, gone
        self._stream: TextIO | None = None
        self._lost = 0
        self._said = 0
        self.broken: OSError | None = None

    @property
    def _is_stdout(self) -> bool:
        return str(self._place) == "-"

    def start(self) -> None:
        """Open it.

        Raises:
            StorageError: the file cannot be written.
        """
        if self._is_stdout:
            self._stream = sys.stdout
            return
        try:
            self._stream = os.fdopen(_at_once(self._place), "a", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"{self._place}: cannot be written ({error.strerror}); choose another place"
            ) from None

    def tell(self, bulletin: Bulletin) -> None:
        """Write it; what cannot be written is counted as lost."""
        if self._stream is None or (bulletin.observation is None and not bulletin.events):
            return
        from nearfar.service.outputs.said import bulletin_json

        try:
            self._stream.write(bulletin_json(bulletin) + "\n")
            self._stream.flush()
        except OSError as error:
            self._lost += 1
            if self.broken is None and self._is_stdout:
                self._gone()
            self.broken = error
            return
        self.broken = None
        self._said = max((self._said, *(event.id for event in bulletin.events)))

    @property
    def health(self) -> OutputHealth:
        """Whether it can be written."""
        from nearfar.service.news import OutputHealth

        trouble = "" if self.broken is None else str(self.broken.strerror)
        return OutputHealth(self.name, up=self.broken is None, lost=self._lost, trouble=trouble)

    @property
    def said(self) -> int:
        """The highest event id up to which all were written."""
        return self._said

    def close(self, patience: float = 5.0) -> None:
        """Close the file."""
        if self._stream is not None and not self._is_stdout:
            try:
                self._stream.close()
            except OSError as error:  # what was written last did not fit
                self.broken = error
        self._stream = None
