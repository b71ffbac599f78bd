"""A folder that is heard once, as it is now: for cron, and for scripts that wait for the end."""

from __future__ import annotations

from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol

from nearfar.service.incoming import ClipSource, Incoming, Notice, Put

CALM = 1.0  # s without anything new after which a folder has given what it had
LOOK = 0.1  # s between two looks


class ListedSource(ClipSource, Protocol):
    """A source that can say what is left of what it found.

    >>> "waiting" in vars(ListedSource)
    True
    """

    @property
    def listed(self) -> bool:
        """Has it looked through all that was there at the start?"""

    @property
    def waiting(self) -> int:
        """How many files are not complete yet."""


class FiniteSource:
    """Ends when the source in it has given all that was there.

    Args:
        source: is asked until it has nothing more.
        calm: s without anything new; `CALM` if not said.

    >>> FiniteSource.close.__doc__
    'Stop giving, and end its threads.'
    """

    def __init__(self, source: ListedSource, calm: float | None = None) -> None:
        self.name = source.name
        self._source = source
        self._calm = CALM if calm is None else calm
        self._put: Put = lambda given: None
        self._lock = Lock()
        self._within = 0  # puts that have not come back: a full queue makes them wait
        self._last = monotonic()
        self._stop = Event()
        self._thread: Thread | None = None

    @property
    def waiting(self) -> int:
        """How many files are not complete yet."""
        return self._source.waiting

    def start(self, put: Put) -> None:
        """Begin; returns at once."""
        self._put, self._last = put, monotonic()
        self._source.start(self._given)
        self._thread = Thread(target=self._wait, name=f"end of {self.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop giving, and end its threads."""
        self._stop.set()
        self._source.close()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _given(self, item: Incoming | Notice) -> None:
        with self._lock:
            self._within += 1
        try:
            self._put(item)
        finally:
            with self._lock:
                self._within -= 1
                self._last = monotonic()

    def _wait(self) -> None:
        while not self._stop.wait(LOOK):
            with self._lock:
                calm = not self._within and monotonic() - self._last >= self._calm
            # In this order: what is given after the first question has made the second one true.
            if calm and self._source.listed and not self._source.waiting:
                self._put(Notice(self.name, "ended", f"{self.name}: heard what was there"))
                return
