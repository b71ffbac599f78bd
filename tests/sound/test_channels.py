"""LR_corr and the near/far level ratio against what theory and numpy say."""

import numpy as np
import pytest

from nearfar.sound.channels import relate

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((2, 32_000)).astype(np.float32)


@pytest.mark.parametrize("offset", [(0, 0), (0.5, 0), (0.001, -20), (300, 300)])
@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_against_numpy_in_double_precision(offset, scale):
    audio = (scale * (NOISE + 0.4 * NOISE[:1] + np.array(offset)[:, None])).astype(np.float32)
    double = audio.astype(np.float64)
    near, far = double.var(axis=1)
    correlation, level = relate(audio)
    assert correlation == pytest.approx(np.corrcoef(double)[0, 1], abs=1e-5)
    assert level == pytest.approx(10 * np.log10(near / far), abs=1e-4)


def test_theory():
    near = NOISE[0]
    assert relate(np.stack([near, near])) == pytest.approx((1, 0), abs=1e-6)
    assert relate(np.stack([near, -near])) == pytest.approx((-1, 0), abs=1e-6)
    assert relate(np.stack([10 * near, near])) == pytest.approx((1, 20), abs=1e-4)
    assert abs(relate(NOISE)[0]) < 5 / np.sqrt(NOISE.shape[1])


def test_a_common_gain_changes_nothing():
    assert relate(1e-3 * NOISE) == pytest.approx(relate(NOISE), abs=1e-5)


def test_a_constant_channel_has_no_level():
    correlation, level = relate(np.stack([NOISE[0], np.full(32_000, 0.25, np.float32)]))
    assert correlation == 0
    assert np.isnan(level)
