"""Words of ISA-18.2: what may become of an alarm, and in which order."""

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from heard_clips import at
from nearfar.service.alarms.point import AlarmPoint, Numbering, PointName

STEPS = st.lists(
    st.sampled_from(["stands", "gone", "acknowledge", "shelve", "unshelve", "note", "tick"]),
    max_size=40,
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
        case "note":
            point.note(f"note {n}")
            return []
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


@given(STEPS)
def test_no_alarm_is_silenced_by_a_shelf_that_no_listed_alarm_shows(steps):
    point = fresh()
    for n, step in enumerate(steps):
        do(point, step, n)
        shown = None if point.alarm is None else point.alarm.shelved_until
        assert point.shelved_until == shown
        assert all(
            row.shelved_until is None for row in point.changed.values() if row != point.alarm
        )
        if point.alarm is None:
            assert not any(event.silent for event in do(point, "stands", n))


def test_raised_again_on_the_shelf_it_is_shelved():
    point = fresh()
    for step in ("stands", "shelve", "gone"):
        do(point, step, 0)
    [event] = do(point, "stands", 2)
    assert (event.alarm, event.silent, point.alarm.word) == (1, True, "shelved")


@pytest.mark.parametrize(("first", "last"), [("acknowledge", "gone"), ("gone", "acknowledge")])
def test_a_shelf_ends_with_its_alarm_what_closed_it_is_told_and_so_is_the_next(first, last):
    point = fresh()
    for step in ("stands", "shelve", first):
        do(point, step, 0)
    assert point.alarm.word == "shelved"
    verb = {"gone": "cleared", "acknowledge": "acknowledged"}[last]
    told = [(event.verb, event.silent) for event in do(point, last, 1)]
    assert told == [("unshelved", True), (verb, False)]
    assert point.changed[1].word == "closed"
    # One of the moment before, which the watch takes up a moment late.
    assert do(point, "shelve", 1) == []
    [event] = do(point, "stands", 2)
    assert (event.alarm, event.silent, point.alarm.word) == (2, False, "active")


def test_a_shelf_that_an_earlier_version_left_without_an_alarm_is_gone():
    point = fresh()
    point.restore({"alarm": None, "last": 3, "until": at(9).isoformat()})
    assert point.idle
    [event] = do(point, "stands", 1)
    assert not event.silent


def test_a_shelf_that_is_over_before_it_begins_is_none():
    point = fresh()
    assert point.shelve(at(5), at(5) - timedelta(hours=1)) == []
    assert point.idle
