"""Thresholds keep the promised share of false alarms; calibrations only ever rise."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore, zscore

from nearfar.errors import SettingError
from nearfar.parts.valid import check_rate
from nearfar.scoring.calibrate import Calibration, Percentile, Raw, Threshold, ZScore, threshold

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
def test_no_more_false_alarms_than_asked_for_and_no_lower_threshold_would_do(scores, rate):
    value = threshold(scores, rate).value
    assert value in scores
    assert (scores > value).sum() / len(scores) <= rate
    for lower in scores[scores < value]:
        assert (scores > lower).sum() / len(scores) > rate


@pytest.mark.parametrize(
    ("n", "rate", "above"),
    [
        (10, 0.1, 1), (100, 0.01, 1), (100, 0.29, 29), (1000, 0.1, 100), (990, 0.1, 99),
        (3, 1 / 3, 1), (49, 1 / 49, 1), (103, 1 / 103, 1), (7, 0.3, 2), (15, 0.1, 1), (9, 0.1, 0),
        (99, 0.01, 0), (10, 0.0999, 0), (10, 0.999, 9), (3, 0.5, 1),
    ],
)  # fmt: skip
def test_how_many_different_self_scores_lie_above(n, rate, above):
    scores = np.random.default_rng(n).permutation(n).astype(float)
    got = threshold(scores, rate)
    assert (scores > got.value).sum() == above
    assert got.reachable == (above > 0)
    assert (got.wanted, got.clips) == (rate, n)


def test_ties_may_leave_fewer_above():
    assert threshold(np.array([1.0, 2, 2, 2]), 0.25).value == 2  # above 1 there are three of four
    assert threshold(np.array([1.0, 1, 1, 2]), 0.25).value == 1
    assert threshold(np.full(100, 0.5), 0.1).value == 0.5


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

NEEDS = "{} % needs at least {} normal clips, there are {}: expect up to {} % false alarms"


@pytest.mark.parametrize(
    ("rate", "clips", "seconds", "words"),
    [
        (0.1, 1000, 10, "about 36 false alarms an hour with 10 s clips (10 % of normal clips)"),
        (0.01, 100, 10, "about 3.6 false alarms an hour with 10 s clips (1 % of normal clips)"),
        (0.07, 100, 12, "about 21 false alarms an hour with 12 s clips (7 % of normal clips)"),
        (0.5, 100, 1.8005,
         "about 1000 false alarms an hour with 1.8 s clips (50 % of normal clips)"),
        (0.5, 100, 1, "about 1800 false alarms an hour with 1 s clips (50 % of normal clips)"),
        (0.1, 100, 3600, "about 0.1 false alarms an hour with 3600 s clips (10 % of normal clips)"),
        (0.01, 99, 10, NEEDS.format(1, 100, 99, 1)),
        (0.1, 9, 10, NEEDS.format(10, 10, 9, 11)),
        (0.3, 3, 10, NEEDS.format(30, 4, 3, 33)),
        (0.001, 1, 10, NEEDS.format(0.1, 1000, 1, 100)),
    ],
)  # fmt: skip
def test_explain(rate, clips, seconds, words):
    assert Threshold(1.0, rate, clips).explain(seconds) == words


@given(rates, st.integers(1, 5000), st.floats(1, 7200))
@settings(max_examples=200, deadline=None)
def test_explain_is_one_line_of_plain_numbers_and_fits_the_threshold(rate, clips, seconds):
    got = Threshold(1.0, rate, clips)
    text = got.explain(seconds)
    assert "\n" not in text
    assert "e+" not in text
    assert "inf" not in text
    assert got.reachable == text.startswith("about")
    assert got.reachable == (1 / clips <= rate)
    if not got.reachable:
        needed = int(text.split("at least ")[1].split()[0])
        assert needed >= clips
        assert abs(needed - math.ceil(1 / Fraction(rate))) <= 1


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
