"""ENV and LTAS again, slowly: float64, one frame and one band at a time, with loops.

Written from the formulas of docs/system5.md, not from the code; it shares no line with it.
"""

from __future__ import annotations

import math

import numpy as np

RATE = 16_000


def mel_to_hz(mel):
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def bands(count, n_fft):
    """Slaney's triangles of sum 1: a list of (bin, weight) for each band."""
    top = 15 + 27 * math.log(8) / math.log(6.4)
    points = [mel_to_hz(top * i / (count + 1)) for i in range(count + 2)]
    found = []
    for low, peak, high in zip(points, points[1:], points[2:], strict=False):
        weights = {}
        for k in range(n_fft // 2 + 1):
            hz = k * RATE / n_fft
            if low < hz < high:
                weights[k] = (
                    (hz - low) / (peak - low) if hz <= peak else (high - hz) / (high - peak)
                )
        total = sum(weights.values())
        found.append([(k, w / total) for k, w in weights.items()])
    return found


def hann(n):
    return np.array([math.sin(math.pi * k / n) ** 2 for k in range(n)])


def powers(x, n_fft, hop):
    """(frames, bins) of unpadded frames."""
    window = hann(n_fft)
    starts = range(0, len(x) - n_fft + 1, hop)
    return np.stack([np.abs(np.fft.rfft(x[s : s + n_fft] * window)) ** 2 for s in starts])


def env(near):
    """(112,) of (samples,)."""
    x = near.astype(np.float64)
    x = x - x.mean()
    noise = 1e-8 * np.mean(x**2) * np.sum(hann(400) ** 2)
    # Frames are centred at multiples of 160; the first two and the last two are left out.
    last = len(x) // 160 - 2
    used = np.concatenate([x, np.zeros(400)])[120 : 160 * last + 200]
    p = powers(used, 400, 160) + noise
    assert len(p) == last - 1
    triangles = bands(32, 400)
    columns = []
    for pair in range(16):
        loud = np.zeros(len(p))
        for band in (2 * pair, 2 * pair + 1):
            for k, weight in triangles[band]:
                loud += weight * p[:, k] / 2
        columns.append(_seven(np.sqrt(loud)))
    return np.array(columns).T.ravel()


def _seven(root):
    a = root / root.mean() - 1
    frames = len(a)
    s = np.abs(np.fft.rfft(a * hann(frames))) ** 2 / frames
    hz = [100 * k / frames for k in range(len(s))]
    variance, fourth = np.mean(a**2), np.mean(a**4)
    # a with Gaussian noise of variance 1e-9 added: its second and fourth moment.
    second, fourth = variance + 1e-9, fourth + 6 * variance * 1e-9 + 3e-18
    inner = sorted(s[1:])
    middle = len(inner) // 2
    median = inner[middle] if len(inner) % 2 else (inner[middle - 1] + inner[middle]) / 2
    out = [
        10 * math.log10((max(s[1:]) + 1e-6) / (median + 1e-6)),
        10 * math.log(fourth / second**2),
        10 * math.log(1 + max(a)),
        10 * math.log10(second),
    ]
    for low, high in ((0.6, 2.62), (2.62, 11.45), (11.45, 50.01)):
        largest = max(s[k] for k in range(len(s)) if low <= hz[k] < high)
        out.append(10 * math.log10(largest + 1e-6))
    return out


def ltas(near):
    """(64,) of (samples,)."""
    x = near.astype(np.float64)
    p = powers(x - x.mean(), 1024, 512)
    triangles = bands(128, 1024)
    m = np.array([sum(w * p[:, k] for k, w in band) for band in triangles])  # (bands, frames)
    m = m + 1e-8 * m.mean()
    quadratic = np.sqrt((m**2).mean(axis=1))
    level = [10 * math.log10((quadratic[2 * b] + quadratic[2 * b + 1]) / 2) for b in range(64)]
    return np.array(level) - np.mean(level)
