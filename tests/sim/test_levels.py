"""Statistics of pairs whose ratio, coherence and mask are known beforehand."""

import numpy as np
import pytest

from nearfar.sim.levels import clip_statistics


def white(channels=2, seed=0, samples=64_000):
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, samples)).astype("f4")


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_one_sound_at_two_levels(gain):
    """Eq. 1 with γ = 1: 0.3 σ(5 ln 1/g²), at least 0.2."""
    sound = white(1)[0]
    found = clip_statistics(np.stack([sound, np.float32(gain) * sound]))
    assert found["ratio_db"] == pytest.approx(-20 * np.log10(gain), abs=1e-3)
    assert found["spread_db"] == pytest.approx(0, abs=1e-3)
    assert found["lr"] == pytest.approx(1)
    assert found["gamma"] == pytest.approx(1)
    mask = 0.3 / (1 + gain**10)
    assert found["mask"] == pytest.approx(max(0.2, mask), abs=1e-3)
    assert found["floor"] == (mask < 0.2)


def test_unrelated_channels():
    """γ of K independent frames is 1/K; frames that overlap by 60 % count for less than half."""
    found = clip_statistics(white())
    frames = (64_000 - 400) // 160 + 1
    assert 1 / frames < found["gamma"] < 4 / frames
    assert abs(found["lr"]) < 4 / 64_000**0.5
    assert found["ratio_db"] == pytest.approx(0, abs=0.3)


def test_opposite_channels_are_coherent_and_anticorrelated():
    sound = white(1)[0]
    found = clip_statistics(np.stack([sound, -sound]))
    assert (found["lr"], found["gamma"]) == (pytest.approx(-1), pytest.approx(1))


def test_silence_is_finite_and_the_peak_is_over_full_scale():
    assert clip_statistics(np.eye(2, 1600, dtype="f4"))["peak_db"] == pytest.approx(0, abs=1e-6)
    quiet = white()
    quiet[1] = 0
    with np.errstate(all="ignore"):  # the correlation with silence is no number
        found = clip_statistics(quiet)
    assert np.isfinite([found[k] for k in ("ratio_db", "mask", "gamma", "peak_db")]).all()
