"""γ of Eq. 1 is a share, 0 to 1, wherever it is computed; rounding and silence do not count."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from nearfar.embedder.dif import DIF
from nearfar.reproduce.steps.stereo import clip_figures

ESTIMATORS = ("clip", "ema", "ema_debiased")
RATE = 16_000


def copies(seed):
    """A far channel that is the near one times a gain: γ is 1 in every bin, but for rounding."""
    rng = np.random.default_rng(seed)
    near = 0.05 * rng.standard_normal(RATE)
    return np.stack([near, rng.uniform(0.1, 3) * near]).astype(np.float32)


def bursts(seed):
    """Both microphones hear the same for a tenth of the time, and next to nothing else."""
    audio = copies(seed)
    audio[:, RATE // 10 :] *= 1e-3
    return audio


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sound", [copies, bursts])
def test_the_masks_coherence_is_never_above_one(estimator, sound):
    part = nf.CoherenceMask(coherence=estimator)
    largest = 0.0
    for seed in range(8):
        gamma = part.coherence_of(sound(seed))
        assert gamma.min() >= 0
        assert gamma.max() <= 1  # exactly
        largest = max(largest, float(gamma.max()))
    assert largest > 0.999


def test_the_features_coherence_is_never_above_one():
    names = [n for n in DIF().names if "coherence" in n]
    part = replace(DIF(), names=tuple(names))
    assert len(names) >= 9
    rows = part([sound(seed) for sound in (copies, bursts) for seed in range(8)])
    assert rows.min() >= 0
    assert rows.max() <= 1
    assert rows.max() > 0.999


@pytest.mark.parametrize("sound", [copies, bursts])
def test_the_reports_readings_of_coherence_are_never_above_one(sound):
    """`mixed` divides the clip's cross-spectrum by smoothed powers, which fall to nothing."""
    for seed in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = clip_figures(sound(seed))["gamma"]
        assert set(found) > set(ESTIMATORS)
        for reading, gamma in found.items():
            assert 0 <= gamma <= 1, reading
