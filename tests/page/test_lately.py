"""How machines are, as a history says that another process writes."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nearfar.page.lately import Lately
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation

PUMP, FAN = ("pump", "00"), ("fan", "00")
AT = now()


def seen(n, key=PUMP, **of):
    of.setdefault("status", "judged")
    scored = {"score": 2.0, "p_value": 0.01, "threshold": 1.0, "anomalous": True}
    made = Observation(
        "hall", f"{n}.wav", f"{n}.wav", *key, None, AT + timedelta(seconds=n), 10.0, f"{n:064x}",
        of.pop("status"),
    )  # fmt: skip
    return replace(made, **((scored if made.status == "judged" else {}) | of))


def alarm(number=1, key=PUMP):
    return StandingAlarm(number, "machine", "sound", *key, since=AT, told="pump: 3 of 5")


def event(number, verb="raised", key=PUMP):
    return AlarmEvent(number, 1, "machine", "sound", *key, verb, AT, "pump: 3 of 5")


@pytest.fixture
def writer(tmp_path):
    store = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    yield store
    store.close()


@pytest.fixture
def reader(tmp_path, writer):
    store = HistoryStore.open(str(tmp_path / "p.db"), make=False)
    yield store
    store.close()


def test_it_begins_with_the_newest_rows_and_what_stands(writer, reader):
    writer.keep(Change(seen(1, score=7.0)))
    writer.keep(Change(seen(2, status="idle"), alarms=(alarm(),), events=(event(1),)))
    lately = Lately(reader, [PUMP, FAN])
    pump, fan = lately.machines[PUMP], lately.machines[FAN]
    assert (pump.last.status, pump.judged.score, pump.running) == ("idle", 7.0, False)
    assert [a.word for a in pump.alarms] == ["active"]
    assert (fan.last, fan.running, fan.alarms) == (None, None, ())
    assert lately.look() == []  # what was there before it began is no news


def test_what_is_kept_meanwhile_is_told_once_and_then_known(writer, reader):
    lately = Lately(reader, [PUMP, FAN])
    writer.keep(Change(seen(1)))
    writer.keep(Change(seen(2), alarms=(alarm(),), events=(event(1),)))
    found = lately.look()
    assert [b.observation.name for b in found if b.observation] == ["1.wav", "2.wav"]
    assert [b.row for b in found if b.observation] == [1, 2]
    assert [e.id for b in found for e in b.events] == [1]
    assert lately.machines[PUMP] == found[-1].machine
    assert (lately.machines[PUMP].clips, lately.machines[PUMP].running) == (2, True)
    assert lately.look() == []


def test_what_a_person_does_is_shown_before_any_watch_takes_it_up(writer, reader):
    writer.keep(Change(None, alarms=(alarm(),), events=(event(1),)))
    lately = Lately(reader, [PUMP, FAN])
    reader.act(Action(0, 1, "acknowledged", now(), "heard it"))
    (bulletin,) = lately.look()
    assert [a.word for a in bulletin.machine.alarms] == ["acknowledged"]
    assert (bulletin.machine.machine, bulletin.events) == ("pump", ())
    reader.act(Action(0, 1, "noted", now(), "a new one is ordered"))
    (bulletin,) = lately.look()
    assert [a.note for a in bulletin.machine.alarms] == ["a new one is ordered"]


def test_machines_that_nobody_serves_are_none_of_its_news(writer, reader):
    lately = Lately(reader, [FAN])
    writer.keep(Change(seen(1), alarms=(alarm(),), events=(event(1),)))
    assert lately.look() == []
    assert list(lately.machines) == [FAN]


@pytest.mark.parametrize(("faults", "told", "running"), [
    (("dead near",), ("dead near",), None),
    ((), ("unreadable",), None),
])  # fmt: skip
def test_nobody_knows_whether_a_machine_ran_that_was_not_heard(
    writer, reader, faults, told, running
):
    lately = Lately(reader, [PUMP])
    writer.keep(Change(seen(1, status="unjudged", faults=faults)))
    (bulletin,) = lately.look()
    assert (bulletin.machine.faults, bulletin.machine.running) == (told, running)


def test_it_takes_up_a_history_that_began_anew(writer, reader, tmp_path):
    for n in range(3):
        writer.keep(Change(seen(n), alarms=(alarm(n),), events=(event(n + 1),)))
    lately = Lately(reader, [PUMP])
    fresh = HistoryStore.open("")
    lately._store = fresh
    assert all(b.observation is None for b in lately.look())
    fresh.keep(Change(seen(9), alarms=(alarm(),), events=(event(1),)))
    found = lately.look()
    assert [b.observation.name for b in found if b.observation] == ["9.wav"]
    assert [e.id for b in found for e in b.events] == [1]
    fresh.close()
