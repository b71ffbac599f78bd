"""The log says what took place, whatever a writer that was killed has left in it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.detector.learning.lesson import Lesson, as_lines, from_lines, settled, state_of

TIME = "2026-11-29T19:00:00+00:00"


def lesson(state="s", verb="learnt", **more):
    clips = (("day/a\n\udcff.wav", "9f"), ("b.wav", "86"))
    return Lesson(TIME, verb, "fan", "00", clips, (20, 22), (1.5, 2.5), state, "0.1", **more)


def test_lines_and_back():
    some = (lesson("a"), lesson("b", "forgot"))
    text = as_lines(some)
    assert text.count("\n") == 2
    assert from_lines(text) == some


@pytest.mark.parametrize(
    "line", ["", "{", "[]", "7", "null", '{"verb": "learnt"}', '{"time": 3, "verb": "learnt"}',
             '{"time": "t", "verb": "sang"}', '{"time": "t", "verb": "learnt", "clips": 4}',
             '{"time": "t", "verb": "learnt", "known": [1]}', "[" * 100_000],
    ids=lambda line: line[:30],
)  # fmt: skip
def test_a_line_that_cannot_be_read_stays_and_takes_no_other_with_it(line):
    text = as_lines([lesson("a")]) + line + "\n" + as_lines([lesson("b")])
    found = from_lines(text)
    assert (found[0], found[-1]) == (lesson("a"), lesson("b"))
    assert len(found) == 2 + bool(line)
    if line:
        assert found[1].verb == "unreadable"
        assert as_lines(found) == text


@given(st.lists(st.sampled_from("xyz"), min_size=1, max_size=6), st.integers(0, 5), st.booleans())
def test_what_never_took_place_does_not_count(states, at, killed):
    """Each lesson changes the state; the last may have been written and not been done."""
    states = [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s]
    lessons = [lesson(state) for state in states]
    if killed:
        now = states[-2] if len(states) > 1 else "begin"
        assert settled(lessons, now, fitted=len(states) < 2) == tuple(lessons[:-1])
    else:
        assert settled(lessons, states[-1], fitted=False) == tuple(lessons)


@pytest.mark.parametrize("fitted", [True, False])
def test_a_log_that_lost_its_last_line_keeps_the_others(fitted):
    """It was said to be empty, and the next save removed it."""
    log = from_lines(as_lines([lesson("x"), lesson("y")]) + '{"time": "no')
    assert len(settled(log, "z", fitted=fitted)) == 3
    assert len(settled(log[:2], "z", fitted=fitted)) == (0 if fitted else 2)
    assert len(settled(log, "x", fitted=fitted)) == 1


@pytest.mark.parametrize(
    "more", [{"known": [1e400, 2]}, {"machine": ["fan"]}, {"state": 3}, {"nearfar": {}}]
)
def test_values_that_no_log_of_ours_has_are_a_line_that_cannot_be_read(more):
    (one,) = from_lines(json.dumps({"time": "now", "verb": "learnt", **more}))
    assert one.verb == "unreadable"


def test_a_state_is_of_sets():
    one = state_of([("fan", "00", ["a", "b"], ["c"], []), ("saw", "00", ["d"], [], [])])
    assert one == state_of([("saw", "00", ["d"], [], []), ("fan", "00", ["b", "a"], ["c"], [])])
    assert one != state_of([("fan", "00", ["a", "b", "c"], [], []), ("saw", "00", ["d"], [], [])])
