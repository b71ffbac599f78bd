"""How machines are, as the newest rows of a history say: for who does not hear them himself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING

from nearfar.service.alarms.sensors import word_of
from nearfar.service.news import Bulletin, MachineNow
from nearfar.service.plant import Key

if TYPE_CHECKING:
    from nearfar.service.history.questions import HistoryRow
    from nearfar.service.history.store import HistoryStore
    from nearfar.service.news import StandingAlarm
    from nearfar.service.observation import Observation

BACK = 200  # rows in which the last judged one is looked for, of a machine that stands still
RUNNING = {"judged": True, "idle": False}


class Lately:
    """Follows a history that another process writes; asked by one thread, read by many.

    Args:
        store: the history.
        keys: machines and sections that are shown.

    Raises:
        StorageError: it cannot be read.

    >>> from nearfar.service.history.store import HistoryStore
    >>> store = HistoryStore.open("")
    >>> lately = Lately(store, [("pump", "00")])
    >>> lately.look(), lately.machines["pump", "00"].running
    ([], None)
    >>> store.close()
    """

    def __init__(self, store: HistoryStore, keys: Iterable[Key]) -> None:
        self._store = store
        self._clips = dict.fromkeys(keys, 0)  # seen since it began
        self._last: dict[Key, Observation] = {}
        self._judged: dict[Key, Observation] = {}
        # Where it goes on, before what it begins with: else a row between would never be shown.
        self._row, _ = store.newer(None)
        self._event = store.highest()[1]
        for key in self._clips:
            self._recall(key)
        self._alarms = self._standing()
        self.machines: Mapping[Key, MachineNow] = {key: self._machine(key) for key in self._clips}

    def look(self) -> list[Bulletin]:
        """What was kept since the last look, in its order.

        Raises:
            StorageError: it cannot be read.
        """
        row, rows = self._store.newer(self._row)
        events = self._store.events(self._event)
        before, self._alarms = self._alarms, self._standing()
        if row < self._row:  # another history in its place
            self._event = self._store.highest()[1]
        self._row = row
        self._event = max([self._event, *(event.id for event in events)])
        found = [self._clip(one) for one in rows if one.observation.key in self._clips]
        mine = [event for event in events if (event.machine, event.section) in self._clips]
        found += [Bulletin(self._machine((e.machine, e.section)), events=(e,)) for e in mine]
        told = {(b.machine.machine, b.machine.section) for b in found}
        # What people say of an alarm is in its row at once; its event comes with a watch alone.
        acted = [k for k in self._clips if before.get(k) != self._alarms.get(k) and k not in told]
        found += [Bulletin(self._machine(key)) for key in acted]
        fresh = {(b.machine.machine, b.machine.section): b.machine for b in found}
        self.machines = {**self.machines, **fresh}
        return found

    def _clip(self, one: HistoryRow) -> Bulletin:
        seen = one.observation
        self._clips[seen.key] += 1
        self._last[seen.key] = seen
        if seen.status == "judged":
            self._judged[seen.key] = seen
        return Bulletin(self._machine(seen.key), seen, (), one.id)

    def _standing(self) -> dict[Key, tuple[StandingAlarm, ...]]:
        found: dict[Key, tuple[StandingAlarm, ...]] = defaultdict(tuple)
        for alarm in self._store.standing():
            found[alarm.machine, alarm.section] += (alarm,)
        return dict(found)

    def _recall(self, key: Key) -> None:
        """The newest row of a machine, and the newest that has a score."""
        from nearfar.service.history.questions import Wanted

        for many in (1, BACK):  # nearly always the very first has one
            for row in islice(self._store.rows(Wanted(*key), newest=True, limit=many), many):
                self._last.setdefault(key, row.observation)
                if row.observation.status == "judged":
                    self._judged[key] = row.observation
                    return
            if key not in self._last:
                return

    def _machine(self, key: Key) -> MachineNow:
        last = self._last.get(key)
        faults: tuple[str, ...] = ()
        running = None
        if last is not None:
            # As a watch has it: of a clip that could not be heard nobody knows whether it ran.
            faults = last.faults or (("unreadable",) if last.status == "unjudged" else ())
            quiet = any(word_of(one) in ("dead", "silent") for one in faults)
            running = None if quiet else RUNNING.get(last.status)
        return MachineNow(
            *key, clips=self._clips[key], running=running, faults=faults, last=last,
            judged=self._judged.get(key), alarms=self._alarms.get(key, ()),
        )  # fmt: skip
