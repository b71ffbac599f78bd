"""What all outputs have in common: a queue, a thread of its own, and a health that anybody asks."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from time import monotonic

from nearfar.errors import printable
from nearfar.service.news import AlarmEvent, Bulletin, OutputHealth
from nearfar.service.outputs.outbox import Outbox, Parcel
from nearfar.text import one_line

log = logging.getLogger(
    "nearfar.service.watch"
)  # the watch's own: its lines are shown from info on
AFTER_A_FAULT = 10.0  # s until work that failed for a fault of ours is begun again


class Teller:
    """An output that works in a thread; a kind of it says how in `_work`.

    >>> class Printed(Teller):
    ...     name, wants_clips = "printed", True
    ...     def _work(self) -> None:
    ...         if (parcel := self._box.take()) is None:
    ...             return self._rest()
    ...         print(parcel.bulletin.machine.machine)
    ...         self._box.done(parcel)
    >>> from nearfar.service.news import MachineNow
    >>> from nearfar.service.observation import Observation
    >>> from nearfar.service.incoming import now
    >>> seen = Observation("hall", "a.wav", "a.wav", "pump", "00", None, now(), 1.0, "9f", "idle")
    >>> printed = Printed(most=10)
    >>> printed.start()
    >>> printed.tell(Bulletin(MachineNow("pump", "00", clips=1), seen))
    >>> printed.close(patience=60)
    pump
    """

    name = "output"
    wants_clips = False  # besides events
    verbs = frozenset({"raised", "cleared", "acknowledged", "shelved", "unshelved"})

    def __init__(self, most: int) -> None:
        self._box = Outbox(most)
        self._news = threading.Event()  # something to do
        self._closing = False
        self._until = float("inf")  # of the monotonic clock: by then it is ended
        self._up = True
        self._trouble = ""
        self._thread = threading.Thread(target=self._run, name=f"nearfar {self.name}", daemon=True)

    def check(self) -> None:
        """See whether it can work at all, before it begins.

        Raises:
            NearfarError: settings that can never work.
        """

    def start(self) -> None:
        """Begin.

        Raises:
            NearfarError: as `check`.
        """
        self.check()
        self._thread.start()

    def unsaid(self) -> list[Bulletin]:
        """Take what waited when it was closed, in order: another may say it."""
        found = []
        while (parcel := self._box.take()) is not None:
            seen = parcel.bulletin.observation if parcel.event is None else None
            events = () if parcel.event is None else (parcel.event,)
            found.append(replace(parcel.bulletin, observation=seen, events=events))
        return found

    def tell(self, bulletin: Bulletin) -> None:
        """Take what is to be said: the clip if this output wants clips, and events."""
        parcels: list[Parcel] = []
        if self.wants_clips and bulletin.observation is not None:
            parcels.append(Parcel(bulletin))
        parcels += [Parcel(bulletin, event) for event in bulletin.events if self._wanted(event)]
        silent = tuple(event.id for event in bulletin.events if not self._wanted(event))
        self._box.put(*parcels, silent=silent)
        self._wake()

    @property
    def health(self) -> OutputHealth:
        """How it is; from any thread."""
        return OutputHealth(self.name, self._up, self._box.queued, self._box.lost, self._trouble)

    @property
    def said(self) -> int:
        """The highest event id up to which all were said."""
        return self._box.said

    def close(self, patience: float = 5.0) -> None:
        """Say what is queued within so many seconds, and end; the thread is gone with it."""
        self._until = monotonic() + patience
        self._closing = True
        self._wake()
        if self._thread.is_alive():
            # A little more than it was given: it ends by itself, and says so to whom it talks.
            self._thread.join(patience + 2)

    def _wanted(self, event: AlarmEvent) -> bool:
        return not event.silent and event.verb in self.verbs

    def _wake(self) -> None:
        """Let the thread look what there is to do."""
        self._news.set()

    @property
    def _left(self) -> float | None:
        """Seconds until it must have ended; None: nobody has asked it to."""
        return max(self._until - monotonic(), 0.0) if self._closing else None

    @property
    def _ended(self) -> bool:
        return self._closing and (monotonic() >= self._until or not self._box.queued)

    def _run(self) -> None:
        while not self._ended:
            try:
                self._work()
            except Exception as fault:  # day and night: others go on, and this one later
                self._failed(f"a fault of nearfar's own, {type(fault).__name__}: {one_line(fault)}")
                log.debug("%s", self.name, exc_info=True, extra={"event": "fault"})
                self._recover()
                self._pause(AFTER_A_FAULT)
        self._end()

    def _work(self) -> None:
        """Say what there is, wait for more for a while, and return."""
        raise NotImplementedError

    def _recover(self) -> None:
        """Forget what was begun when a fault of ours came between; it is begun anew."""
        self._box.again()

    def _end(self) -> None:
        """Say goodbye; the last thing that the thread does."""

    def _rest(self) -> None:
        """Wait for something to do. Whoever calls it has found nothing, and looks again after."""
        self._news.wait(self._left)
        self._news.clear()

    def _failed(self, trouble: str) -> None:
        self._up = False
        self._trouble = printable(trouble)

    def _works(self) -> None:
        self._up, self._trouble = True, ""

    def _pause(self, seconds: float) -> None:
        """Wait, at most until it must have ended; being asked to end cuts a wait short once."""
        until, closing = monotonic() + seconds, self._closing
        while closing == self._closing and (left := min(until, self._until) - monotonic()) > 0:
            self._news.wait(left)
            self._news.clear()
