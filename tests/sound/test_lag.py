"""The lag and drift between two recorders are found as they were made."""

import math

import numpy as np
import pytest

from nearfar.sound.lag import Lag, lag_of

RATE, SECONDS = 16_000, 12
RNG = np.random.default_rng(5)
SOUND = np.convolve(RNG.standard_normal(RATE * SECONDS + 63), np.hanning(64) / 32, "valid")
NEAR = 0.1 * SOUND + 0.01 * RNG.standard_normal(len(SOUND))
FAR = 0.03 * SOUND + 0.003 * RNG.standard_normal(len(SOUND))


def both(near, far):
    n = min(len(near), len(far))
    return np.stack([near[:n], far[:n]]).astype(np.float32)


@pytest.mark.parametrize("late", [0, 80, 800, 8000])
def test_the_lag_is_what_the_far_file_lacks_at_its_start(late):
    """Far began later by so many samples: what it has comes earlier in its file."""
    found = lag_of(both(NEAR, FAR[late:]))
    assert found.ms == pytest.approx(-1000 * late / RATE, abs=0.5)
    turned = lag_of(both(NEAR[late:], FAR))
    assert turned.ms == pytest.approx(1000 * late / RATE, abs=0.5)


def test_the_sign_of_the_far_microphone_does_not_matter():
    assert lag_of(both(NEAR, -FAR[800:])).ms == pytest.approx(-50, abs=0.5)


def test_drift_is_that_of_the_clock():
    n = np.arange(len(FAR))
    slow = np.interp(n * (1 - 5e-4), n, FAR)
    assert lag_of(both(NEAR, slow)).drift == pytest.approx(500, abs=100)
    assert abs(lag_of(both(NEAR, FAR)).drift) < 100


def test_two_rooms_have_no_lag():
    found = lag_of(RNG.standard_normal((2, 4 * RATE)).astype(np.float32))
    assert math.isnan(found.begin)
    assert math.isnan(lag_of(np.zeros((2, RATE), np.float32)).ms)


def test_a_short_clip_has_no_drift():
    found = lag_of(both(NEAR[:RATE], FAR[:RATE]))
    assert found.apart == 0
    assert math.isnan(found.drift)
    assert Lag(-3.0, math.nan, 1.0).ms == -3.0
