"""Eq. 1 written out frame by frame in float64, and the laws of the mask."""

import math
from itertools import pairwise

import numpy as np
import pytest

from front_sounds import RATE, half_common, white
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask
from nearfar.sound import spectral

ESTIMATORS = ("clip", "ema", "ema_debiased")


# ---- the contract --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"sharpness": 0.0}, {"sharpness": math.nan}, {"sharpness": "5"}, {"coherence_weight": 1.1},
        {"coherence_weight": -0.1}, {"floor": -0.1}, {"floor": 2}, {"smoothing": 1.0},
        {"smoothing": -0.1}, {"smoothing": True}, {"coherence": "welch"}, {"coherence": None},
        {"coherence": "ema_debiased", "smoothing": 0.0},
    ],
    ids=repr,
)  # fmt: skip
def test_bad_settings_of_the_mask(bad):
    with pytest.raises(SettingError) as caught:
        CoherenceMask(**bad)
    assert "\n" not in str(caught.value)
    assert next(reversed(bad)) in str(caught.value)


# ---- Eq. 1, independently ------------------------------------------------------------------------


def slow_eq1(audio, beta=5.0, w=0.7, delta=0.2, alpha=0.9, estimator="clip"):
    """(mask, γ): float64, a loop over frames, numpy's own FFT."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.pad(audio.astype(np.float64), ((0, 0), (200, 200)), mode="reflect")
    starts = range(0, padded.shape[1] - 399, 160)
    x0, x1 = (np.array([np.fft.rfft(window * c[s : s + 400]) for s in starts]) for c in padded)
    mean_product = (abs(x0) ** 2).mean() * (abs(x1) ** 2).mean()

    def smoothed(values):
        out = [values[0]]
        for value in values[1:]:
            out.append(alpha * out[-1] + (1 - alpha) * value)
        return np.array(out)

    instant = abs(x0) ** 2, abs(x1) ** 2, x0 * x1.conj()
    p0, p1, phi = (smoothed(v) for v in instant)
    if estimator == "clip":
        q0, q1, cross = (v.mean(axis=0) for v in instant)
        gamma = abs(cross) ** 2 / (q0 * q1 + 1e-20 * mean_product)
    else:
        gamma = abs(phi) ** 2 / (p0 * p1 + 1e-20 * mean_product)
    if estimator == "ema_debiased":
        bias = (1 - alpha) / (1 + alpha)
        gamma = (gamma - bias) / (1 - bias)
    gamma = np.clip(gamma, 0, 1)
    gate = 1 / (1 + np.exp(-beta * (np.log(p0) - np.log(p1))))
    mask = np.maximum(gate * (1 - w * gamma), delta)
    return mask.T, np.broadcast_to(gamma, mask.shape).T


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("changed", [{}, {"beta": 2.5, "w": 0.3, "delta": 0.05, "alpha": 0.5}])
def test_against_equation_1_written_out(estimator, changed):
    audio = half_common(2.013)
    names = {"beta": "sharpness", "w": "coherence_weight", "delta": "floor", "alpha": "smoothing"}
    part = CoherenceMask(coherence=estimator, **{names[k]: v for k, v in changed.items()})
    mask, gamma = slow_eq1(audio, estimator=estimator, **changed)
    assert np.ptp(mask) > 0.7  # the sound asks for everything
    np.testing.assert_allclose(part.mask(audio), mask, atol=2e-4)
    np.testing.assert_allclose(
        np.broadcast_to(part.coherence_of(audio), gamma.shape), gamma, atol=1e-4
    )


def test_the_sound_is_the_mask_times_the_near_spectrum():
    audio, part = half_common(1.37), CoherenceMask()
    wanted = spectral.istft(part.mask(audio) * spectral.stft(audio[0]), audio.shape[1])
    np.testing.assert_allclose(part(audio)[0], wanted, atol=1e-6)


def test_smoothing_is_the_recursion():
    x = np.random.default_rng(0).random((3, 100)).astype(np.float32)
    y = [x[:, 0].astype(np.float64)]
    for t in range(1, 100):
        y.append(0.9 * y[-1] + 0.1 * x[:, t])
    y = np.array(y).T
    np.testing.assert_allclose(spectral.smooth(x.copy(), 0.9), y, rtol=1e-5)
    later = spectral.smooth(x[:, 37:].copy(), 0.9, y[:, 36].astype(np.float32))
    np.testing.assert_allclose(later, y[:, 37:], rtol=1e-5)


# ---- laws of the mask ----------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [16_000, 16_001, 37_283, 12 * RATE - 1, 12 * RATE])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_mask_of_ones_gives_the_input_back(samples, estimator):
    audio = np.clip(5 * white(12)[:, :samples], -1, 1)
    out = CoherenceMask(floor=1.0, coherence=estimator)(audio)
    assert np.abs(out - audio[:1]).max() <= 1e-6


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_silent_far_channel_gives_one(estimator):
    audio = half_common()
    audio[1] = 0
    part = CoherenceMask(coherence=estimator)
    assert np.all(part.mask(audio) == 1)
    assert np.all(part.coherence_of(audio) == 0)
    assert np.abs(part(audio) - audio[:1]).max() <= 1e-6


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sound", ["noise", "tone", "gap"])
def test_identical_channels_give_the_floor(estimator, sound):
    near = half_common(3.0)[0]
    if sound == "tone":
        near = np.sin(np.arange(len(near)) * 0.7).astype(np.float32) + 1e-4 * near
    if sound == "gap":
        near[20_000:30_000] = 0
    power = np.abs(spectral.stft(near)) ** 2  # P of Eq. 1: as the estimator averages it
    if estimator == "clip":
        power[:] = power.mean(axis=1, keepdims=True)
    else:
        power = spectral.smooth(power, 0.9)
    mask = CoherenceMask(coherence=estimator).mask(np.stack([near, near]))
    loud = power > 1e-9 * power.mean()  # −90 dB
    assert loud.mean() > 0.5
    assert np.all(mask[loud] == np.float32(0.2))


def overlap_correlation(lag):
    """Of the spectra of white noise in Hann frames of 400, `lag` frames of 160 apart, squared."""
    window = np.sin(np.pi * np.arange(400) / 400) ** 2
    shift = 160 * lag
    return (np.dot(window[shift:], window[: 400 - shift]) / np.dot(window, window)) ** 2


def test_unrelated_channels_over_the_clip_have_one_over_the_frames():
    frames = 1 + 10 * 100
    c = 1 + 2 * sum(overlap_correlation(k) for k in (1, 2))
    gamma = np.mean([CoherenceMask().coherence_of(white(10, s))[1:-1].mean() for s in range(6)])
    assert gamma == pytest.approx(c / frames, rel=0.1)  # 1 / effective number of frames


def test_unrelated_channels_smoothed_have_one_nineteenth():
    # (1 − α)/(1 + α); by the overlap of frames at most this much more, the ratio of the means of
    # |Φ|² and P₀P₁.
    c = 1 + 2 * sum(0.9**k * overlap_correlation(k) for k in (1, 2))
    gamma = CoherenceMask(coherence="ema").coherence_of(white(20))[1:-1, 100:]
    assert 1 / 19 < gamma.mean() < c / 19
    raw, b = gamma.astype(np.float64), 1 / 19
    debiased = CoherenceMask(coherence="ema_debiased").coherence_of(white(20))[1:-1, 100:]
    np.testing.assert_allclose(debiased, np.maximum(0, (raw - b) / (1 - b)), atol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("gain", [1e-8, 0.3, 1e8])
def test_a_common_gain_changes_nothing(estimator, gain):
    audio, part = half_common(), CoherenceMask(coherence=estimator)
    louder = audio * np.float32(gain)
    np.testing.assert_allclose(part.mask(louder), part.mask(audio), atol=1e-4)
    np.testing.assert_allclose(part(louder) / np.float32(gain), part(audio), atol=1e-4)
    doubled = part(2**20 * audio)
    assert np.array_equal(doubled, 2**20 * part(audio))  # to the bit where floats allow it


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_weight_no_coherence(estimator):
    audio = half_common()
    part = CoherenceMask(coherence_weight=0.0, coherence=estimator)
    gate = slow_eq1(audio, w=0.0)[0]
    np.testing.assert_allclose(part.mask(audio), gate, atol=2e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_more_far_never_opens_the_mask(estimator):
    audio, part = half_common(), CoherenceMask(coherence=estimator, coherence_weight=0.0)
    masks = [part.mask(audio * np.array([[1], [g]], np.float32)) for g in (0.0, 0.1, 1, 10, 1e30)]
    for more, less in pairwise(masks):
        assert np.all(more >= less - 1e-6)
    assert np.all(masks[-1] == np.float32(0.2))
