"""When a clip is anomalous: above the threshold, never at it. Percentiles make ties an everyday."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.scoring.calibrate import threshold

CLIP = nf.Clip(Path("new.wav"), machine="fan")


def verdict(score, at):
    return nf.Verdict(CLIP, score, percentile=0.5, threshold=at, nearest="old.wav")


@given(st.floats(-1e300, 1e300, allow_subnormal=False))
def test_a_score_at_the_threshold_is_normal_and_the_next_one_is_not(at):
    assert not verdict(at, at).anomalous
    assert not verdict(np.nextafter(at, -np.inf), at).anomalous
    assert verdict(np.nextafter(at, np.inf), at).anomalous


ties = st.lists(st.sampled_from([0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=40)


@given(ties, st.floats(0.01, 0.99))
def test_of_normals_with_equal_scores_no_more_are_anomalous_than_allowed(self_scores, rate):
    drawn = threshold(np.array(self_scores), rate)
    alarms = sum(verdict(score, drawn.value).anomalous for score in self_scores)
    assert alarms <= rate * len(self_scores) + 1e-9


@pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")
def test_with_flat_percentiles_and_few_clips_nothing_can_be_anomalous(dcase):
    """Twelve clips and a rate of 1 in 20: the threshold is 1.0, and the loudest anomaly is at 1.0.

    The fit says so in a warning; a verdict must not say the opposite.
    """
    rare = replace(nf.s4(), calibration=nf.Percentile(), false_alarm_rate=0.05)
    detector = nf.fit(rare, nf.Clips.open(dcase, split="train"))
    scores = detector.score(nf.Clips.open(dcase, split="test"))
    at = [v for v in scores if v.score == v.threshold == 1.0]
    assert len(at) > 3
    assert not any(v.anomalous for v in scores)
