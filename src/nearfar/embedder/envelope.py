"""ENV: how the loudness of each band rises and falls, seven numbers for each of 16 bands.

E(t, b): power of the near channel in the frames of DIF, without two at either end, plus DIF's ε
(`nearfar.embedder.dif.table`), in 32 mel bands of unit sum, averaged in pairs. From it

    a(t) = √E(t, b) / ⟨√E(t, b)⟩ − 1,    S(f) = |rfft(a · hann)|² / T,  f = 100·k / T Hz,

for the T frames of a clip, 100 a second. The formulas of the numbers are in `TABLE`. Their small
constants are what an envelope counts for that does not move: rounding must not look like a beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from nearfar.embedder.contract import Rows32
from nearfar.embedder.dif.analysis import Measured, measure
from nearfar.embedder.dif.table import Feature
from nearfar.embedder.melpairs import pair_edges, unit_sum
from nearfar.errors import AudioError
from nearfar.sound.audio import Audio
from nearfar.sound.fft import rfft
from nearfar.sound.spectral import HOP, N_FFT, SAMPLE_RATE, Float32, Float64

REVISION = 1  # raise it whenever the same audio gives other numbers
MELS = 32  # in pairs 16
SHORTEST = 47  # frames, of a clip of 0.5 s; with 39 each range of rates has a bin
BESIDE = 2  # frames at either end that reach beyond the clip
RATE = SAMPLE_RATE / HOP  # frames a second: 100
# Edges in Hz of slow, middle and fast changes: equal steps on a logarithmic scale.
RATES = (0.6, 2.62, 11.45, 50.0)
STILL = 1e-9  # variance of a that counts as none
QUIET = 1e-6  # S that counts as none

_ROWS = (
    ("beat_clarity", "dB", "10 log10((max S + 1e-6) / (median S + 1e-6)) over f > 0, {}"),
    ("burst_rarity", "dB", "10 ln of the kurtosis of a(t) with noise of variance 1e-9, {}"),
    ("burst_height", "dB", "10 ln(1 + max a(t)), {}"),
    ("loudness_swing", "dB", "10 log10(⟨a²⟩ + 1e-9), {}"),
    *(
        (f"{name}_beat", "dB", f"10 log10(max S + 1e-6) at {low:g}–{high:g} Hz, {{}}")
        for name, low, high in zip(("slow", "middle", "fast"), RATES[:-1], RATES[1:], strict=True)
    ),
)
# Band by band within each of the seven, as its name's family.
TABLE: tuple[Feature, ...] = tuple(
    Feature(f"{stem}_{low}_{high}", stem, "near", unit, formula.format(f"a of {low}–{high} Hz"))
    for stem, unit, formula in _ROWS
    for low, high in pair_edges(MELS)
)


@cache
def band_filters() -> Float32:
    """(16, bins): what one matrix product with a frame's power makes E of."""
    filters: Float32 = unit_sum(MELS, N_FFT).reshape(MELS // 2, 2, -1).mean(axis=1)
    found = filters.astype(np.float32)
    found.flags.writeable = False  # shared
    return found


@dataclass(frozen=True)
class ENV:
    """Modulation of the near channel's bands: 112 numbers that gain does not change.

    How clear, how fast and how deep the loudness of 16 bands beats, and how rare and high its
    bursts are. Behind `Stereo()` it is a part of `Concatenated`, which measures a clip once for it
    and DIF; alone it wants one channel, as of `Near()`.

    Source:
        Ours; evidence in docs/system5.md.

    >>> ENV().dim, ENV().features[0].name
    (112, 'beat_clarity_0_229')
    """

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = len(TABLE)
    fingerprint: ClassVar[str] = f"env-{REVISION}"
    features: ClassVar[tuple[Feature, ...]] = TABLE

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) each → (batch, 112).

        Raises:
            AudioError: shorter than 0.5 s, not finite, or without a sound.
        """
        rows = np.empty((len(audios), self.dim), np.float32)
        for row, audio in zip(rows, audios, strict=True):
            # The pass is one of two channels: near twice has the bits that it has beside far.
            row[:] = self.of(measure(np.repeat(audio[:1], 2, axis=0), near_filters=band_filters()))
        return rows

    def of(self, clip: Measured) -> Float64:
        """(112,) of a clip that was measured with `band_filters`."""
        if clip.near_bands is None:
            raise ValueError("measured without near_filters")  # ours to get right, not the user's
        # What the padding's mirror gives is no modulation.
        inside = clip.near_bands[:, BESIDE:-BESIDE]
        if inside.shape[1] < SHORTEST:
            raise AudioError("audio shorter than 0.5 s; ENV needs that much to hear a slow beat")
        return _numbers(inside)


def _numbers(power: Float32) -> Float64:
    """E, (16, T) → (112,)."""
    a = np.sqrt(power)
    a /= a.mean(axis=1, keepdims=True)
    a -= 1
    square = a * a
    variance = square.mean(axis=1, dtype=np.float64)
    fourth = (square * square).mean(axis=1, dtype=np.float64)
    # Of a + n, n normal with variance STILL: 3 where nothing moves.
    kurtosis = (fourth + 6 * variance * STILL + 3 * STILL**2) / (variance + STILL) ** 2
    spectrum, edges = _spectrum(a)
    largest = np.maximum.reduceat(spectrum[:, : edges[-1]], edges[:-1], axis=1)
    clarity = (spectrum[:, 1:].max(axis=1) + QUIET) / (_median(spectrum[:, 1:]) + QUIET)
    return np.concatenate(
        [
            10 * np.log10(clarity),
            10 * np.log(kurtosis),
            10 * np.log1p(a.max(axis=1).astype(np.float64)),
            10 * np.log10(variance + STILL),
            *(10 * np.log10(largest.T.astype(np.float64) + QUIET)),
        ]
    )


def _median(rows: Float32) -> Float32:
    """Of each row; NumPy's own takes three times as long to say the same."""
    middle = [(rows.shape[1] - 1) // 2, rows.shape[1] // 2]
    median: Float32 = np.partition(rows, middle, axis=1)[:, middle].mean(axis=1)
    return median


def _spectrum(a: Float32) -> tuple[Float32, list[int]]:
    """S, (bands, bins), and the bins at which slow, middle and fast begin and fast ends."""
    frames = a.shape[1]
    spectrum = rfft(a * _hann(frames), axis=1)
    power = (spectrum.real**2 + spectrum.imag**2) / np.float32(frames)
    # Each range has its lower edge, and the last one half the frames' rate too.
    edges = [int(np.ceil(hz * frames / RATE - 1e-9)) for hz in RATES[:-1]]
    return power, [*edges, power.shape[1]]


@cache
def _hann(n: int) -> Float32:
    """(n,) periodic."""
    window = np.square(np.sin(np.pi * np.arange(n) / n)).astype(np.float32)
    window.flags.writeable = False
    return window
