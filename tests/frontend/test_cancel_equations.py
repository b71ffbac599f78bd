"""The canceller is least squares per frequency: numpy solves the same equations by itself."""

import numpy as np
import pytest

from nearfar.frontend import FarCancel
from nearfar.testing import noise


def spectra(channel, n_fft, hop):
    """(frames, bins) in float64, silence outside, numpy's own FFT."""
    hops = -(-len(channel) // hop) * hop
    padded = np.zeros(hops + n_fft)
    padded[n_fft // 2 : n_fft // 2 + len(channel)] = channel
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    starts = range(0, hops + 1, hop)
    return np.array([np.fft.rfft(window * padded[s : s + n_fft]) for s in starts])


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 512), (256, 64)])
def test_the_filter_is_the_least_squares_one(n_fft, hop):
    audio = noise(2, 1.3, seed=3)
    near, far = (spectra(channel, n_fft, hop) for channel in audio)
    expected = [
        np.linalg.lstsq(f[:, None], n, rcond=None)[0][0] for n, f in zip(near.T, far.T, strict=True)
    ]
    np.testing.assert_allclose(FarCancel(n_fft, hop).filter(audio), expected, rtol=1e-3, atol=1e-4)


def test_what_is_left_has_nothing_of_far_in_it():
    """The normal equations: Σ Y F* = 0 at every frequency."""
    audio = noise(2, 1.3, seed=4)
    near, far = (spectra(channel, 1024, 512) for channel in audio)
    left = near - FarCancel().filter(audio) * far
    cross = np.abs((left * far.conj()).sum(axis=0))
    assert (cross <= 1e-4 * np.sqrt((abs(near) ** 2).sum(0) * (abs(far) ** 2).sum(0))).all()


def test_cancelling_again_changes_nothing():
    audio = noise(2, 2.0, seed=5)
    once = FarCancel()(audio)
    h = FarCancel().filter(np.concatenate([once, audio[1:]]))
    first = FarCancel().filter(audio)
    assert np.abs(h).mean() < 0.2 * np.abs(first).mean()


@pytest.mark.parametrize("gain", [2.0**-60, 2.0**60])
def test_a_power_of_two_in_far_turns_the_filter_only(gain):
    audio = noise(2, 1.0, seed=6)
    louder = audio * np.array([[1], [gain]], np.float32)
    assert np.array_equal(FarCancel()(louder), FarCancel()(audio))
    np.testing.assert_allclose(
        FarCancel().filter(louder) * gain, FarCancel().filter(audio), rtol=1e-6
    )
