"""Laws of the mask that hold by Eq. 1, beside those in `test_mask`."""

import numpy as np
import pytest

from nearfar.frontend import CoherenceMask, mask
from nearfar.testing import noise

ESTIMATORS = ("clip", "ema", "ema_debiased")
SOUND = noise(2, 2.0, seed=5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_both_at_the_price_of_one_are_the_two(estimator):
    part = CoherenceMask(coherence=estimator)
    values, gamma = part.measure(SOUND)
    assert np.array_equal(values, part.mask(SOUND))
    assert np.array_equal(gamma, part.coherence_of(SOUND))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_microphone_with_its_wires_swapped_changes_nothing(estimator):
    part = CoherenceMask(coherence=estimator)
    swapped = SOUND * np.array([[1], [-1]], np.float32)
    for one, other in zip(part.measure(SOUND), part.measure(swapped), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
def test_the_mask_lies_between_its_floor_and_one(estimator, floor):
    values = CoherenceMask(floor=floor, coherence=estimator).mask(SOUND)
    assert values.min() >= np.float32(floor)
    assert values.max() <= 1


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_how_many_frames_are_worked_on_at_a_time_changes_nothing(estimator, monkeypatch):
    part = CoherenceMask(coherence=estimator)
    expected = part.measure(SOUND)
    monkeypatch.setattr(mask, "BLOCK", 37)
    for one, other in zip(expected, part.measure(SOUND), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_taking_off_the_bias_never_adds_coherence():
    smoothed = CoherenceMask(coherence="ema").coherence_of(SOUND)
    debiased = CoherenceMask(coherence="ema_debiased").coherence_of(SOUND)
    assert (debiased <= smoothed + 1e-6).all()
    assert (debiased[smoothed < 0.05] == 0).all()  # the bias at α = 0.9 is 0.053


def test_without_smoothing_every_frame_is_coherent_with_itself():
    gamma = CoherenceMask(coherence="ema", smoothing=0.0).coherence_of(SOUND)
    np.testing.assert_allclose(gamma, 1, rtol=1e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_exact_power_of_five_is_the_power(estimator):
    """β = 5 is computed by products; a hair beside it by a logarithm."""
    beside = float(np.nextafter(np.float32(5), np.float32(6)))
    five, near_five = (CoherenceMask(sharpness=b, coherence=estimator) for b in (5.0, beside))
    np.testing.assert_allclose(five.mask(SOUND), near_five.mask(SOUND), atol=1e-4)
