"""AUC, pAUC and Ω against their definitions and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from made_scores import rank_auc, trapezoid_pauc
from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.official import omega
from nearfar.metrics.roc import auc, pauc

tied = st.lists(st.integers(-3, 3), min_size=1, max_size=60)  # many ties


@pytest.mark.slow
@settings(deadline=None)
@given(tied, tied, st.sampled_from([0.05, 0.1, 1 / 3, 0.999]))
def test_areas_equal_their_definition_and_scikit_learn(
    normal: list[int], anomalous: list[int], p: float
) -> None:
    labels = [0] * len(normal) + [1] * len(anomalous)
    scores = np.array(normal + anomalous) / 10
    assert auc(normal, anomalous) == pytest.approx(rank_auc(normal, anomalous), abs=1e-12)
    assert auc(normal, anomalous) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    expected = roc_auc_score(labels, scores, max_fpr=p)
    assert pauc(normal, anomalous, p) == pytest.approx(expected, abs=1e-12)
    assert pauc(normal, anomalous, p) == pytest.approx(trapezoid_pauc(normal, anomalous, p))
    assert pauc(normal, anomalous, 1.0) == auc(normal, anomalous)


@settings(deadline=None)
@given(tied, tied)
def test_laws_of_areas(normal: list[int], anomalous: list[int]) -> None:
    n, a = np.array(normal, float), np.array(anomalous, float)
    assert auc(np.exp(n), np.exp(a)) == auc(n, a)  # only the order counts
    assert pauc(n**3 - 7, a**3 - 7) == pauc(n, a)
    assert auc(-n, -a) == pytest.approx(1 - auc(n, a), abs=1e-15)
    assert auc(a, n) == pytest.approx(1 - auc(n, a), abs=1e-15)
    assert auc(n[::-1], np.sort(a)) == auc(n, a)
    lowest = (1 - 0.1 / 1.9) / 2
    assert lowest - 1e-15 <= pauc(n, a) <= 1 + 1e-15


def test_known_areas() -> None:
    some, more = np.arange(10.0), np.arange(10.0) + 100
    assert (auc(some, more), pauc(some, more)) == (1.0, 1.0)
    assert auc(more, some) == 0.0
    assert pauc(more, some) == pytest.approx(9 / 19)
    assert (auc([1, 1], [1, 1, 1]), pauc([1, 1], [1, 1, 1])) == (0.5, 0.5)
    # ten normals, p = 0.1: the area is the share of anomalies above the highest normal
    assert pauc(np.arange(10), [9.5, 8.5]) == pytest.approx(0.5 * (1 + (0.05 - 0.005) / 0.095))
    # the highest normal tied with all anomalies: half of that
    assert pauc(np.arange(10), [9, 9]) == pytest.approx(0.5 * (1 + (0.05 - 0.005) / 0.095))
    # two normals tied at the top, so the slanted segment is cut in its middle
    assert pauc([*range(8), 9, 9], [9]) == pytest.approx(0.5 * (1 + (0.025 - 0.005) / 0.095))
    assert auc([0.0], [-0.0]) == 0.5


@pytest.mark.parametrize(
    ("normal", "anomalous", "match"),
    [
        ([], [1], "no normal"),
        ([1], [], "no anomalous"),
        ([np.nan], [1], "nan"),
        ([1], [np.inf], "inf"),
    ],
)
def test_areas_that_do_not_exist(normal: list[float], anomalous: list[float], match: str) -> None:
    for area in (auc, pauc):
        with pytest.raises(DatasetError, match=match):
            area(normal, anomalous)


@pytest.mark.parametrize("p", [0, -0.1, 1.1, float("nan")])
def test_a_rate_that_is_none(p: float) -> None:
    with pytest.raises(SettingError, match="max_fpr"):
        pauc([1], [2], p)


@settings(deadline=None)
@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=30))
def test_omega_is_the_harmonic_mean(values: list[float]) -> None:
    assert omega(values) == pytest.approx(hmean(values))
    assert omega(values[::-1]) == pytest.approx(omega(values), rel=1e-14)
    assert 100 * omega(values) == pytest.approx(omega(100 * np.array(values)))


def test_a_zero_does_not_end_omega() -> None:
    assert omega([0.0, 1.0, 1.0]) == pytest.approx(3 * np.finfo(float).eps, rel=1e-12)
    for bad in ([], [np.nan, 1], [np.inf], [-0.1, 0.5]):
        with pytest.raises(DatasetError, match="Ω"):
            omega(bad)
