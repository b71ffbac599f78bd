"""The 151 features again, slowly: float64, one frame and one bin at a time, with scipy's own tools.

Written from the formulas of the report and of the cited textbooks, not from `nearfar.dif`; it
shares no line with it. Used as an oracle by the tests only.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import coherence, get_window, savgol_filter
from scipy.stats import kurtosis

RATE, N, HOP = 16_000, 400, 160
ELEVEN = [0, 200, 400, 800, 1200, 1600, 2400, 3200, 4000, 5200, 6400, 8000]
NINE = [0, 200, 400, 800, 1600, 2400, 3200, 4800, 6400, 8000]
OCTAVES = [0, 200, 400, 800, 1600, 3200, 6400, 8000]
FREQUENCIES = np.fft.rfftfreq(N, 1 / RATE)

Array = NDArray[np.float64]


def mel_to_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def mel_weight(band: int, hz: float, count: int = 40) -> float:
    """Slaney's triangle of unit area in Hz, times the width of a bin."""
    top = 15 + 27 * math.log(8) / math.log(6.4)
    low, peak, high = (mel_to_hz(top * (band + i) / (count + 1)) for i in range(3))
    if hz <= low or hz >= high:
        return 0.0
    side = (hz - low) / (peak - low) if hz <= peak else (high - hz) / (high - peak)
    return side * 2 / (high - low) * RATE / N


MEL = np.array([[mel_weight(m, f) for f in FREQUENCIES] for m in range(40)])


def in_band(low: float, high: float) -> NDArray[np.bool_]:
    """Lower edge in, upper edge out, except at half the sample rate."""
    return (low <= FREQUENCIES) & ((high > FREQUENCIES) | (high == RATE / 2))


def in_octave(low: float, high: float) -> NDArray[np.bool_]:
    """An octave and the bin just below it."""
    return in_band(max(low - RATE / N, 0), high)


def dft(x: Array) -> NDArray[np.complex128]:
    """(frames, bins), centred by mirrored ends."""
    padded = np.pad(x, N // 2, mode="reflect")
    window = get_window("hann", N)
    starts = range(0, len(x) // HOP * HOP + 1, HOP)
    return np.stack([np.fft.rfft(padded[s : s + N] * window) for s in starts])


def names_and_values(audio: NDArray[np.float32]) -> dict[str, float]:
    """Every candidate feature by name."""
    near, far = (channel - channel.mean() for channel in audio.astype(np.float64))
    noise = 1e-8 * np.mean(near**2) * np.sum(get_window("hann", N) ** 2)
    x0, x1 = dft(near), dft(far)
    p0, p1 = np.abs(x0) ** 2 + noise, np.abs(x1) ** 2 + noise
    out: dict[str, float] = {}
    out |= cepstral(p0, p1) | contrast(p0) | shape(p0) | impulses(near, p0)
    out |= stereo(near, far, p0, p1)
    mean0, mean1 = p0.mean(axis=0), p1.mean(axis=0)
    for a, b in pairwise(NINE):
        ratio = mean0[in_band(a, b)].sum() / mean1[in_band(a, b)].sum()
        out[f"lr_level_{a}_{b}"] = 10 * math.log10(ratio)
    msc = _msc(near, far)
    for a, b in pairwise(ELEVEN):
        share = mean0[in_band(a, b)].sum() / mean0.sum()
        out[f"band_ratio_{a}_{b}"] = 10 * math.log10(share)
        out[f"coherence_{a}_{b}"] = float(msc[in_band(a, b)].mean())
        out[f"band_level_{a}_{b}"] = 10 * math.log10(_mean_square(mean0, in_band(a, b)))
    return out | levels(near, far, p0)


def _mean_square(power: Array, band: NDArray[np.bool_]) -> float:
    """Of the sound that has this mean periodogram, in a band: 2 Σ |X|² / (N Σ w²)."""
    return float(2 * power[band].sum() / (N * np.sum(get_window("hann", N) ** 2)))


def cepstral(p0: Array, p1: Array) -> dict[str, float]:
    out: dict[str, float] = {}
    c0, c1 = (dct(10 * np.log10(p @ MEL.T), type=2, norm="ortho", axis=1) for p in (p0, p1))
    for k in range(13):
        slope = savgol_filter(c0[:, k], 9, polyorder=1, deriv=1)[4:-4]
        curvature = savgol_filter(c0[:, k], 9, polyorder=2, deriv=2)[4:-4]
        out[f"delta_mfcc_std_{k}"] = float(np.std(slope))
        out[f"delta2_mfcc_std_{k}"] = float(np.std(curvature))
        out[f"mfcc_std_{k}"] = float(np.std(c0[:, k]))
    for k in range(14):
        out[f"mfcc_mean_{k}"] = float(np.mean(c0[:, k]))
        out[f"mfcc_difference_{k}"] = float(np.mean(c0[:, k]) - np.mean(c1[:, k]))
    del out["mfcc_difference_0"]
    return out


def contrast(p0: Array) -> dict[str, float]:
    out: dict[str, float] = {}
    for a, b in pairwise(OCTAVES):
        chosen = in_octave(a, b)
        series = [10 * math.log10(max(frame[chosen]) / min(frame[chosen])) for frame in p0]
        out[f"contrast_mean_{a}_{b}"] = float(np.mean(series))
        out[f"contrast_std_{a}_{b}"] = float(np.std(series))
    return out


def shape(p0: Array) -> dict[str, float]:
    series: dict[str, list[float]] = {
        k: [] for k in ("centroid", "bandwidth", "rolloff", "flatness")
    }
    for frame in p0:
        share = frame / frame.sum()
        centroid = float(share @ FREQUENCIES)
        series["centroid"].append(centroid)
        series["bandwidth"].append(math.sqrt(share @ (FREQUENCIES - centroid) ** 2))
        series["rolloff"].append(FREQUENCIES[np.searchsorted(np.cumsum(share), 0.85)])
        series["flatness"].append(math.exp(np.log(frame).mean()) / frame.mean())
    means = {f"{name}_mean": float(np.mean(values)) for name, values in series.items()}
    return means | {f"{name}_std": float(np.std(values)) for name, values in series.items()}


def impulses(x: Array, p0: Array) -> dict[str, float]:
    envelope = np.sqrt(p0.sum(axis=1))
    rms, size = math.sqrt(np.mean(x**2)), np.abs(x)
    steady = np.var(envelope) < 1e-12 * envelope.mean() ** 2
    envelope_rms = math.sqrt(np.mean(envelope**2))
    return {
        "kurtosis": float(kurtosis(x, fisher=False)),
        "crest_factor": size.max() / rms,
        "impulse_factor": size.max() / size.mean(),
        "shape_factor": rms / size.mean(),
        "clearance_factor": size.max() / np.sqrt(size).mean() ** 2,
        "envelope_kurtosis": 0.0 if steady else float(kurtosis(envelope, fisher=False)),
        "envelope_crest_factor": envelope.max() / envelope_rms,
        "envelope_shape_factor": envelope_rms / envelope.mean(),
    }


def stereo(near: Array, far: Array, p0: Array, p1: Array) -> dict[str, float]:
    floor = 1e-8 * np.mean(near**2)
    e0, e1 = p0.sum(axis=1), p1.sum(axis=1)
    centroids = p0 @ FREQUENCIES / e0, p1 @ FREQUENCIES / e1
    high = FREQUENCIES >= 4000
    shares = p0[:, high].sum(axis=1) / e0, p1[:, high].sum(axis=1) / e1
    logs = 10 * np.log10(e0), 10 * np.log10(e1)
    covariance = np.cov(*logs, bias=True) + 1e-6 * np.eye(2)  # 1e-6 dB²: steady levels give 0
    power = [np.mean(v**2) for v in (near, far, (near + far) / 2, (near - far) / 2)]
    return {
        "lr_correlation": np.mean(near * far) / math.sqrt(power[0] * max(power[1], floor)),
        "rms_ratio": 10 * math.log10((power[0] + floor) / (power[1] + floor)),
        "mid_side_ratio": 10 * math.log10((power[2] + floor) / (power[3] + floor)),
        "centroid_difference": float(np.mean(centroids[0] - centroids[1])),
        "hf_ratio_difference": float(np.mean(shares[0] - shares[1])),
        "log_energy_correlation": covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]),
        "log_ratio_std": float(np.std(logs[0] - logs[1])),
    }


def _msc(near: Array, far: Array) -> Array:
    """Welch's estimate with the same frames; no detrending, mirrored ends."""
    used = len(near) // HOP * HOP + N
    padded = [np.pad(x, N // 2, mode="reflect")[:used] for x in (near, far)]
    with np.errstate(invalid="ignore"):
        _, msc = coherence(*padded, RATE, window="hann", nperseg=N, noverlap=N - HOP, detrend=False)
    return np.nan_to_num(msc)


def levels(near: Array, far: Array, p0: Array) -> dict[str, float]:
    everywhere = np.ones(len(FREQUENCIES), bool)
    frames = [10 * math.log10(_mean_square(frame, everywhere)) for frame in p0]
    loudest = 1 + int(np.argmax(p0.mean(axis=0)[1:]))
    return {
        "rms_level": 10 * math.log10(np.mean(near**2)),
        "peak_level": 20 * math.log10(np.abs(near).max()),
        "frame_level_p10": float(np.percentile(frames, 10)),
        "frame_level_p90": float(np.percentile(frames, 90)),
        "dominant_frequency": float(FREQUENCIES[loudest]),
        "far_rms_level": 10 * math.log10(np.mean(far**2) + 1e-8 * np.mean(near**2)),
    }
