"""DeLong's standard errors: against the definition, pROC's numbers, and the bootstrap."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import refused
from made_scores import made, rank_auc
from nearfar.errors import DatasetError
from nearfar.metrics.delong import Placements, auc_error, difference_error, midranks
from nearfar.metrics.evaluation import FIGURES, RULES
from nearfar.metrics.official import draw_figures
from nearfar.metrics.roc import auc, clips_of
from nearfar.scores.join import ScoredFile, ScoreTable, join

scores = st.lists(st.integers(-4, 4), min_size=2, max_size=12)


def by_pairs(normal: Any, anomalous: Any) -> tuple[np.ndarray, np.ndarray]:
    """The definition of 1988: the kernel of every pair, its means over either kind; O(n·m)."""
    kernel = np.array([[(a > n) + 0.5 * (a == n) for n in normal] for a in anomalous])
    return kernel.mean(axis=0), kernel.mean(axis=1)


def covariance(one: Any, other: Any) -> float:
    """Of two AUCs on the same clips, from the kernels of all pairs."""
    total = 0.0
    for x, y in zip(by_pairs(*one), by_pairs(*other), strict=True):
        deviations = [(a - x.mean()) * (b - y.mean()) for a, b in zip(x, y, strict=True)]
        total += math.fsum(deviations) / (len(x) - 1) / len(x)
    return total


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_placements_are_the_means_of_the_kernel(normal: list[int], anomalous: list[int]) -> None:
    placed, wanted = Placements.of(normal, anomalous), by_pairs(normal, anomalous)
    np.testing.assert_allclose(placed.normal, wanted[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(placed.anomalous, wanted[1], rtol=0, atol=1e-12)
    assert placed.value == pytest.approx(rank_auc(normal, anomalous), abs=1e-12)
    assert placed.value == pytest.approx(auc(normal, anomalous), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40), st.booleans())
def test_errors_are_those_of_the_definition(seed: int, n: int, m: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    one = [rng.normal(size=n), rng.normal(0.8, size=m)]
    other = [x + rng.normal(size=len(x)) for x in one]
    if ties:
        one, other = ([x.round() for x in side] for side in (one, other))
    alone, both = covariance(one, one), covariance(other, other)
    assert (auc_error(*one) or 0.0) ** 2 == pytest.approx(alone, abs=1e-12)
    wanted = alone + both - 2 * covariance(one, other)
    assert (difference_error(tuple(one), tuple(other)) or 0.0) ** 2 == pytest.approx(
        wanted, abs=1e-12
    )


def test_by_hand() -> None:
    """Shares 2/3, 1 of the anomalies and 1, 1, 1/2 of the normals: 1/18/2 + 1/12/3 = 1/18."""
    assert auc_error([1, 2, 4], [3, 5]) == pytest.approx(math.sqrt(1 / 18), rel=1e-15)
    assert midranks(np.array([2.0, 2.0, 1.0, 5.0])).tolist() == [2.5, 2.5, 1.0, 4.0]


# The data set aSAH (N. Turck et al., Intensive Care Medicine 36, 2010) as pROC 1.18 has it, in the
# order of its patients: grade of the World Federation of Neurological Surgeons, 1 to 5, and S100B
# as its place among the patients with good outcome, in halves: pROC's own test data.
GOOD_GRADE = "111151221221112121134141551124112212122111121211324214115422111312244111"
POOR_GRADE = "32455552521254425552525245441442255225555"
POOR_S100B = (
    "81 63 103 78 130 144 140 26 123 50 26 128 126 139 144 118 144 144 144 26 144 120 0 50 116 144 "
    "118 144 38 118 81 63 74 116 144 88 144 121 144 144 130"
)
GOOD_ABOVE = (  # anomalies above each normal patient, in halves of 41
    "58 55 66 80 28 52 66 66 80 73 80 70 63 77 52 77 63 58 52 80 53 55 36 70 "
    "24 28 53 77 32 28 63 73 70 73 80 58 66 55 54 80 80 70 80 70 73 53 70 73 "
    "37 63 42 77 66 39 77 80 48 34 66 54 73 55 66 77 80 52 54 28 52 54 24 27"
)


def asah() -> tuple[Any, Any]:
    """(normal, anomalous) of both measures; of S100B only the order is known, which is enough."""
    grades = [int(g) for g in GOOD_GRADE], [int(g) for g in POOR_GRADE]
    above = np.array([int(x) for x in GOOD_ABOVE.split()])
    # Normals below, those at the same place a half: on this scale the others are given.
    place = np.array([2 * np.sum(above > x) + np.sum(above == x) for x in above])
    return grades, (place, np.array([int(x) for x in POOR_S100B.split()]))


def test_gold_values_of_proc() -> None:
    """`var`, `cov` and `roc.test` of the R package, from its tests."""
    wfns, s100b = asah()
    assert auc(*wfns) == pytest.approx(0.823678861788618, abs=1e-14)
    assert auc(*s100b) == pytest.approx(0.731368563685637, abs=1e-14)
    variances = [(auc_error(*one) or 0.0) ** 2 for one in (wfns, s100b)]
    assert variances == pytest.approx([0.00146991470882363, 0.00266868245717244], rel=1e-12)
    error = difference_error(wfns, s100b)
    assert error is not None
    # pROC's cov(wfns, s100b); and its Z and p of the paired test.
    assert (sum(variances) - error**2) / 2 == pytest.approx(0.00119615567376754, rel=1e-12)
    z = (auc(*wfns) - auc(*s100b)) / error
    assert z == pytest.approx(2.20898359144091, rel=1e-12)
    assert 2 * NormalDist().cdf(-z) == pytest.approx(0.0271757822291882, rel=1e-10)


def test_errors_of_delong_and_of_the_bootstrap_agree_within_five_per_cent() -> None:
    """Of an AUC and of a paired difference, at 250 clips a cell and 6,000 draws.

    A bootstrap's standard deviation of 6,000 draws is itself off by 1/√12000 = 0.9 per cent, and it
    takes n where DeLong takes n − 1, 0.2 per cent: 5 is more than four standard deviations.
    """
    table, truth = made(5, machines=1, each=250, ties=False)
    rng = np.random.default_rng(1)
    other = ScoreTable(
        tuple(ScoredFile(r.machine, r.section, r.file, r.score + rng.normal()) for r in table.rows)
    )
    drawn = draw_figures([table, other], truth, draws=6000)
    (one,), (two,) = (join(t.rows, truth) for t in (table, other))
    for column, name in enumerate(RULES["omega"].auc):
        kind = FIGURES[name]
        sides = [
            (s.scores[clips_of(s, "normal", kind.normal)],
             s.scores[clips_of(s, "anomaly", kind.anomaly)])
            for s in (one, two)
        ]  # fmt: skip
        a, b = drawn.drawn[:, :, 0, column]
        for found, draws in (
            (auc_error(*sides[0]), a),
            (auc_error(*sides[1]), b),
            (difference_error(*sides), a - b),
        ):
            assert found == pytest.approx(draws.std(), rel=0.05)


def test_the_error_of_a_mean_of_two_is_that_of_correlated_numbers() -> None:
    """Var((a + b)/2) = (Var a + Var b)/2 − Var(a − b)/4."""
    rng = np.random.default_rng(3)
    one = rng.normal(size=30), rng.normal(1, size=20)
    two = one[0] + rng.normal(size=30), one[1] + rng.normal(size=20)
    mean = Placements.mean([Placements.of(*one), Placements.of(*two)])
    a, b, apart = auc_error(*one), auc_error(*two), difference_error(one, two)
    assert mean.value == pytest.approx((auc(*one) + auc(*two)) / 2)
    assert mean.error == pytest.approx(math.sqrt((a**2 + b**2) / 2 - apart**2 / 4), rel=1e-12)


def test_what_the_formula_cannot_tell_has_no_error() -> None:
    assert auc_error([1, 2], [3]) is None  # one anomaly: no spread
    assert auc_error([1, 2], [3, 4]) is None  # perfect: 0 would say "surely"
    assert auc_error([1, 1], [1, 1]) is None
    same = ([1, 2, 4], [3, 5])
    assert difference_error(same, same) is None


def test_impossible_scores_are_refused() -> None:
    refused(lambda: auc_error([], [1.0]), "0 normal", error=DatasetError)
    refused(lambda: auc_error([1.0], [math.nan]), "finite", error=DatasetError)
    refused(
        lambda: difference_error(([1, 2], [3, 4]), ([1, 2, 3], [3, 4])),
        "same clips",
        error=DatasetError,
    )
