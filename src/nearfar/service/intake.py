"""The queue between sources and the watch: what came in, in the order of its arrival."""

from __future__ import annotations

import queue
import threading

from nearfar.service.incoming import Incoming, Notice

MOST = 1_000  # recordings that wait: names of files; who has more keeps them itself
MOST_SOUND = 30  # of them, with their sound in memory: of 10 s at 48 kHz some 120 MB


class Intake:
    """What sources put, and the watch takes, one after another.

    >>> intake = Intake()
    >>> intake.put(Notice("hall", "gone", "hall: the folder is gone"))
    >>> intake.take(0.0).kind, intake.take(0.0), len(intake)
    ('gone', None, 0)
    """

    def __init__(self, most: int = MOST, most_sound: int = MOST_SOUND) -> None:
        self._items: queue.Queue[Incoming | Notice] = queue.Queue(most)
        self._room = threading.BoundedSemaphore(most_sound)
        self._closed = threading.Event()

    def __len__(self) -> int:
        return self._items.qsize()

    def put(self, item: Incoming | Notice) -> None:
        """Add; waits while too much is there. After `close` nothing is taken, and nobody waits."""
        if isinstance(item, Incoming) and item.audio is not None:
            while not self._room.acquire(timeout=0.5):
                if self._closed.is_set():
                    return
        while not self._closed.is_set():
            try:
                self._items.put(item, timeout=0.5)
                return
            except queue.Full:
                continue

    def take(self, patience: float) -> Incoming | Notice | None:
        """The next, or None where none comes within so many seconds."""
        try:
            item = self._items.get(timeout=patience) if patience > 0 else self._items.get_nowait()
        except queue.Empty:
            return None
        if isinstance(item, Incoming) and item.audio is not None:
            self._room.release()
        return item

    def close(self) -> None:
        """Let whoever waits to put something go."""
        self._closed.set()


class IntakeDoor:
    """The way of one source to the queue; once it is shut nothing passes.

    >>> intake = Intake()
    >>> door = IntakeDoor(intake)
    >>> door.shut()
    >>> door.put(Notice("hall", "gone", "hall: the folder is gone"))
    >>> len(intake)
    0
    """

    def __init__(self, intake: Intake) -> None:
        self._intake, self._open = intake, True

    def put(self, item: Incoming | Notice) -> None:
        """Add, as `Intake.put`."""
        if self._open:  # what a source says while it is closed is of no account
            self._intake.put(item)

    def shut(self) -> None:
        """Let nothing through any more."""
        self._open = False
