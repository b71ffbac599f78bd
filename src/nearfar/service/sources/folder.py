"""A watched folder: new recordings in it are given once each, when they are complete."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from nearfar.clips.clip import Clip
from nearfar.clips.folders import named_clip
from nearfar.clips.moments import Clock, time_of
from nearfar.clips.pairs import FOREIGN, Pairing, Recording, foreign
from nearfar.clips.words import place_of
from nearfar.errors import AudioError, SettingError, first_line, printable
from nearfar.service.incoming import Incoming, Knows, Notice, Put, Stamp
from nearfar.service.sources.partners import Half, Partners, Whole, sided
from nearfar.service.sources.settling import Settled, Settling
from nearfar.service.sources.tree import (
    Tree,
    by_age,
    identity_of,
    is_sound,
    stamped,
    tells_events,
    walked,
    watchable,
)
from nearfar.service.sources.watcher import Happened, Watcher
from nearfar.sound import audio
from nearfar.text import counted, lasting

_NET = 60.0  # s between listings beside events: a full queue of the system drops them
_POLL = 5.0  # s between listings where there are no events and nobody has said how often
_SHARE = 20  # of the time a listing takes, at least so much passes before the next one
_BURST = 8_192  # events; the system's queue holds 16,384, and is not seen to overflow from here
_CHECK = 1.0  # s between looks whether the folder is still there
_AT_ONCE = 1_000  # events taken before files are given again


class FolderSource:
    """Recordings of a folder and those below it, in the order in which they became complete.

    What is there at the start comes first, oldest first: by the time in its name where that has
    one, else by that of its file. Near and far files that arrive apart are given as one recording.
    Where the file system sends no events (network disks, `poll`) the folder is listed again and
    again; it is listed every minute in any case, since events get lost.

    Args:
        name: the source's.
        folder: to watch.
        settle: s; a file that nobody has closed is complete when it stays as it is so long.
        patience: s; how long a half and an unfinished file wait before they are told of.
        pair: which names belong together; else as recorders name them.
        clock: reads the time off a name.
        machine: whose recordings they all are; else their folders' names say it, as to
            `nearfar score`.
        section: of the machine, likewise.
        poll: s between listings, for a folder that sends no events; None finds that out.
        knows: whether files were done with before; asked from the source's thread, a file at a
            time.
        existing: False leaves alone what is there at the start.
        aside: a folder whose files are none of the recorder's, as what a history keeps.

    Raises:
        SettingError: an impossible `settle`, `patience` or `poll`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source = FolderSource("hall", Path(folder), knows=lambda files: False)
    ...     source.start(print)
    ...     source.close()
    """

    def __init__(
        self, name: str, folder: Path, *, settle: float = 2.0, patience: float = 600.0,
        pair: Pairing | None = None, clock: Clock = time_of, machine: str = "", section: str = "",
        poll: float | None = None, knows: Knows, existing: bool = True,
        aside: Path | None = None,
    ) -> None:  # fmt: skip
        _check(settle=settle, patience=patience, poll=math.inf if poll is None else poll)
        self.name = name
        # A row's path must mean the same file when the watch is started elsewhere.
        self._root, self._given = os.path.abspath(folder), folder
        ours = "" if aside is None else os.path.join(os.path.abspath(aside), "")
        # Who watches that very folder means it.
        within = ours.startswith(os.path.join(self._root, ""))
        self._ours = ours if within and os.path.dirname(ours) != self._root else ""
        self._machine, self._section = machine, section
        self._pair, self._clock, self._knows, self._poll = pair, clock, knows, poll
        self._existing = existing
        self._settling = Settling(settle, patience, stamped, _is_whole)
        self._partners = Partners(patience, pair)
        self._events: SimpleQueue[tuple[str, Happened] | None] = SimpleQueue()
        self._stop = Event()
        self._watcher: Watcher | None = None
        self._thread: Thread | None = None
        self._put: Put = lambda given: None
        self._identity: tuple[int, int] | None = None
        self._every = poll or _NET
        self._next_listing = self._next_check = 0.0
        self._first, self._listed = True, False
        self._burst = self._left_out = 0
        self._system = False  # whether folders of the system itself were told of
        self._unreadable: dict[str, str] = {}
        self._said = ""  # the last trouble: told once, not each second
        self.others = 0  # files in it that are no recordings by their names

    @property
    def vanished(self) -> int:
        """Files that went before they were given."""
        return self._settling.vanished

    @property
    def listed(self) -> bool:
        """Whether all that was there at the start has been seen."""
        return self._listed

    @property
    def waiting(self) -> int:
        """Files of which nothing was told yet: not complete, or their other half is missing."""
        return self._settling.untold + self._partners.untold

    def start(self, put: Put) -> None:
        """Begin; returns at once.

        Raises:
            DatasetError: no such folder.
            NearfarError: the file watcher is not installed.
        """
        self._put = put
        self._identity = watchable(self._given)
        self._watch()
        self._thread = Thread(target=self._run, name=f"source {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop giving, and end the threads."""
        self._stop.set()
        self._events.put(None)
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        self._unwatch()

    # ---- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._turn()
                self._said = ""
            except Exception as error:  # a thread that died in silence would hear nothing for ever
                self._trouble(error)
                self._stop.wait(_CHECK)

    def _turn(self) -> None:
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + _CHECK
            self._look_after(now)
        if self._identity is not None and now >= self._next_listing:
            self._list(now)
        self._hear(self._pause(time.monotonic()))
        now = time.monotonic()
        for found in self._settling.step(now):
            try:
                self._settled(found, now)
            except Exception as error:  # it will not be looked at again, so it must be named
                self._tell("trouble", f"{found.stamp.path}: not heard, {type(error).__name__}: "
                           f"{first_line(error)}")  # fmt: skip
            if self._stop.is_set():
                return
        for late in self._partners.late(now):
            self._half(late) if isinstance(late, Half) else self._give(late)

    def _pause(self, now: float) -> float:
        nexts = [self._next_check, self._next_listing if self._identity else math.inf]
        nexts += [] if self._settling.next is None else [self._settling.next]
        return max(0.0, min(nexts) - now)

    def _hear(self, wait: float) -> None:
        """Take what the system has told, or wait for it so many seconds."""
        with suppress(Empty):
            for _ in range(_AT_ONCE):
                event = self._events.get(timeout=wait) if wait > 0 else self._events.get_nowait()
                if event is None:
                    return
                wait = 0.0
                self._burst += 1
                path, happened = event
                stamp, now = stamped(path), time.monotonic()
                # None: it is gone already.
                if stamp is not None and not self._aside(path) and not self._is_done(stamp, now):
                    closed, moved = happened == "closed", happened == "moved"
                    self._settling.see(stamp, now, closed=closed, moved=moved)
        if self._burst >= _BURST:
            self._burst = 0
            self._next_listing = min(self._next_listing, time.monotonic() + _CHECK)

    def _aside(self, path: str) -> bool:
        """Whether a file lies in a folder that listing would not open, or that is ours."""
        if self._is_ours(path):
            return True
        folders = os.path.relpath(path, self._root).split(os.sep)[:-1]
        return any(f.startswith(".") or f.casefold() in ("supplemental", "__macosx")
                   for f in folders)  # fmt: skip

    def _is_ours(self, path: str) -> bool:
        """Whether a file is sound that we kept: it would be heard, and kept, again."""
        return bool(self._ours) and path.startswith(self._ours)

    # ---- the folder ------------------------------------------------------------------------------

    def _watch(self) -> None:
        self._unwatch()
        self._every = self._poll or _NET
        if self._poll is not None:
            return
        if not tells_events(self._root):
            return self._without_events("a network disk")
        try:
            self._watcher = Watcher(self._told)
            self._watcher.add(self._root)
        except OSError as error:  # too many watches or open files
            self._unwatch()
            self._without_events(error.strerror or str(error))

    def _without_events(self, why: str) -> None:
        self._every = _POLL
        self._tell("polling", f"{self._root}: the system tells nothing of new files here ({why}); "
                   f"it is listed every {lasting(_POLL)}")  # fmt: skip

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def _told(self, path: str, happened: Happened) -> None:
        if is_sound(os.path.basename(path)):
            self._events.put((path, happened))

    def _look_after(self, now: float) -> None:
        """Notice when the folder goes, comes back, or is another one of the same name."""
        try:
            identity, why = identity_of(self._root), "another folder has its name"
        except OSError as error:
            identity, why = None, error.strerror or str(error)
        if identity == self._identity:
            if self._watcher is not None and not self._watcher.alive:
                self._watch()
                self._next_listing = now
            return
        if self._identity is not None:
            self._unwatch()
            self._tell("gone", f"{self._root}: the folder is gone ({why}); waiting for it")
        self._identity = identity
        if identity is not None:
            self._watch()
            self._next_listing = now
            self._tell("back", f"{self._root}: the folder is there")

    def _list(self, now: float) -> None:
        self._settling.listed()
        tree = walked(
            self._root,
            lambda stamp: not self._is_ours(stamp.path) and not self._is_done(stamp, now),
        )
        self.others, fresh = tree.others, tree.files
        if self._first and not self._existing:
            self._leave(fresh)
            fresh = []
        # Later on the names' times are not asked: recorders' clocks jump.
        first, self._first = self._first, False
        clock = self._clock if first else None
        fresh.sort(key=lambda stamp: by_age(stamp, clock))
        today = time.time_ns()
        for stamp in fresh:
            age = max(0.0, (today - stamp.modified) / 1e9)
            self._settling.see(stamp, now, age=age, first=first)
        self._listed = True
        self._follow(tree)
        ended = time.monotonic()
        self._next_listing = ended + max(self._every, _SHARE * (ended - now))

    def _leave(self, files: list[Stamp]) -> None:
        for stamp in files:
            self._settling.skip(stamp)
        if files:
            self._tell("left", f"{self._root}: {counted(len(files), 'file')} from before "
                       "are left alone")  # fmt: skip

    def _follow(self, tree: Tree) -> None:
        for folder, _ in tree.links:
            if self._watcher is not None:
                with suppress(OSError):  # then listing finds what is new in it
                    self._watcher.add(folder)
        for folder, why in tree.unreadable.items():
            if folder not in self._unreadable and folder != self._root:
                self._tell("trouble", f"{folder}: cannot be read ({why}); files in it are not "
                           "heard; see to its permissions")  # fmt: skip
        self._unreadable = tree.unreadable
        if tree.system and not self._system:
            self._tell("left", f"{tree.system[0]}: of the system itself, so what is in it is no "
                       "recording and left out, as is all of its kind")  # fmt: skip
        self._system = self._system or bool(tree.system)

    # ---- files -----------------------------------------------------------------------------------

    def _is_done(self, stamp: Stamp, now: float) -> bool:
        """Whether a file as it is was done with before, by this watch or by an earlier one."""
        if self._settling.knows(stamp):
            return True
        if not self._knows((stamp,)):
            return False
        self._settling.skip(stamp)
        if side := sided(stamp.path, self._root, self._pair):  # its other half may be new
            for whole in self._partners.take(stamp, side, now, known=True):
                self._give(whole)
        return True

    def _settled(self, found: Settled, now: float) -> None:
        stamp, path = found.stamp, Path(found.stamp.path)
        if not found.complete:
            what = "still being written" if stamp.size else "empty"
            self._tell("unfinished", f"{path}: {what}; it is heard when it is complete", stamp)
        elif side := sided(stamp.path, self._root, self._pair):
            for whole in self._partners.take(stamp, side, now):
                self._give(whole)
        elif self._pair is not None and path.suffix.lower() not in FOREIGN:
            self._left_out += 1
            if self._left_out == 1:
                self._tell("left", f"{path}: neither near nor far by --pair, so it is left out, as "
                           "are all more of its kind", stamp)  # fmt: skip
        else:
            fault = foreign(path) if path.suffix.lower() in FOREIGN else ""
            place = os.path.dirname(stamp.path)
            self._give(Whole(Recording(path, fault=fault), (stamp,), place))

    def _half(self, half: Half) -> None:
        self._tell("half", f"{half.stamp.path}: the other microphone's file did not come: "
                   f"{half.missing}", half.stamp, half.place)  # fmt: skip

    def _give(self, whole: Whole) -> None:
        clip = self._clip(whole.recording, whole.place)
        self._put(Incoming(self.name, clip, files=whole.files))

    def _clip(self, recording: Recording, place: str) -> Clip:
        clip = named_clip(recording, place_of(Path(place)), self._clock)
        return replace(clip, machine=self._machine or clip.machine,
                       section=self._section or clip.section)  # fmt: skip

    def _tell(self, kind: str, text: str, stamp: Stamp | None = None, place: str = "") -> None:
        files, clip = ((), None) if stamp is None else ((stamp,), self._of_file(stamp, place))
        self._put(Notice(self.name, kind, printable(text), self._machine, files, clip))

    def _of_file(self, stamp: Stamp, place: str) -> Clip:
        return self._clip(Recording(Path(stamp.path)), place or os.path.dirname(stamp.path))

    def _trouble(self, error: Exception) -> None:
        said = f"{self._root}: {type(error).__name__}: {first_line(error)}; it goes on"
        if said != self._said:
            self._said = said
            self._tell("trouble", said)


def _is_whole(path: str) -> bool:
    """Whether a file's header agrees with its content: only of what is being written it does not.

    What cannot be said waits for its patience: then it is given, and reading it says why.
    """
    if os.path.splitext(path)[1].lower() in FOREIGN:
        return True
    try:
        return audio.duration(path) > 0
    except AudioError:
        return False


def _check(**seconds: float) -> None:
    for name, value in seconds.items():
        if not (isinstance(value, int | float) and value >= 0 and (value or name == "settle")):
            raise SettingError(f"{name} is {value}; it is a number of seconds above 0")
