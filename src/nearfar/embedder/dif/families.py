"""The features, one function per family; `nearfar.embedder.dif.table` has their names and formulas.

Near families take a measured clip and give (k,) numbers. Stereo families take `PairMeasures` and
give (rows, k): one row for a clip, many for the far channels that `nearfar.embedder.dif.residual`
mixes. All give float64; a clip's row is rounded to float32 once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nearfar.embedder.dif.analysis import ENERGY, HF, MEL, MOMENT, MOMENT2, Complex128, Measured
from nearfar.embedder.dif.table import (
    BANDS,
    BIN_HZ,
    CEPSTRA,
    DELTA_WIDTH,
    FLOOR,
    LR_BANDS,
    N_BINS,
    N_MELS,
    bins,
)
from nearfar.sound import spectral
from nearfar.sound.spectral import N_FFT, Float32, Float64

DB: float = 10 / math.log(10)  # dB per neper of power
STEADY = 1e-6  # dB²; below this variance a log energy is constant up to rounding


@dataclass(frozen=True)
class NearMeasures:
    """A measured clip and the cepstra that several near families share.

    >>> from nearfar.embedder.dif.analysis import measure
    >>> from nearfar.testing import noise
    >>> hear_near(measure(noise(seconds=1.0))).cepstra.shape
    (14, 101)
    """

    clip: Measured
    log_mel: Float64  # (40,) mean over frames, dB
    cepstra: Float32  # (14, frames) c0 … c13, dB


@dataclass(frozen=True)
class PairMeasures:
    """A near channel beside one far channel or several: (rows, …) where the far one counts.

    >>> from nearfar.embedder.dif.analysis import measure
    >>> from nearfar.embedder.dif.residual import mix, pair_of
    >>> from nearfar.testing import noise
    >>> near = hear_near(measure(noise(seconds=1.0), cross_sums=True))
    >>> s = np.array([0.5, 1.0, 1.5])
    >>> pair_of(near).far_power.shape, mix(near, 1 - s, s).far_power.shape
    ((1, 201), (3, 201))
    """

    gain_db: float
    near_square: float  # mean x₀²
    far_square: Float64  # (rows,) mean x₁²
    cross: Float64  # (rows,) mean x₀x₁
    mid_square: Float64  # (rows,) mean of ((x₀ + x₁) / 2)²
    side_square: Float64  # (rows,) mean of ((x₀ − x₁) / 2)²
    noise: float  # ε
    near_power: Float64  # (bins,) ⟨|X₀|²⟩
    far_power: Float64  # (rows, bins)
    cross_power: Complex128  # (rows, bins) ⟨X₀X₁*⟩
    near_log_mel: Float64  # (40,) ⟨L₀⟩, dB
    far_log_mel: Float64  # (rows, 40) ⟨L₁⟩, dB
    frame_terms: Float64  # (rows, 4), see `frame_terms`


def hear_near(clip: Measured) -> NearMeasures:
    """Log mel bands and cepstra of the near channel."""
    log_mel = np.log(clip.near.sums[MEL])
    log_mel *= np.float32(DB)
    cepstra = spectral.dct(CEPSTRA + 1, N_MELS) @ log_mel
    return NearMeasures(clip, log_mel.mean(axis=1).astype(np.float64), cepstra)


def delta_mfcc_std(near: NearMeasures) -> Float64:
    """(26,): sd over time of the slope and of the curvature of c0 … c12.

    Least-squares line and parabola over 9 frames (Savitzky and Golay 1964), where all 9 exist.
    """
    c = near.cepstra[:CEPSTRA]
    half, frames = DELTA_WIDTH // 2, c.shape[1]
    inside = frames - 2 * half
    slope = np.zeros((CEPSTRA, inside), np.float32)
    curvature = c[:, half : half + inside] * np.float32(-20 / 462)
    term = np.empty_like(slope)
    for k in range(1, half + 1):
        ahead, behind = c[:, half + k :][:, :inside], c[:, half - k :][:, :inside]
        np.subtract(ahead, behind, out=term)
        slope += np.multiply(term, np.float32(k / 60), out=term)
        np.add(ahead, behind, out=term)
        curvature += np.multiply(term, np.float32((3 * k * k - 20) / 462), out=term)
    return np.concatenate([slope.std(axis=1), curvature.std(axis=1)]).astype(np.float64)


def mfcc_mean(near: NearMeasures) -> Float64:
    """(13,): mean of c1 … c13."""
    return _cepstrum(near.log_mel)


def spectral_contrast(near: NearMeasures) -> Float64:
    """(14,): mean, then sd over time of the ratio of strongest to weakest bin, in 7 bands."""
    extremes = near.clip.extremes
    contrast = np.log(extremes.high / extremes.low)
    contrast *= np.float32(DB)
    return np.concatenate([contrast.mean(axis=1), contrast.std(axis=1)]).astype(np.float64)


def band_energy_ratio(near: NearMeasures) -> Float64:
    """(11,): power in a band over the power in all of them."""
    power = near.clip.near.mean_power + near.clip.noise
    return _db(_band_sums(power, BANDS) / power.sum())


def spectral_shape(near: NearMeasures) -> Float64:
    """(8,): mean and sd over time of centroid, bandwidth, roll-off, flatness."""
    energy, moment, moment2 = near.clip.near.sums[[ENERGY, MOMENT, MOMENT2]].astype(np.float64)
    centroid = moment / energy
    bandwidth = np.sqrt(np.maximum(moment2 / energy - centroid**2, 0))
    rolloff = near.clip.extremes.rolloff * BIN_HZ
    flatness = np.exp(near.clip.extremes.mean_log) / (energy / N_BINS)
    series = np.stack([centroid, bandwidth, rolloff, flatness])
    return np.stack([series.mean(axis=1), series.std(axis=1)], axis=1).ravel()


def impulsiveness(near: NearMeasures) -> Float64:
    """(8,): how much of the waveform, and of its envelope, is in few and strong moments."""
    x = near.clip.waves
    rms = np.sqrt(x.near_square)
    power = near.clip.near.sums[ENERGY].astype(np.float64)
    envelope = np.sqrt(power)
    mean, envelope_rms = envelope.mean(), np.sqrt(power.mean())
    deviation = np.square(envelope - mean)
    variance = max(float(deviation.mean()), 1e-12 * mean**2)  # a steady envelope has none
    return np.array(
        [
            x.fourth / x.near_square**2,
            x.peak / rms,
            x.peak / x.absolute,
            rms / x.absolute,
            x.peak / x.root**2,
            np.square(deviation).mean() / variance**2,
            envelope.max() / envelope_rms,
            envelope_rms / mean,
        ]
    )


def mfcc_std(near: NearMeasures) -> Float64:
    """(13,): sd over time of c0 … c12 (not among the 120)."""
    spread: Float64 = near.cepstra[:CEPSTRA].std(axis=1).astype(np.float64)
    return spread


def band_level(near: NearMeasures) -> Float64:
    """(11,): mean square of the near waveform per band, dB re full scale (not among the 120)."""
    power = near.clip.near.mean_power + near.clip.noise
    return _db(_mean_square(_band_sums(power, BANDS))) - near.clip.waves.gain_db


def near_level(near: NearMeasures) -> Float64:
    """(6,): what says how loud the near channel is, and at which frequency (not among the 120)."""
    clip, gain_db = near.clip, near.clip.waves.gain_db
    c0 = (near.log_mel.mean() - gain_db) * np.sqrt(N_MELS)
    frames = _db(_mean_square(clip.near.sums[ENERGY].astype(np.float64)))
    p10, p90 = np.quantile(frames, [0.1, 0.9]) - gain_db
    rms, peak = DB * np.log([clip.waves.near_square, clip.waves.peak**2]) - gain_db
    dominant = (1 + np.argmax(clip.near.mean_power[1:])) * BIN_HZ
    return np.array([c0, rms, peak, p10, p90, dominant])


def basic_stereo(pair: PairMeasures) -> Float64:
    """(rows, 7): what the two waveforms and their frame energies say of each other."""
    floor = FLOOR * pair.near_square
    far = np.maximum(pair.far_square, floor)
    correlation = pair.cross / np.sqrt(pair.near_square * far)
    waves = [
        np.clip(correlation, -1, 1),
        _db((pair.near_square + floor) / (pair.far_square + floor)),
        _db((pair.mid_square + floor) / (pair.side_square + floor)),
    ]
    return np.column_stack([*waves, pair.frame_terms])


def band_level_difference(pair: PairMeasures) -> Float64:
    """(rows, 9): near over far level in bands of the mean spectra."""
    near = _band_sums(pair.near_power + pair.noise, LR_BANDS)
    return _db(near / _band_sums(pair.far_power + pair.noise, LR_BANDS))


def mfcc_difference(pair: PairMeasures) -> Float64:
    """(rows, 13): near minus far mean of c1 … c13."""
    return _cepstrum(pair.near_log_mel - pair.far_log_mel)


def coherence(pair: PairMeasures) -> Float64:
    """(rows, 11): magnitude-squared coherence over the whole clip, averaged in bands.

    A bin in which the far channel is 80 dB below the near one counts as if it were not lower.
    """
    floor = np.maximum(pair.far_power, FLOOR * pair.near_power)
    product = pair.near_power * floor
    square = np.abs(pair.cross_power) ** 2
    msc = np.divide(square, product, out=np.zeros_like(square), where=product > 0)
    widths = np.array([high - low for low, high in bins(BANDS)])
    mean: Float64 = _band_sums(np.minimum(msc, 1), BANDS) / widths
    return mean


def far_level(pair: PairMeasures) -> Float64:
    """(rows, 1): level of the far channel, dB re full scale (not among the 120)."""
    far = pair.far_square + FLOOR * pair.near_square
    return _db(far[:, None]) - pair.gain_db


def frame_terms(near: Float32, far: Float32) -> Float64:
    """The basic stereo features that compare the two channels frame by frame.

    Args:
        near: (sums, frames) of the near channel.
        far: (rows, sums, frames).

    Returns:
        (rows, 4): centroid and HF ratio differences, correlation and ratio of log energies.
    """
    energy = far[:, ENERGY].astype(np.float64)
    near_energy = near[ENERGY].astype(np.float64)
    centroid = near[MOMENT] / near_energy - far[:, MOMENT] / energy
    share = near[HF] / near_energy - far[:, HF] / energy
    log0, log1 = _db(near_energy), _db(energy)
    log0 -= log0.mean()
    log1 -= log1.mean(axis=1, keepdims=True)
    variances = (log0 @ log0 / len(log0) + STEADY) * ((log1**2).mean(axis=1) + STEADY)
    correlation = log1 @ log0 / len(log0) / np.sqrt(variances)
    ratio = (log0 - log1).std(axis=1)
    return np.column_stack([centroid.mean(axis=1), share.mean(axis=1), correlation, ratio])


def _db(power: Float64) -> Float64:
    decibels: Float64 = DB * np.log(power)
    return decibels


def _mean_square(power: Float64) -> Float64:
    """Of the sound, from |X|² summed over bins (Parseval: Σ 2 |X|² = n_fft Σ (w x)²)."""
    return power * (2 / (N_FFT * float(np.square(spectral.hann(N_FFT)).sum())))


def _cepstrum(log_mel: Float64) -> Float64:
    """c1 … c13 of mean log mel bands (..., 40)."""
    return log_mel @ spectral.dct(CEPSTRA + 1, N_MELS)[1:].T


def _band_sums(spectrum: Float64, edges: tuple[int, ...]) -> Float64:
    """(..., bins) → (..., bands)."""
    starts = [low for low, _ in bins(edges)]
    return np.add.reduceat(spectrum, starts, axis=-1)


NEAR_FAMILIES: dict[str, Callable[[NearMeasures], Float64]] = {
    f.__name__: f
    for f in (
        delta_mfcc_std,
        mfcc_mean,
        spectral_contrast,
        band_energy_ratio,
        spectral_shape,
        impulsiveness,
        mfcc_std,
        band_level,
        near_level,
    )
}
STEREO_FAMILIES: dict[str, Callable[[PairMeasures], Float64]] = {
    f.__name__: f
    for f in (basic_stereo, band_level_difference, mfcc_difference, coherence, far_level)
}
