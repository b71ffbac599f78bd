"""What an output has still to say: bounded, in order, and what was given up is counted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from nearfar.service.news import AlarmEvent, Bulletin


@dataclass(eq=False)
class Parcel:
    """One thing to say: an event of a bulletin, or the clip itself.

    >>> from nearfar.service.news import MachineNow
    >>> Parcel(Bulletin(MachineNow("pump", "00", clips=1))).event is None
    True
    """

    bulletin: Bulletin
    event: AlarmEvent | None = None  # None: the bulletin's observation
    serial: int = field(default=0, init=False)  # in the order of telling


class Outbox:
    """Parcels from many threads to one, which takes them and says later what became of each.

    Parcels that were taken count as queued until they are done. Where there are too many, the
    oldest clip is given up, and an event only where there are no clips: a missed clip is in the
    history, a missed alarm may be a broken machine.

    >>> from nearfar.service.news import MachineNow
    >>> box = Outbox(most=1)
    >>> for clips in (1, 2):
    ...     box.put(Parcel(Bulletin(MachineNow("pump", "00", clips=clips))))
    >>> box.queued, box.lost, box.take().bulletin.machine.clips
    (1, 1, 2)
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._serial = 0
        self._waiting: dict[int, Parcel] = {}  # by serial, in order
        self._clips: deque[int] = deque()  # serials of clips, some of which may wait no more
        self._out: dict[int, Parcel] = {}  # taken, and nobody knows yet
        self._events: deque[int] = deque()  # ids told and not all said before, in order
        self._over: set[int] = set()  # of these, those that are said or given up
        self._said = 0
        self._lost = 0

    def put(self, *parcels: Parcel, silent: tuple[int, ...] = ()) -> None:
        """Queue some, giving up the oldest where there are too many.

        Args:
            parcels: in order.
            silent: ids of events that nobody is to be told of; they are as good as said.
        """
        with self._lock:
            for parcel in parcels:
                self._serial += 1
                parcel.serial = self._serial
                self._waiting[parcel.serial] = parcel
                if parcel.event is None:
                    self._clips.append(parcel.serial)
                else:
                    self._events.append(parcel.event.id)
            for event in silent:
                self._events.append(event)
                self._over.add(event)
            self._settle()
            while len(self._waiting) + len(self._out) > self._most and self._waiting:
                self._give_up_one()

    def take(self) -> Parcel | None:
        """The next to be said, or None. Its taker calls `done`, `lose` or `again`."""
        with self._lock:
            if not self._waiting:
                return None
            serial = next(iter(self._waiting))
            parcel = self._out[serial] = self._waiting.pop(serial)
            # What is taken is no candidate to be given up; in a year there are millions.
            while self._clips and self._clips[0] <= serial:
                self._clips.popleft()
            return parcel

    def done(self, parcel: Parcel) -> None:
        """It was said; who hears it has told us so."""
        with self._lock:
            self._finish(parcel)

    def lose(self, parcel: Parcel) -> None:
        """It was given up."""
        with self._lock:
            self._lost += 1
            self._finish(parcel)

    def again(self) -> None:
        """All that were taken wait once more, before the others, in their old order."""
        with self._lock:
            if not self._out:
                return
            back = sorted({**self._out, **self._waiting}.items())
            self._waiting, self._out = dict(back), {}
            # Those that were taken may have been forgotten as candidates to be given up.
            self._clips = deque(serial for serial, parcel in back if parcel.event is None)

    @property
    def queued(self) -> int:
        """How many are not said yet."""
        with self._lock:
            return len(self._waiting) + len(self._out)

    @property
    def waiting(self) -> bool:
        """Is there any to take?"""
        return bool(self._waiting)

    @property
    def lost(self) -> int:
        """How many were given up."""
        return self._lost

    @property
    def said(self) -> int:
        """The event id up to which all were said (or given up, or silent); 0 for none."""
        return self._said

    def _give_up_one(self) -> None:
        self._lost += 1
        while self._clips:
            if (serial := self._clips.popleft()) in self._waiting:
                del self._waiting[serial]
                return
        self._finish(self._waiting.pop(next(iter(self._waiting))))

    def _finish(self, parcel: Parcel) -> None:
        self._out.pop(parcel.serial, None)
        if parcel.event is not None:
            self._over.add(parcel.event.id)
            self._settle()

    def _settle(self) -> None:
        """Let `said` pass over all events that are done with nothing undone before them."""
        while self._events and self._events[0] in self._over:
            event = self._events.popleft()
            self._over.discard(event)
            self._said = max(self._said, event)
