"""An alarm is raised by k of n above, kept up by k of n not below, and never by what is between."""

import hypothesis.strategies as st
from hypothesis import given

from nearfar.scores.alarms import AlarmRule, lasting
from nearfar.service.alarms.hysteresis import ABOVE, BELOW, BETWEEN, Hysteresis

rules = st.tuples(st.integers(1, 6), st.integers(0, 4)).map(lambda x: AlarmRule(x[0], sum(x)))
levels = st.lists(st.sampled_from([BELOW, BETWEEN, ABOVE]), max_size=60)


@given(rules, levels)
def test_raised_with_k_of_n_above_and_never_without(rule, given_levels):
    latch, seen = Hysteresis(rule), []
    for level in given_levels:
        before = latch.standing
        seen.append(level)
        window = seen[-rule.of :]
        latch.take(level)
        if not before:
            assert latch.standing == (window.count(ABOVE) >= rule.least)
        else:
            assert latch.standing == (len(window) - window.count(BELOW) >= rule.least)


@given(rules, levels, st.integers(1, 60))
def test_what_is_between_changes_nothing(rule, before, count):
    latch = Hysteresis(rule)
    for level in before:
        latch.take(level)
    stood = latch.standing
    assert all(latch.take(BETWEEN) == stood for _ in range(count))


@given(rules, st.lists(st.booleans(), max_size=60))
def test_without_a_band_it_is_the_rule_of_timeline(rule, above):
    latch = Hysteresis(rule)
    found = [latch.take(ABOVE if one else BELOW) for one in above]
    assert found == list(lasting(above, rule))


@given(rules, levels, levels)
def test_taken_up_again_it_goes_on_alike(rule, before, after):
    latch = Hysteresis(rule)
    for level in before:
        latch.take(level)
    again = Hysteresis(rule, latch.levels, standing=latch.standing)
    for level in after:
        assert latch.take(level) == again.take(level)


@given(rules, levels, levels)
def test_an_idle_one_may_be_forgotten(rule, before, after):
    latch = Hysteresis(rule)
    for level in before:
        latch.take(level)
    if latch.idle:
        fresh = Hysteresis(rule)
        assert [latch.take(level) for level in after] == [fresh.take(level) for level in after]


def test_another_rule_holds_from_the_next_clip():
    latch = Hysteresis(AlarmRule(1, 1), (ABOVE, ABOVE), standing=True)
    assert latch.standing
    assert not latch.take(BELOW)
