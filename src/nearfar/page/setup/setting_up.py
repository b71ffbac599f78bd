"""The way to the first detector: recordings are sent, looked at, fitted on.

Nothing is behind the page meanwhile. One thing is done at a time, in a thread of its own: a check
makes way for whatever comes next, a fit for nothing but the end of the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from nearfar.clips.words import place_of
from nearfar.detector.folder.index import INDEX, check_target
from nearfar.errors import SettingError, did_you_mean, visible
from nearfar.page.hub import Hub
from nearfar.page.refusal import Refusal
from nearfar.page.sent.sent_files import SentFolder, recordings_in, size_of
from nearfar.page.setup.first_look import (
    FirstLook,
    Wish,
    check_name,
    fit_first,
    look_first,
    machine_of,
    shown,
)
from nearfar.page.setup.setup_news import SetupNews
from nearfar.service.troubles import Tell, fault_line
from nearfar.text import counted

NORMALS = ".normals"  # ends the name of the folder of what was sent, beside the detector
SETTLES = 3.0  # s without anything sent, after which recordings are looked at
Stage = Literal["none", "recordings", "checking", "fitting", "failed", "fitted"]
Work = Callable[[Wish, threading.Event], None]


class _Stopped(BaseException):
    """Ends a look or a fit at the next clip; no Exception, for parts may handle those."""


class SetupDesk(Protocol):
    """What a setup must know of the desk that it is at.

    >>> from nearfar.page.desk import Desk
    >>> from nearfar.service.plant import PageSettings
    >>> desk: SetupDesk = Desk(PageSettings("127.0.0.1:0"))
    >>> desk.is_ready
    False
    """

    @property
    def hub(self) -> Hub:
        """Who listens."""

    @property
    def is_ready(self) -> bool:
        """Is there a detector?"""


def _silent(event: str, message: str, level: str = "info", **facts: Any) -> None:
    """Of a setup that nobody keeps a log of."""


class Setup:
    """From no detector to the first one; asked from many threads.

    Args:
        folder: the detector to be made; what is sent is kept beside it, in FOLDER.normals.
        desk: whose listeners are told how it goes.
        offered: folders with recordings that may be used too, as the one who started it said.
        tell: the log.
        settles: s without anything sent, after which recordings are looked at.
        machine: the only one that whoever started it can use; "" if any will do.

    Raises:
        SettingError: a folder whose name says that anomalies are in it.
        StorageError: no detector can be written there.

    >>> import tempfile
    >>> from nearfar.page.desk import Desk
    >>> from nearfar.service.plant import PageSettings
    >>> desk = Desk(PageSettings("127.0.0.1:0"))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     setup = Setup(Path(place, "pump.detector"), desk)
    ...     setup.state["stage"], setup.state["machine"], setup.normals.name
    ('none', 'pump', 'pump.normals')
    """

    def __init__(
        self, folder: Path, desk: SetupDesk, offered: Sequence[Path] = (), tell: Tell = _silent,
        *, settles: float = SETTLES, machine: str = "",
    ) -> None:  # fmt: skip
        self.folder = folder
        name = machine_of(folder)
        self.normals = folder.absolute().with_name(f"{name}{NORMALS}")
        check_target(folder)
        if place_of(self.normals).label == "anomaly":  # no fit would take what is sent there
            raise SettingError(f"{folder}: by its name recordings beside it would be anomalies; "
                               "call the detector otherwise")  # fmt: skip
        self.fitted = threading.Event()
        self.news = SetupNews(desk.hub, lambda: self.state, tell)
        self.sent = SentFolder(self.normals)
        self._offered = _by_name(offered)
        self._chosen: dict[str, tuple[int, int]] = {}  # name → recordings in it, bytes
        self._desk, self._tell, self._settles = desk, tell, settles
        self._lock = threading.RLock()
        self._stage: Stage = "none"
        self._only = machine and check_name(machine)
        self._usual = machine or name
        self._machine, self._line, self._done, self._total = self._usual, "", 0, 0
        self._found, self._checked = FirstLook(), False
        self._sending = 0
        self._work: threading.Thread | None = None
        self._stop = threading.Event()  # of the work that goes on; a new one for each
        self._settle: threading.Timer | None = None
        self._closed = False
        if self.sent.count:  # by a program that ended before the fit
            self._stage = "recordings"
            self._settle_soon()

    # ---- what is asked ---------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """How far it is, as the page is told."""
        with self._lock:
            files, size = self._size
            seen = self._found.as_dict()
            return {
                "stage": self._stage, "machine": self._machine, "recordings": files,
                "bytes": size, "offered": list(self._offered), "chosen": list(self._chosen),
                "sending": self._sending > 0, "checked": self._checked, "done": self._done,
                "total": self._total, "line": self._line, **seen,
            }  # fmt: skip

    @property
    def data(self) -> tuple[Path, ...]:
        """The folders that are fitted on."""
        chosen = [self._offered[name] for name in self._chosen]
        return (*([self.normals] if self.sent.count else []), *chosen)

    @property
    def _size(self) -> tuple[int, int]:
        """Recordings, and bytes."""
        sizes = [(self.sent.count, self.sent.bytes), *self._chosen.values()]
        return sum(count for count, _ in sizes), sum(size for _, size in sizes)

    def check_open(self) -> None:
        """Refuse what comes too late.

        Raises:
            Refusal: there is a detector, or one is being fitted.
        """
        if self._desk.is_ready or self._stage == "fitted" or (self.folder / INDEX).exists():
            raise Refusal(409, "there is a detector already; nothing is to be set up")
        if self._stage == "fitting":
            raise Refusal(409, "a detector is being fitted; wait until it is done")

    # ---- recordings ------------------------------------------------------------------------------

    @contextmanager
    def receiving(self, coming: int) -> Iterator[SentFolder]:
        """The folder for what is being sent; what is looked at meanwhile is given up.

        Args:
            coming: bytes; 0 if nobody says.

        Raises:
            Refusal: too late, or no room on the disk.
        """
        with self._lock:
            self.check_open()
            self.sent.check_room(coming)
            self._sending += 1
            self._give_way()
            self._changed_data()
        try:
            yield self.sent
        finally:
            with self._lock:
                self._sending -= 1
                self._changed_data()

    def choose(self, names: Sequence[str]) -> None:
        """Which of the offered folders are used.

        Raises:
            Refusal: too late, or none of that name.
        """
        for name in names:
            if name not in self._offered:
                raise Refusal(404, f"no folder {name!r} is offered; "
                              f"{did_you_mean(name, self._offered)}")  # fmt: skip
        sizes = {name: size_of(recordings_in(self._offered[name])) for name in names}
        with self._lock:
            self.check_open()
            self._give_way()
            self._chosen = sizes
            self._changed_data()

    def remove(self) -> int:
        """Remove what was sent; how many recordings that were.

        Raises:
            Refusal: too late, or some are being sent.
        """
        with self._lock:
            self._check_still()
            self._give_way()
            removed = self.sent.remove()
            self._changed_data()
            return removed

    def _check_still(self) -> None:
        self.check_open()
        if self._sending:
            raise Refusal(409, "recordings are still being sent; wait until they are here")

    def _changed_data(self) -> None:
        self._found, self._checked = FirstLook(), False
        self._done = self._total = 0
        self._to("recordings" if self._size[0] else "none")
        if self._size[0] and not self._sending:
            self._settle_soon()

    def _settle_soon(self) -> None:
        if self._closed:
            return
        self._settle = threading.Timer(self._settles, self._settled)
        self._settle.daemon = True
        self._settle.start()

    def _settled(self) -> None:
        with self._lock:
            if self._stage == "recordings" and not self._sending and not self._checked:
                self._begin("checking", self._look, self.wish())

    # ---- looking and fitting ---------------------------------------------------------------------

    def wish(
        self, machine: str = "", false_alarm_rate: float = 0.01, *, exclude_suspects: bool = False,
        far_first: bool = False,
    ) -> Wish:  # fmt: skip
        """What is to be fitted.

        Args:
            machine: its name; "" as the detector's folder is called, or the only one.
            false_alarm_rate: share of normal clips that may be called anomalous.
            exclude_suspects: leave out what stands out.
            far_first: the first channel of a file is the far microphone.

        Raises:
            SettingError: a name or a rate that is none, or another machine than is wanted.
            Refusal: no recordings yet.
        """
        if not (data := self.data):
            raise Refusal(409, "no recordings yet; send a folder of normal ones")
        order: Literal["far-near", "near-far"] = "far-near" if far_first else "near-far"
        name = machine.strip() or self._usual
        if self._only and name != self._only:  # rather now than after the fit
            raise SettingError(f"a machine called {name!r}: only {self._only!r} is asked for where "
                               "this page was started; call it so, or start it anew")  # fmt: skip
        return Wish(data, name, false_alarm_rate, exclude_suspects, order)

    def check(self, wish: Wish) -> None:
        """Have the recordings looked at, in the background.

        Raises:
            Refusal: too late, or some are being sent.
        """
        with self._lock:
            self._check_still()
            self._begin("checking", self._look, wish)

    def fit(self, wish: Wish) -> None:
        """Have the detector fitted, in the background; a fit that failed can be asked for again.

        Raises:
            Refusal: too late, one is being fitted, or recordings are being sent.
        """
        with self._lock:
            self._check_still()
            self._begin("fitting", self._fit, wish)

    def _begin(self, stage: Stage, work: Work, wish: Wish) -> None:
        before = self._give_way()
        if self._closed:
            return
        self._stop = stop = threading.Event()
        self._machine, self._done, self._total = wish.machine, 0, 0
        self._to(stage)

        def done() -> None:
            # A check that makes way is gone within a clip; two would warn into each other's ears.
            if before is not None:
                before.join()
            self._do(work, wish, stop)

        self._work = threading.Thread(target=done, name=f"nearfar {stage}", daemon=True)
        self._work.start()

    def _do(self, work: Work, wish: Wish, stop: threading.Event) -> None:
        try:
            if not stop.is_set():
                work(wish, stop)
        except _Stopped:
            pass
        except Exception as error:
            line = shown(fault_line(error), wish.data)
            with self._lock:
                if not stop.is_set():
                    self._to("failed", line)
            self._tell("setup", visible(f"{wish.machine}: no detector: {line}"), "warning")

    def _look(self, wish: Wish, stop: threading.Event) -> None:
        found = look_first(wish, self._progress(stop))
        with self._lock:
            if not stop.is_set():
                self._found, self._checked = found, True
                self._to("recordings")

    def _fit(self, wish: Wish, stop: threading.Event) -> None:
        detector, lines = fit_first(wish, self._progress(stop))
        if stop.is_set():
            raise _Stopped
        self.check_place()
        detector.save_over(self.folder, previous=False)
        clips = sum(len(section.clips) for section in detector.sections.values())
        self._tell("setup", visible(f"{self.folder}: fitted on {counted(clips, 'clip')}"))
        with self._lock:
            self._found = FirstLook(clips, self._found.seconds, tuple(lines), (), True)
            self._to("fitted", f"{wish.machine}: fitted on {counted(clips, 'clip')}")
        self.fitted.set()

    def check_place(self) -> None:
        """Refuse to write over a detector that somebody fitted meanwhile.

        Raises:
            Refusal: there is one.
        """
        if check_target(self.folder):
            raise Refusal(409, f"{self.folder.name}: there is a detector meanwhile; that one stays")

    def _progress(self, stop: threading.Event) -> Callable[[str, int, int], None]:
        def report(what: str, done: int, of: int) -> None:
            if stop.is_set():
                raise _Stopped
            with self._lock:
                self._line, self._done, self._total = what, done, of
            self.news.changed()

        return report

    def _give_way(self) -> threading.Thread | None:
        """End what waits or is being looked at; what may still be at it."""
        if self._settle is not None:
            self._settle.cancel()
        self._stop.set()
        return self._work

    # ---- telling ---------------------------------------------------------------------------------

    def _to(self, stage: Stage, line: str = "") -> None:
        self._stage, self._line = stage, line
        self.news.changed()

    def close(self, patience: float = 10.0) -> None:
        """End; what is being fitted is given up, what is being saved has so many seconds."""
        with self._lock:
            self._closed = True
            work = self._give_way()
        self.news.close()
        if work is not None and work is not threading.current_thread():
            work.join(patience)


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their own names; of equal ones the later has a number."""
    found: dict[str, Path] = {}
    for folder in folders:
        name, n = folder.absolute().name, 2
        while name in found:
            name, n = f"{folder.absolute().name} ({n})", n + 1
        found[name] = folder
    return found
