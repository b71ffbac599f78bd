"""Curves enclose the areas that the metrics count, and histograms lose no clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_scores import rank_auc, trapezoid_pauc
from nearfar.report.curves import histogram, kinds, roc
from reports import judged, official

SCORES = st.lists(st.integers(0, 12).map(float), min_size=1, max_size=30).map(np.array)


def under(false, true):
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


@given(SCORES, SCORES)
def test_the_area_under_the_curve_is_the_auc(normal, anomalous):
    curve = roc(normal, anomalous)
    assert under(curve.false, curve.true) == pytest.approx(rank_auc(normal, anomalous))
    assert (curve.false[0], curve.true[0]) == (0, 0)
    assert (curve.false[-1], curve.true[-1]) == (1, 1)


@given(SCORES, SCORES)
def test_the_shaded_part_is_the_partial_area(normal, anomalous):
    false, true = roc(normal, anomalous).up_to(0.1)
    area = under(false, true)
    assert 0.5 * (1 + (area - 0.005) / (0.1 - 0.005)) == pytest.approx(
        trapezoid_pauc(normal, anomalous)
    )


@given(SCORES, SCORES)
def test_a_histogram_counts_every_clip_once(one, other):
    found = histogram({"one": one, "other": other})
    assert {kind: int(c.sum()) for kind, c in found.counts.items()} == {
        "one": len(one),
        "other": len(other),
    }


def test_one_clip_far_above_leaves_the_others_apart():
    found = histogram({"clips": np.array([*np.linspace(1, 2, 99), 1e6])})
    assert found.beyond == 1
    assert np.count_nonzero(found.counts["clips"]) > 5


def test_of_nothing_there_is_an_empty_histogram():
    assert histogram({"clips": np.empty(0)}).counts["clips"].sum() == 0


def test_a_score_that_is_no_number_has_no_place():
    run = judged(official("fan", each=2), scores=[float("nan"), *range(7)])
    assert sum(map(len, kinds(run.of(("fan", "00")), {}).values())) == 7


def test_kinds_are_labels_and_domains_normal_ones_first():
    found = kinds(judged(official("fan", each=2)).of(("fan", "00")), {})
    assert list(found) == ["normal, source", "normal, target", "anomaly, source", "anomaly, target"]
    assert {len(s) for s in found.values()} == {2}
