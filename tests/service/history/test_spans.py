"""When alarms stood, on the clock of the clips: recorders keep another time than this computer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from made_history import SECOND, alarm, seen
from nearfar.service.history.changes import Change
from nearfar.service.history.questions import Wanted
from nearfar.service.history.spelling import micros
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401

KEY = ("machine00", "00")
MARCH = datetime(2026, 3, 1)  # when the recorder says that it was


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.slow)])
def store(request):
    server = request.param == "server"
    where = request.getfixturevalue("postgres").database() if server else ""
    made = HistoryStore.open(where, watching=True)
    yield made
    made.close()


def recorded(i):
    """A clip of March that is heard in November, between those of another machine."""
    return seen(i, machine="machine00", time=MARCH + i * timedelta(minutes=1))


def keep(store, count):
    for i in range(count):
        store.keep(Change(recorded(i)))
        store.keep(Change(seen(1000 + i, machine="fan", arrived=recorded(i).arrived)))


def spans(store, since=None, until=None):
    found = store.spans(*KEY, since, until)
    return {one.alarm.id: (one.begin, one.end, one.digest) for one in found}


def test_an_alarm_stood_where_its_clips_lie(store):
    keep(store, 30)
    store.keep(Change(None, alarms=(
        alarm(1, 0, cleared=recorded(10).arrived),
        replace(alarm(2), since=recorded(20).arrived + SECOND / 2),  # of a clock's tick
        alarm(3, 0, cleared=recorded(29).arrived + timedelta(days=3)),
    )))  # fmt: skip
    at = [micros(recorded(i).time) for i in range(30)]
    digests = [recorded(i).digest for i in range(30)]
    assert spans(store) == {
        1: (at[0], at[10], digests[0]), 2: (at[20], None, digests[20]),
        3: (at[0], at[29], digests[0]),
    }  # fmt: skip
    assert store.spans("machine00", "01", None, None) == []
    cases = {
        (None, MARCH): [], (MARCH, MARCH + SECOND): [1, 3], (recorded(5).time, None): [1, 2, 3],
        (recorded(10).time + SECOND, None): [2, 3], (recorded(30).time, None): [2],
        (recorded(11).time, recorded(12).time): [3],
    }  # fmt: skip
    for (since, until), expected in cases.items():
        assert list(spans(store, since, until)) == expected, (since, until)


def test_without_a_clip_it_stood_when_this_computer_says(store):
    raised = alarm(1, cleared=seen(9).arrived)
    store.keep(Change(None, alarms=(raised,)))
    assert spans(store) == {1: (micros(raised.since), micros(raised.cleared), None)}
    store.keep(Change(seen(40, machine="machine00")))  # later than both
    assert spans(store) == {1: (micros(raised.since), micros(raised.cleared), None)}


def test_of_an_hour_in_one_file_the_part_is_found_that_raised_it(store):
    arrived = datetime(2026, 11, 1, 9, tzinfo=UTC)
    parts = [replace(recorded(i), name=f"a.wav@{i}0-{i + 1}0", arrived=arrived) for i in range(9)]
    for part in parts:
        store.keep(Change(part))
    told = "machine00: 3 of the last 5 clips are above; a.wav@40-50 scores 3"
    store.keep(Change(None, alarms=(replace(alarm(1), since=arrived, told=told),)))
    assert spans(store) == {1: (micros(parts[4].time), None, parts[4].digest)}


def plan_of(store, ask):
    """How the questions that `ask` brings are answered, a line a step."""
    asked = []
    listener = (store._access._engine, "before_cursor_execute")
    event.listen(*listener, lambda _c, _u, text, given, *_: asked.append((text, given)))
    ask()
    with store._access.reading() as connection:
        return [
            row[-1] for text, given in list(asked) if text.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)
        ]  # fmt: skip


def test_each_look_is_into_an_index(tmp_path):
    store = HistoryStore.open(str(tmp_path / "plant.db"), watching=True)
    keep(store, 5)
    store.keep(Change(None, alarms=(alarm(1),)))
    plan = plan_of(store, lambda: store.spans(*KEY, None, None))
    store.close()
    assert not [line for line in plan if line.startswith("SCAN")], plan
    assert sum("INDEX clips_arrived (machine=? AND arrived" in line for line in plan) == 4, plan


@pytest.mark.parametrize("ask", [
    lambda store: store.alarms(), lambda store: store.alarm(1), lambda store: store.events(1),
    lambda store: store.highest(),
    lambda store: store.deeds(), lambda store: store.deeds(number=1),
    lambda store: store.row(*KEY, recorded(1).digest),
    lambda store: store.label_of(*KEY, recorded(1).digest),
    lambda store: store.labels(*KEY, digests=[recorded(1).digest]),
    lambda store: store.labels(*KEY, digests=[recorded(1).digest], undone=True),
    lambda store: store.audit(10, 5), lambda store: store.newer(3),
    lambda store: list(store.rows(Wanted(*KEY, anomalous=True), newest=True, limit=10)),
    lambda store: list(store.rows(Wanted(*KEY, status="idle"), newest=True, limit=10)),
])  # fmt: skip
def test_what_a_page_asks_reads_no_table_from_end_to_end(tmp_path, ask):
    store = HistoryStore.open(str(tmp_path / "plant.db"), watching=True)
    keep(store, 5)
    store.keep(Change(None, alarms=(alarm(1),)))
    plan = plan_of(store, lambda: ask(store))
    store.close()
    scans = [line for line in plan if line.startswith("SCAN")]
    # Those that are not closed have an index of their own; `meta` has a few rows.
    assert set(scans) <= {"SCAN alarms USING INDEX alarms_open", "SCAN meta"}, plan
