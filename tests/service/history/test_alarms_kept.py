"""Station, keeper and history together, as the watch has them: whatever happens, they agree."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heard_clips import START, heard, normal
from nearfar.errors import SettingError, StorageError
from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.point import Numbering
from nearfar.service.alarms.station import Station
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.keeper import Keeper
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Notice

KEY = ("pump", "00")
FAULTS = ("near dead", "moved", "near clipped", "wrong rate")


class Door:
    """A store that may be shut for the watch; other processes have it all the same."""

    def __init__(self, store):
        self.store, self.shut = store, False

    def __getattr__(self, name):
        if self.shut:
            raise StorageError("plant.db: database is locked")
        return getattr(self.store, name)


class Kept(RuleBasedStateMachine):
    """One machine; each rule is something that happens to it, to its watch, or to its history."""

    def __init__(self):
        super().__init__()
        self.store = HistoryStore.open("")
        self.door = Door(self.store)
        self.clock, self.n, self.now = 0.0, 0, START
        self.rule = AlarmRule(3, 5)
        self.told, self.window, self.digests = [], [], []
        self.shelves = {}  # (kind, condition) → until
        self.begin("")

    def begin(self, state):
        made = AlarmSettings(self.rule, every=60.0, drift_run=100.0)
        self.keeper = Keeper(self.door, clock=lambda: self.clock)
        self.numbers = Numbering(*self.store.highest())
        self.station = Station(*KEY, normal(), made, self.numbers, state)
        self.acted = self.station.acted

    def keep(self, events, seen=None):
        for event in events:
            self.law(event)
        self.told += events
        here = self.station
        self.keeper.keep(Change(seen, (), tuple(events), here.changed, (KEY, here.state)))

    def law(self, event):
        point = event.kind, event.condition
        if event.verb == "raised" and event.kind == "machine":
            assert sum(self.window[-self.rule.of :]) >= self.rule.least
        if event.verb == "shelved":
            self.shelves[point] = True
        elif event.verb == "unshelved":
            self.shelves.pop(point)
        elif self.shelves.get(point):
            assert event.silent

    def pass_time(self, seconds):
        self.clock += max(seconds, 0)
        self.now += timedelta(seconds=seconds)

    @rule(
        p=st.sampled_from([0.01, 0.01, 0.15, 0.6]), status=st.sampled_from(["judged", "idle"]),
        fault=st.sampled_from(["", "", "", *FAULTS]), known=st.booleans(),
    )  # fmt: skip
    def clip(self, p, status, fault, known):
        self.pass_time(10)
        self.n += 1
        dead = fault == "near dead"
        seen = heard(self.n, "unjudged" if dead else status, p, faults=(fault,) if fault else ())
        seen = replace(seen, arrived=self.now)
        if known and self.digests:  # the same audio once more, under another name
            seen = replace(seen, digest=self.digests[self.n % len(self.digests)])
        if self.keeper.has(*KEY, seen.digest):
            self.keeper.keep(Change(None))
            return
        self.digests.append(seen.digest)
        if seen.status == "judged" and not fault:
            self.window.append(p <= 0.1)
        self.keep(self.station.take(seen), seen)

    @rule(kind=st.sampled_from(["lost", "gone", "back", "half", "format", "ended"]))
    def notice(self, kind):
        events = self.station.notice(Notice("hall", kind, "the folder is gone", at=self.now))
        if events:
            self.keep(events)

    @rule(seconds=st.sampled_from([1, 1, 100, 4000, -3600, 10**8]))
    def tick(self, seconds):
        self.pass_time(seconds)
        self.take_up()
        if events := self.station.tick(self.now):
            self.keep(events)
        self.keeper.retry()

    def take_up(self):
        for action in self.keeper.actions(self.acted):
            self.acted = action.id
            if events := self.station.act(action):
                self.keep(events)

    @rule(
        verb=st.sampled_from(["acknowledged", "shelved", "unshelved", "noted"]),
        pick=st.integers(0, 50), last=st.booleans(),
        note=st.sampled_from(["", "greased", "ordered"]),
    )  # fmt: skip
    def person(self, verb, pick, last, note):
        known = self.store.alarms(closed=not last)
        if known:
            number = known[pick % len(known)].id
            until = self.now + timedelta(hours=1) if verb == "shelved" else None
            with suppress(SettingError):  # a shelf for a closed one
                self.store.act(Action(0, number, verb, self.now, note, until, "kim"))

    @rule()
    def shut(self):
        self.door.shut = True

    @rule()
    def open(self):
        self.door.shut = False

    @precondition(lambda self: not self.door.shut)
    @rule(least=st.sampled_from([(3, 5), (2, 3), (1, 1)]))
    def begin_again(self, least):
        """Killed with nothing waiting, and begun anew, perhaps by another rule."""
        self.settle()
        self.rule = AlarmRule(*least)
        self.begin(self.store.stations().get(KEY, ""))

    def settle(self):
        for _ in range(5):
            self.clock += 100.0
            self.keeper.retry()
        self.take_up()
        assert self.keeper.unkept == 0

    @invariant()
    def what_is_kept_is_what_is(self):
        ids = [event.id for event in self.told]
        assert ids == sorted(set(ids))
        if self.door.shut:
            return
        self.settle()
        assert self.store.events(0) == self.told
        assert self.store.standing() == list(self.station.alarms)
        shown = {(a.kind, a.condition) for a in self.store.standing() if a.shelved_until}
        assert shown == set(self.shelves)  # nothing is silent by a shelf that is not listed
        kept = Station(*KEY, normal(), self.station.settings, Numbering(),
                       self.store.stations().get(KEY, ""))  # fmt: skip
        for action in self.store.actions(kept.acted):  # as whoever begins anew takes them up
            kept.act(action)
        assert kept.alarms == self.station.alarms

    def teardown(self):
        self.store.close()


@pytest.mark.slow
def test_history_and_station_agree_whatever_happens():
    Kept.TestCase.settings = settings(
        max_examples=40, stateful_step_count=30, deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    Kept.TestCase("runTest").runTest()
