"""What the system tells of a folder tree, by the package watchdog."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from nearfar.errors import needs

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

Happened = Literal["seen", "closed", "moved"]
Tell = Callable[[str, Happened], None]


class _Relay:
    """Turns events of one watch into paths as the user has them, and does nothing else.

    An exception in here would end the observer's thread.
    """

    def __init__(self, shown: str, real: str, tell: Tell, watched: set[str]) -> None:
        self._shown, self._real, self._tell, self._watched = shown, real, tell, watched

    def dispatch(self, event: FileSystemEvent) -> None:
        if event.is_directory:
            return
        path = os.fsdecode(event.dest_path or event.src_path)
        if event.event_type == "moved" and not event.dest_path:  # it left
            return
        if path.startswith(self._real) and not self._is_anothers(path):
            kinds: dict[str, Happened] = {"closed": "closed", "moved": "moved"}
            self._tell(self._shown + path[len(self._real) :], kinds.get(event.event_type, "seen"))

    def _is_anothers(self, path: str) -> bool:
        """Whether a folder within ours is watched by itself: a link may lead above the first."""
        return any(
            len(real) > len(self._real) and path.startswith(os.path.join(real, ""))
            for real in tuple(self._watched)
        )


class Watcher:
    """Tells of files below folders: seen, closed after writing, moved into place.

    It works in threads of its own, until `close`.

    Args:
        tell: takes path and what happened; from another thread.

    Raises:
        NearfarError: watchdog is not installed.
        OSError: the system has no more watches to give.

    >>> watcher = Watcher(lambda path, happened: None)
    >>> watcher.alive
    True
    >>> watcher.close()
    """

    def __init__(self, tell: Tell) -> None:
        with needs("plant", "watching a folder needs a file watcher"):
            from watchdog import events

            self._observer = _observer()
        self._tell = tell
        self._filter: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileMovedEvent, events.FileClosedEvent,
            events.DirCreatedEvent, events.DirMovedEvent,
        ]  # fmt: skip
        # Elsewhere nobody says when a file is closed. Here an event for each write would only
        # fill the system's queue: files that wait are looked at anyway.
        if not sys.platform.startswith("linux"):
            self._filter.append(events.FileModifiedEvent)
        self._watched: set[str] = set()
        # Of a folder made within one just made it may hear twice, and warns that it overwrites
        # its own entry by the same: nothing for a user.
        warnings.filterwarnings("ignore", "Callback with id .*", RuntimeWarning)
        self._observer.start()

    def add(self, folder: str) -> None:
        """Tell of files at and below this folder, by the name it has here.

        Raises:
            OSError: it is gone, or the system has no more watches to give.
        """
        real = os.path.realpath(folder)  # a link itself would be watched, not what it leads to
        if real in self._watched:
            return
        relay = _Relay(folder, real, self._tell, self._watched)
        self._observer.schedule(relay, real, recursive=True, event_filter=self._filter)  # type: ignore[arg-type]
        self._watched.add(real)

    @property
    def alive(self) -> bool:
        """Whether all of its threads run."""
        threads = (self._observer, *self._observer.emitters)
        return all(thread.is_alive() for thread in threads)

    def close(self) -> None:
        """Stop telling, and end its threads."""
        self._observer.stop()
        self._observer.join(timeout=2.0)


def _observer() -> BaseObserver:
    if sys.platform.startswith("linux"):
        from watchdog.observers.inotify import InotifyObserver
        from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

        # It would hold all events behind a file that leaves for half a second, to see whether the
        # file comes in elsewhere. To us a file that comes in is moved, wherever it was before.
        InotifyMoveEventGrouper.delay = 0.0
        # Full: a file moved here from outside is told as moved, not as new.
        return InotifyObserver(generate_full_events=True)
    from watchdog.observers import Observer

    return Observer()
