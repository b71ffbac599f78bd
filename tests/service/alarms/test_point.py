"""Words of ISA-18.2: what may become of an alarm, and in which order."""

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from heard_clips import at
from nearfar.service.alarms.point import AlarmPoint, Numbering, PointName

STEPS = st.lists(
    st.sampled_from(["stands", "gone", "acknowledge", "shelve", "unshelve", "tick"]), max_size=40
)


def fresh(numbers=None):
    return AlarmPoint(PointName("machine", "sound", "pump", "00"), numbers or Numbering())


def do(point, step, n):
    match step:
        case "stands" | "gone":
            return point.hold(step == "stands", at(n), step)
        case "acknowledge":
            return point.acknowledge(at(n), "seen")
        case "shelve":
            return point.shelve(at(n), at(n + 5))
        case "unshelve":
            return point.unshelve(at(n))
    return point.tick(at(n))


def words(*steps):
    point = fresh()
    found = []
    for n, step in enumerate(steps):
        do(point, step, n)
        found.append("closed" if point.alarm is None else point.alarm.word)
    return found


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("stands", "acknowledge", "gone"), ["active", "acknowledged", "closed"]),
        (("stands", "gone", "acknowledge"), ["active", "cleared", "closed"]),
        (("stands", "gone", "stands"), ["active", "cleared", "active"]),
        (("stands", "shelve", "unshelve"), ["active", "shelved", "active"]),
        (("stands", "shelve", "gone", "acknowledge"), ["active", "shelved", "shelved", "closed"]),
    ],
)
def test_the_words(steps, expected):
    assert words(*steps) == expected


def test_raised_again_before_it_was_acknowledged_it_is_the_same_alarm():
    point = fresh()
    first = do(point, "stands", 0)[0].alarm
    do(point, "gone", 1)
    assert do(point, "stands", 2)[0].alarm == first
    assert point.alarm.since == at(0)
    do(point, "gone", 3)
    do(point, "acknowledge", 4)
    assert do(point, "stands", 5)[0].alarm != first


@given(STEPS)
def test_each_raise_is_cleared_at_most_once_and_before_the_next(steps):
    point = fresh()
    told = [e for n, step in enumerate(steps) for e in do(point, step, n)]
    turns = [event.verb for event in told if event.verb in ("raised", "cleared")]
    assert turns == ["raised", "cleared"] * (len(turns) // 2) + ["raised"] * (len(turns) % 2)


@given(STEPS)
def test_shelved_is_silent(steps):
    """From the event that says so to the one that ends it, of which only the first is told."""
    point, shelved = fresh(), False
    for n, step in enumerate(steps):
        for event in do(point, step, n):
            if shelved and event.verb != "unshelved":
                assert event.silent
            shelved = event.verb == "shelved" or (shelved and event.verb != "unshelved")
        assert shelved == (point.shelved_until is not None)


@given(STEPS)
def test_events_and_alarms_have_rising_numbers(steps):
    point = fresh(Numbering(alarm=7, event=100))
    told = [e for n, step in enumerate(steps) for e in do(point, step, n)]
    assert [event.id for event in told] == list(range(101, 101 + len(told)))
    alarms = [event.alarm for event in told if event.verb == "raised"]
    assert alarms == sorted(alarms)
    assert all(number > 7 for number in alarms)


@given(STEPS, STEPS)
def test_taken_up_again_it_goes_on_alike(before, after):
    point = fresh()
    for n, step in enumerate(before):
        do(point, step, n)
    numbers = Numbering(point._numbers.alarm, point._numbers.event)
    again = fresh(numbers)
    again.restore(point.state)
    for n, step in enumerate(after, len(before)):
        assert do(point, step, n) == do(again, step, n)
        assert point.alarm == again.alarm


def test_a_shelf_ends_by_its_time_and_what_still_stands_is_told():
    point = fresh()
    do(point, "stands", 0)
    point.shelve(at(1), at(3))
    assert point.tick(at(2)) == []
    [event] = point.tick(at(3))
    assert (event.verb, event.silent) == ("unshelved", False)
    assert "still stands" in event.told


def test_what_is_raised_on_the_shelf_is_shelved_and_a_shelf_outlives_its_alarm():
    point = fresh()
    do(point, "stands", 0)
    point.shelve(at(0), at(9))
    for step in ("gone", "acknowledge"):
        do(point, step, 1)
    [event] = point.hold(True, at(2), "again")
    assert event.silent
    assert point.alarm.word == "shelved"
    assert event.alarm == 2


def test_a_shelf_that_is_over_before_it_begins_is_none():
    point = fresh()
    assert point.shelve(at(5), at(5) - timedelta(hours=1)) == []
    assert point.idle
