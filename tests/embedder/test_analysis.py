"""One pass over a clip: its sums are those of a spectrum computed at once."""

import numpy as np
import pytest

from nearfar.embedder.dif.analysis import (
    BLOCK,
    ENERGY,
    HF,
    MOMENT,
    MOMENT2,
    SHORTEST,
    filters,
    frequency_sums,
    measure,
)
from nearfar.embedder.dif.table import BIN_HZ, FLOOR, HF_HZ, N_BINS
from nearfar.errors import AudioError
from nearfar.sound.spectral import HOP, N_FFT
from nearfar.testing import noise

HZ = np.arange(N_BINS) * BIN_HZ


def spectra(audio):
    """(2, frames, bins) of the whole clip in double precision, near scaled to peak at 0.5 … 1."""
    x = audio.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    x *= 2.0 ** -np.frexp(np.abs(x[0]).max())[1]
    padded = np.pad(x, ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    framed = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    noise_power = FLOOR * np.mean(x[0] ** 2) * np.sum(window**2)
    return np.fft.rfft(framed * window), noise_power


@pytest.fixture(scope="module", params=[0.1, 1.0, 5.0], ids=lambda s: f"{s} s")
def sound(request):
    """Shorter and longer than the blocks that the walk takes."""
    assert 1.0 * 16_000 / HOP < BLOCK < 5.0 * 16_000 / HOP
    return noise(seconds=request.param, seed=3)


def test_sums_over_frequency_and_time_are_those_of_the_spectra(sound):
    x, floor = spectra(sound)
    clip = measure(sound, cross_sums=True)
    assert clip.noise == pytest.approx(floor, rel=1e-5)
    for channel, spectrum in zip((clip.near, clip.far), x, strict=True):
        power = np.abs(spectrum) ** 2 + floor
        assert channel.sums[ENERGY] == pytest.approx(power.sum(axis=1), rel=1e-4)
        assert channel.sums[HF] == pytest.approx(power[:, HZ >= HF_HZ].sum(axis=1), rel=1e-4)
        assert channel.sums[MOMENT] == pytest.approx(power @ HZ, rel=1e-4)
        assert channel.sums[MOMENT2] == pytest.approx(power @ HZ**2, rel=1e-4)
        assert channel.mean_power == pytest.approx((power - floor).mean(axis=0), rel=1e-3)
    cross = x[0] * x[1].conj()
    scale = np.abs(cross).mean()
    assert np.abs(clip.cross_power - cross.mean(axis=0)).max() < 1e-3 * scale
    assert np.abs(clip.cross_sums[ENERGY] - cross.real.sum(axis=1)).max() < 1e-2 * scale * N_BINS


def test_sparing_the_zeros_of_the_low_bands_changes_no_sum():
    powers = np.random.default_rng(0).random((N_BINS, 7), np.float32)
    assert frequency_sums(powers) == pytest.approx(filters() @ powers, rel=1e-5)


def test_rolloff_is_where_the_power_below_reaches_its_share(sound):
    x, floor = spectra(sound)
    below = np.cumsum(np.abs(x[0]) ** 2 + floor, axis=1)
    found = measure(sound).extremes.rolloff.astype(int)
    reached = np.array([row[b] for row, b in zip(below, found, strict=True)])
    before = np.array([row[b - 1] if b else 0 for row, b in zip(below, found, strict=True)])
    total = below[:, -1]
    assert (reached >= 0.85 * total * (1 - 1e-5)).all()
    assert (before < 0.85 * total * (1 + 1e-5)).all()


def test_the_shared_filters_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        filters()[0, 0] = 1


def test_too_short_for_a_spread_of_deltas_is_refused():
    measure(noise(seconds=SHORTEST / 16_000))
    with pytest.raises(AudioError, match=f"at least {SHORTEST} samples"):
        measure(noise()[:, : SHORTEST - 1])
