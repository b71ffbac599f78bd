"""Which file is complete now: a machine of times and sizes, with neither clock nor disk."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nearfar.service.incoming import Stamp

Look = Callable[[str], Stamp | None]  # how a file is now; None: it is not there any more
_FORGOTTEN = 20  # listings that a file was not in, after which it is not remembered


class Settled(NamedTuple):
    """What became of a file that was waited for.

    >>> Settled(Stamp("a.wav", 44, 0), complete=False).complete
    False
    """

    stamp: Stamp
    complete: bool  # else it has had its time and is not whole


@dataclass(slots=True)
class _Waiting:
    """A file that is not complete yet; there may be 100,000 of them at the start."""

    size: int
    modified: int
    since: float  # when it was first seen
    changed: float  # when it was last seen to change
    due: float  # when it is looked at next
    rank: int = 0  # its place among what was there at the start; 0: it came later
    closed: bool = False
    judged: bool = False  # as it is now its content has been looked at, and was not whole
    told: bool = False


class Settling:
    """Files → those that are complete, each once, in the order in which they became so.

    What is there at the start needs `settle` to be found complete, and comes first all the same:
    so long what comes later is held, and no longer, whatever still grows.

    A file is complete when its writer has closed it or moved it into place, or else when size and
    time stay as they are for `settle` seconds; and only if `whole` finds it to be, or when it has
    lain there unchanged for `patience`: then whoever reads it says what is wrong. An empty file,
    and one that grows, has `patience` too; it is told of once, and still waited for.

    Args:
        settle: s.
        patience: s.
        look: asks how a file is.
        whole: whether a file's content is what its header says.

    >>> disk = {"a.wav": Stamp("a.wav", 100, 1)}
    >>> settling = Settling(2.0, 600.0, disk.get, lambda path: True)
    >>> settling.see(disk["a.wav"], now=10.0)
    >>> [s.stamp.path for s in settling.step(11.0)], [s.stamp.path for s in settling.step(12.0)]
    ([], ['a.wav'])
    """

    def __init__(
        self, settle: float, patience: float, look: Look, whole: Callable[[str], bool]
    ) -> None:
        self._settle, self._patience, self._look, self._whole = settle, patience, look, whole
        self._waiting: dict[str, _Waiting] = {}
        self._due: list[tuple[float, int, str]] = []  # a heap; entries that are not true any more
        self._held = float("-inf")  # until when what comes later is held
        self._number = 0  # keeps the order of arrival among files that are due at once
        # Files done with, by the hash of their stamps, and in which listing they were last: 100
        # bytes for each, where path and stamp would be 400. That two of a million have one hash
        # happens to one plant in ten million.
        self._known: dict[int, int] = {}
        self._listings = 0
        self._given: dict[str, float] = {}  # path → when; of the last `settle` seconds
        self.vanished = 0  # files that went while they were waited for

    @property
    def untold(self) -> int:
        """Files that wait, without those that were told of as unfinished; from any thread."""
        return sum(not waits.told for waits in list(self._waiting.values()))

    def knows(self, stamp: Stamp) -> bool:
        """Whether the file as it is needs nothing more; asked for, it is remembered on."""
        if (key := hash((stamp.path, stamp.size, stamp.modified))) in self._known:
            self._known[key] = self._listings
            return True
        return False

    def skip(self, stamp: Stamp) -> None:
        """The file as it is needs nothing; changed, it is a new one."""
        self._known[hash((stamp.path, stamp.size, stamp.modified))] = self._listings
        self._waiting.pop(stamp.path, None)

    def listed(self) -> None:
        """All files that are there have been seen once more: what is long gone is forgotten."""
        self._listings += 1
        oldest = self._listings - _FORGOTTEN
        if self._listings % _FORGOTTEN == 0:
            self._known = {key: last for key, last in self._known.items() if last >= oldest}

    def see(
        self, stamp: Stamp, now: float, *, closed: bool = False, moved: bool = False,
        age: float = 0.0, first: bool = False,
    ) -> None:  # fmt: skip
        """An event or a listing found a file.

        Args:
            stamp: as it is.
            now: s, of a clock that never goes back.
            closed: its writer has closed it this moment.
            moved: it has its name since this moment, so it was whole before.
            age: s that it is known to have lain as it is.
            first: it is there at the start; of several in the order that they are to have.
        """
        if self.knows(stamp):
            return
        # Closed, given, and now another: its writer opens it again and again.
        if reopened := self._given.get(stamp.path, float("-inf")) + self._settle > now:
            self._given[stamp.path] = now
        closed = moved or (closed and not reopened)
        waits = self._waiting.get(stamp.path)
        if waits is None:
            waits = _Waiting(stamp.size, stamp.modified, now - age, now, now + self._settle)
            self._waiting[stamp.path] = waits
            if first:
                self._held, waits.rank = now + self._settle, self._number + 1
        elif (waits.size, waits.modified) != (stamp.size, stamp.modified):
            self._change(waits, stamp, now)
        elif not closed or waits.judged:  # nothing new
            return
        waits.closed = closed
        if closed:
            waits.due = max(now, self._held)
        self._push(stamp.path, waits)

    def step(self, now: float) -> Iterator[Settled]:
        """Those that are complete now, or have had their time; each is looked at when it is given.

        Between two of them `see` may be called.
        """
        self._given = {p: at for p, at in self._given.items() if at + self._settle > now}
        while self._due and self._due[0][0] <= now:
            due, _, path = heapq.heappop(self._due)
            waits = self._waiting.get(path)
            if waits is not None and waits.due == due:  # else it was put off or is gone
                found = self._judge(path, waits, now)
                if found is not None:
                    yield found

    @property
    def next(self) -> float | None:
        """When to call `step` again; None: not before something is seen."""
        return self._due[0][0] if self._due else None

    def _push(self, path: str, waits: _Waiting) -> None:
        self._number += 1
        heapq.heappush(self._due, (waits.due, waits.rank or self._number, path))

    def _change(self, waits: _Waiting, stamp: Stamp, now: float) -> None:
        waits.size, waits.modified, waits.changed = stamp.size, stamp.modified, now
        waits.closed = waits.judged = False
        waits.due = now + self._settle
        if not waits.told:  # what changes all the time would never be looked at
            waits.due = min(waits.due, max(now, waits.since + self._patience))

    def _judge(self, path: str, waits: _Waiting, now: float) -> Settled | None:
        stamp = self._look(path)
        if stamp is None:
            del self._waiting[path]
            self.vanished += 1
            return None
        if (waits.size, waits.modified) != (stamp.size, stamp.modified):
            self._change(waits, stamp, now)
        still = waits.closed or now - waits.changed >= self._settle
        late = now - waits.since >= self._patience
        if still and stamp.size and (late or self._is_whole(path, waits)):
            self.skip(stamp)
            self._given[path] = now
            return Settled(stamp, complete=True)
        # What is not whole is asked after less often, for it may stay so for ever.
        waits.due = max(now + self._settle, waits.changed + self._settle)
        if waits.told:
            waits.due = now + max(self._settle, self._patience / 10)
        self._push(path, waits)
        if late and not waits.told:
            waits.told = True
            return Settled(stamp, complete=False)
        return None

    def _is_whole(self, path: str, waits: _Waiting) -> bool:
        if not waits.judged:  # once for each state of it
            waits.judged = not self._whole(path)
        return not waits.judged
