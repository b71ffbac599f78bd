"""Thresholds keep the promised share of false alarms; calibrations only ever rise."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, percentileofscore, zscore

from nearfar.errors import SettingError
from nearfar.parts.data import from_data, to_data
from nearfar.parts.valid import check_rate
from nearfar.scoring.calibrate import (
    AlarmRate,
    Calibration,
    Percentile,
    Raw,
    Threshold,
    ZScore,
    p_values,
    threshold,
)

CALIBRATIONS = [Raw(), ZScore(), Percentile(), Percentile("linear")]
distances = st.floats(0, 1e6).map(lambda x: round(x, 3))
many = st.lists(distances, min_size=3, max_size=60).map(np.array)
rates = st.one_of(
    st.floats(1e-6, 1, exclude_max=True),
    st.tuples(st.integers(1, 60), st.integers(2, 60)).map(lambda t: min(t) / max(t)),
).filter(lambda r: 0 < r < 1)


# ---- threshold


@given(many, rates)
@settings(max_examples=300, deadline=None)
def test_one_of_exchangeable_clips_is_an_alarm_as_often_as_asked_for_at_most(scores, rate):
    n = len(scores) - 1
    called = [
        scores[i] > threshold(np.delete(scores, i), rate).value for i in range(len(scores))
    ]  # each is as likely to be the new one: this is the probability itself, not an estimate
    assert np.mean(called) <= max(rate, 1 / (n + 1))


@given(st.integers(2, 60), rates)
@settings(max_examples=200, deadline=None)
def test_without_ties_the_expected_rate_is_exact_and_one_more_would_break_it(n, rate):
    ranks = np.arange(n + 1.0)
    called = [i > threshold(np.delete(ranks, i), rate).value for i in range(n + 1)]
    drawn = threshold(ranks[:-1], rate)
    assert sum(called) == round(drawn.expected * (n + 1))
    if drawn.reachable:
        assert drawn.expected <= rate < drawn.expected + 1 / (n + 1)


@pytest.mark.parametrize(
    ("n", "rate", "above"),
    [
        (10, 0.1, 0), (100, 0.01, 0), (99, 0.29, 28), (1000, 0.1, 99), (989, 0.1, 98), (19, 0.1, 1),
        (2, 1 / 3, 0), (48, 1 / 49, 0), (102, 1 / 103, 0), (9, 0.3, 2), (9, 0.1, 0), (3, 0.5, 1),
        (8, 0.1, -1), (98, 0.01, -1), (9, 0.0999, -1), (9, 0.999, 8),
    ],
)  # fmt: skip
def test_how_many_different_self_scores_lie_above(n, rate, above):
    scores = np.random.default_rng(n).permutation(n).astype(float)
    got = threshold(scores, rate)
    assert (scores > got.value).sum() == max(above, 0)
    assert got.reachable == (above >= 0)
    assert (got.wanted, got.clips) == (rate, n)


def test_ties_may_leave_fewer_above():
    assert threshold(np.array([1.0, 2, 2, 2]), 0.4).value == 2  # above 1 there are three of four
    assert threshold(np.array([1.0, 1, 1, 2]), 0.4).value == 1
    assert threshold(np.full(100, 0.5), 0.1).value == 0.5


@pytest.mark.parametrize(("n", "rate"), [(10, 0.1), (99, 0.01), (99, 0.1), (500, 0.05), (19, 0.01)])
def test_in_19_of_20_draws_the_rate_is_below_the_bound(n, rate):
    uniform = np.random.default_rng(n).random((4000, n))  # the rate above x is 1 − x
    rates_kept = [1 - threshold(own, rate).value for own in uniform]
    bound = threshold(uniform[0], rate)
    assert np.mean(np.array(rates_kept) <= bound.confident) == pytest.approx(0.95, abs=0.015)
    assert np.mean(rates_kept) == pytest.approx(bound.expected, rel=0.1)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=60, deadline=None)
def test_the_bound_of_a_rate_is_that_of_clopper_and_pearson(counts):
    """One-sided: of an interval of 90 % there is one in twenty on each side."""
    interval = binomtest(*counts).proportion_ci(0.9, method="exact")
    got = AlarmRate(*counts)
    assert got.confident == pytest.approx(interval.high, abs=1e-7)
    for wanted in (0.01, 0.1, 0.4):
        if abs(interval.low - wanted) > 1e-6:
            twice = got.expected >= 2 * wanted
            assert got.breaks(wanted) == (twice and interval.low > wanted)


@given(many, rates)
@settings(max_examples=60, deadline=None)
def test_a_threshold_says_of_itself_what_its_clips_say_of_it(scores, rate):
    distinct = np.unique(scores)
    drawn = threshold(distinct, rate)
    counted = AlarmRate(int((distinct > drawn.value).sum()), len(distinct))
    assert (drawn.expected, drawn.confident) == (counted.expected, counted.confident)


@given(many, many, rates)
@settings(max_examples=100, deadline=None)
def test_a_p_value_counts_and_an_alarm_has_at_most_the_rate(own, new, rate):
    got = p_values(np.sort(own), new)
    counted = [(1 + sum(own >= x)) / (len(own) + 1) for x in new]
    np.testing.assert_allclose(got, counted, rtol=0, atol=1e-15)
    drawn = threshold(own, rate)
    assert (got[new > drawn.value] <= max(rate, 1 / (len(own) + 1)) + 1e-15).all()


@given(many, rates, rates)
@settings(max_examples=100, deadline=None)
def test_a_lower_rate_never_lowers_the_threshold(scores, one, other):
    low, high = sorted([one, other])
    assert threshold(scores, low).value >= threshold(scores, high).value


@given(many, rates, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_does_not_matter_and_input_is_left_alone(scores, rate, random):
    turned = scores.copy()
    random.shuffle(turned)
    before = turned.copy()
    assert threshold(turned, rate) == threshold(scores, rate)
    np.testing.assert_array_equal(turned, before)


@pytest.mark.parametrize(
    "bad", [0, 1, -0.1, 1.5, np.nan, np.inf, True, None, "0.1", (0.1,), 10**400]
)
def test_bad_rates(bad):
    with pytest.raises(SettingError, match=r"false_alarm_rate is .*above 0 and below 1") as caught:
        threshold(np.arange(5.0), bad)
    assert "\n" not in str(caught.value)


def test_a_rate_is_returned_as_a_float():
    assert check_rate(np.float64(0.25)) == 0.25
    assert isinstance(check_rate(0.25), float)


# ---- what it means for a person

ASKED = (
    "{} % asked for: at most about {} false alarms an hour with {} s clips ({} % of normal clips); "
)

NEEDS = (
    "{} % needs at least {} normal clips, there are {}: at most about {} % false alarms; with 95 %"
)


@pytest.mark.parametrize(
    ("rate", "clips", "seconds", "words"),
    [
        (0.1, 999, 10, ASKED.format(10, 36, 10, 10)),
        (0.01, 99, 10, ASKED.format(1, 3.6, 10, 1)),
        (0.1, 10, 10, ASKED.format(10, 32.7, 10, 9.09)),
        (0.5, 99, 1, ASKED.format(50, 1800, 1, 50)),
        (0.01, 98, 10, NEEDS.format(1, 99, 98, 1)),
        (0.1, 8, 10, NEEDS.format(10, 9, 8, 11)),
        (0.3, 2, 10, NEEDS.format(30, 3, 2, 33)),
        (0.001, 1, 10, NEEDS.format(0.1, 999, 1, 50)),
    ],
)  # fmt: skip
def test_explain(rate, clips, seconds, words):
    got = Threshold(1.0, rate, clips)
    text = got.explain(seconds)
    assert text.startswith(words)
    assert got.confident > got.expected
    assert text.count("up to") == 1  # the bound with confidence, and only there


@given(rates, st.integers(1, 999), st.floats(0.5, 9000))
def test_a_day_has_as_many_false_alarms_as_its_clips_make_of_the_promise(rate, clips, a_day):
    text = Threshold(1.0, rate, clips).explain(10, a_day)
    assert "an hour" not in text
    share, of_a_day = Threshold(1.0, rate, clips).confident, re.search(r"up to (\S+) a day", text)
    assert float(of_a_day[1]) == pytest.approx(share * a_day, rel=0.006)
    if found := re.search(r"about (\S+) false alarms a day with (\S+) clips", text):
        assert float(found[2]) == pytest.approx(a_day, rel=0.006)
        expected = Threshold(1.0, rate, clips).expected
        assert float(found[1]) == pytest.approx(expected * a_day, rel=0.006)


@given(rates, st.integers(1, 5000), st.floats(1, 7200))
@settings(max_examples=200, deadline=None)
def test_explain_is_one_line_of_plain_numbers_and_fits_the_threshold(rate, clips, seconds):
    got = Threshold(1.0, rate, clips)
    text = got.explain(seconds)
    assert "\n" not in text
    assert "e+" not in text
    assert "inf" not in text
    assert got.reachable == ("asked for: at most about" in text)
    assert got.reachable == (1 / (clips + 1) <= rate)
    if not got.reachable:
        needed = int(text.split("at least ")[1].split()[0])
        assert needed >= clips
        assert abs(needed + 1 - math.ceil(1 / Fraction(rate))) <= 1


def test_explain_names_the_domain_whose_clips_these_are():
    assert "of normal source clips)" in Threshold(1.0, 0.1, 99, "source").explain(10)
    few = Threshold(1.0, 0.01, 10, "target").explain(10)
    assert few.startswith(
        "1 % needs at least 99 normal target clips, there are 10: at most about 9.1 %"
    )


def test_explain_of_the_smallest_rate_there_is():
    assert "needs at least" in Threshold(1.0, 5e-324, 10).explain(10)


# ---- calibrations


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=repr)
@given(self_scores=many, scores=many)
@settings(max_examples=60, deadline=None)
def test_calibrated_scores_are_finite_and_never_fall(calibration, self_scores, scores):
    calibrated = calibration.fit(self_scores)
    ordered = np.sort(np.concatenate([scores, self_scores]))
    got = calibrated(ordered)
    assert np.isfinite(got).all()
    assert (np.diff(got) >= 0).all()
    np.testing.assert_array_equal(calibrated(ordered[:1]), got[:1])


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=repr)
@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1e-9, 12345.678])
@pytest.mark.parametrize("n", [1, 3, 10, 999])
def test_constant_self_scores_never_divide_by_zero(calibration, value, n):
    calibrated = calibration.fit(np.full(n, value))
    got = calibrated(np.array([value, value + 1.0]))
    assert np.isfinite(got).all()
    assert got[1] - got[0] <= 1 + 1e-9  # one unit of the score is at most one of the calibration
    assert abs(got[0]) <= max(1.0, value)


@given(many, many)
@settings(max_examples=100, deadline=None)
def test_percentile_is_that_of_scipy(self_scores, scores):
    scores = np.concatenate([scores, self_scores])
    expected = percentileofscore(self_scores, scores, kind="weak") / 100
    np.testing.assert_allclose(Percentile().fit(self_scores)(scores), expected, rtol=0, atol=1e-15)


@given(many)
@settings(max_examples=50, deadline=None)
def test_flat_saturates_and_linear_does_not(self_scores):
    largest, median = self_scores.max(), float(np.median(self_scores))
    unit = largest - median or 1.0
    flat, linear = Percentile().fit(self_scores), Percentile("linear").fit(self_scores)
    inside = np.linspace(-1, largest, 40)
    np.testing.assert_array_equal(linear(inside), flat(inside))
    above = largest + unit * np.array([0.5, 1.0, 10.0])
    np.testing.assert_array_equal(flat(above), 1.0)
    expected = 1 + np.array([0.5, 1.0, 10.0]) / len(self_scores)
    np.testing.assert_allclose(linear(above), expected, rtol=1e-6)


def test_linear_is_continuous_where_it_begins():
    linear = Percentile("linear").fit(np.arange(10.0))
    just_above = linear(np.array([9.0, 9.0 + 1e-9]))
    assert just_above[0] == 1.0
    assert 1.0 < just_above[1] < 1.0 + 1e-9


@given(many.filter(lambda x: x.std() > 1e-3))
@settings(max_examples=50, deadline=None)
def test_z_score_is_that_of_scipy(self_scores):
    got = ZScore().fit(self_scores)(self_scores)
    np.testing.assert_allclose(got, zscore(self_scores), rtol=1e-9, atol=1e-9)


def test_raw_is_the_score():
    scores = np.array([3.0, -1.0])
    np.testing.assert_array_equal(Raw().fit(np.arange(4.0))(scores), scores)


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=repr)
def test_self_scores_are_left_alone(calibration):
    self_scores = np.array([3.0, 1.0, 2.0])
    calibrated = calibration.fit(self_scores)
    before = calibrated(np.array([2.5, 9.0]))
    np.testing.assert_array_equal(self_scores, [3, 1, 2])
    np.testing.assert_array_equal(calibrated(np.array([2.5, 9.0])), before)
    assert isinstance(calibration, Calibration)


@pytest.mark.parametrize("bad", ["round", None, 1, True, ("flat",)])
def test_bad_tail(bad):
    with pytest.raises(SettingError, match=r"Percentile\.tail is .*'flat' or 'linear'"):
        Percentile(bad)


@pytest.mark.parametrize("cls", [ZScore, Percentile])
def test_whose_self_scores(cls):
    with pytest.raises(SettingError, match=rf"{cls.__name__}\.clips is 'new'; it is 'fresh' or"):
        cls(clips="new")
    assert cls().clips == "fresh"
    # Data of before the setting mean what was done then, and what does that has their data.
    assert from_data({"type": cls.__name__}) == cls(clips="all")
    assert "clips" not in to_data(cls(clips="all"))
    assert from_data(to_data(cls())) == cls()
