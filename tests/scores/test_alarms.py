"""Alarms that last: laws of k of n, the order of time, what was not judged."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

import nearfar as nf
from conftest import refused
from nearfar.errors import SettingError
from nearfar.scores.alarms import AlarmRule, histories, lasting
from nearfar.scores.verdict import Verdict

BEGIN = datetime(2026, 3, 2)
STATES = st.lists(st.sampled_from([True, False, None]), max_size=40)
RULES = st.tuples(st.integers(1, 6), st.integers(0, 6)).map(lambda p: AlarmRule(p[0], p[0] + p[1]))


def verdict(hour, score=0.0, machine="pump", name=None, time=True):
    clip = nf.Clip(
        Path(name or f"{hour:04d}.wav"), machine=machine,
        time=BEGIN + timedelta(hours=hour) if time else None,
    )  # fmt: skip
    if score is None:
        return Verdict.none(clip, 1.0, "far is silent")
    return Verdict(clip, float(score), 0.5, 1.0, "a.wav")


def only(verdicts, rule=AlarmRule(3, 5)):  # noqa: B008 - it never changes
    (history,) = histories(verdicts, rule)
    return history


@given(STATES, RULES)
def test_an_alarm_stands_where_k_of_the_last_n_judged_are_above(states, rule):
    for place, stands in enumerate(lasting(states, rule)):
        judged = [s for s in states[: place + 1] if s is not None]
        assert stands == (judged[-rule.of :].count(True) >= rule.least)


@given(STATES, RULES, st.integers(0, 40))
def test_what_comes_later_changes_no_alarm(states, rule, cut):
    assert list(lasting(states[:cut], rule)) == list(lasting(states, rule))[:cut]


@given(STATES, RULES)
def test_one_more_recording_above_ends_no_alarm(states, rule):
    more = [True if state is False and n % 3 == 0 else state for n, state in enumerate(states)]
    pairs = zip(lasting(states, rule), lasting(more, rule), strict=True)
    assert all(now >= before for before, now in pairs)


@given(STATES)
def test_one_of_one_is_every_recording_above(states):
    judged = [state for state in states if state is not None]
    assert list(lasting(judged, AlarmRule(1, 1))) == judged


@given(STATES, RULES)
def test_spells_are_the_recordings_with_which_an_alarm_stands(states, rule):
    scores = [None if s is None else 2.0 + n / 100 if s else 0.0 for n, s in enumerate(states)]
    if not scores:
        return
    history = only([verdict(n, score) for n, score in enumerate(scores)], rule)
    inside = {n for spell in history.spells for n in range(spell.first, spell.last + 1)}
    assert inside == {n for n, stands in enumerate(history.lasting) if stands}
    for spell in history.spells:
        assert spell.since <= spell.first <= spell.last
        assert history.verdicts[spell.since].anomalous
        raising = history.verdicts[spell.since : spell.first + 1]
        assert sum(v.anomalous for v in raising) == rule.least
        within = [v for v in history.verdicts[spell.since : spell.last + 1] if v.judged]
        assert history.verdicts[spell.highest].score == max(v.score for v in within)


def test_the_order_is_of_time_however_they_were_given():
    verdicts = [verdict(n, n % 3, name=f"{97 * n % 50}.wav") for n in range(50)]
    given_ = random.Random(1).sample(verdicts, 50)
    assert only(given_).verdicts == tuple(verdicts)
    assert only(given_).timed


@pytest.mark.parametrize(
    "odd",
    [
        lambda v: replace(v, clip=replace(v.clip, time=None)),
        lambda v: replace(v, clip=replace(v.clip, time=v.clip.time.replace(tzinfo=UTC))),
    ],
)
def test_where_one_clip_says_no_time_that_compares_the_order_is_of_names(odd):
    verdicts = [verdict(-n, name=f"clip {n}.wav") for n in (10, 9, 2, 1)]
    history = only([*verdicts[:3], odd(verdicts[3])])
    assert not history.timed
    assert [v.clip.file for v in history.verdicts] == [f"clip {n}.wav" for n in (1, 2, 9, 10)]
    assert history.when(0) == "clip 1.wav"


def test_machines_and_sections_are_told_apart():
    one, other = verdict(0, 5, "a"), verdict(1, 5, "b")
    second = replace(one, clip=replace(one.clip, section="01"))
    found = histories([other, second, one], AlarmRule(1, 1))
    assert [(h.machine, h.section, len(h.verdicts)) for h in found] == [
        ("a", "00", 1), ("a", "01", 1), ("b", "00", 1)
    ]  # fmt: skip


def test_what_came_before_an_alarm_is_counted_without_what_raised_it():
    scores = [0, 5, 0, None, 0, 5, 0, 5, 5, 0]
    history = only([verdict(n, s) for n, s in enumerate(scores)])
    (spell,) = history.spells
    assert (spell.since, spell.first) == (5, 8)
    assert history.before(spell) == (1, 4)
    assert (history.above, history.silent) == (4, 1)
    assert history.when(8) == "2026-03-02 08:00"


@pytest.mark.parametrize(
    "text", ["0/5", "6/5", "3", "3 of 5", "-1/5", "3/5/7", "", "1/99999999999"]
)
def test_a_rule_that_is_none_is_refused(text):
    refused(lambda: AlarmRule.read(text), "alarm rule", "k/n", error=SettingError)
