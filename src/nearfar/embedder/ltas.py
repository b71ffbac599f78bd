"""LTAS: the long-term average spectrum of the near channel, where loud moments count more.

M(t, m): power in 128 mel bands of unit sum, of unpadded Hann frames of 1024 samples, hop 512, plus
1e-8 of its mean over frames and bands. X(b) = 10 log10 of the mean over two neighbouring bands of
√⟨M²⟩, less its mean over the 64 pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from nearfar.embedder.contract import Rows32
from nearfar.embedder.dif.table import Feature
from nearfar.embedder.melpairs import pair_edges, unit_sum
from nearfar.errors import AudioError
from nearfar.sound import spectral
from nearfar.sound.audio import Audio
from nearfar.sound.fft import rfft
from nearfar.sound.spectral import Float32, Float64

REVISION = 1  # raise it whenever the same audio gives other numbers
MELS, FRAME, STEP = 128, 1024, 512  # bands, in pairs 64; samples
FLOOR = 1e-8  # of the mean power, −80 dB
BLOCK = 104  # frames worked on at a time: their spectra stay in a core's cache
TOGETHER = 32  # bands of one matrix product: others have no bins in common with them

_FORMULA = "10 log10 √⟨M²⟩ of {}–{} Hz, mean of two mel bands, less the mean of all pairs"
TABLE: tuple[Feature, ...] = tuple(
    Feature(f"colour_{low}_{high}", "colour", "near", "dB", _FORMULA.format(low, high))
    for low, high in pair_edges(MELS)
)


@dataclass(frozen=True)
class LTAS:
    """The near channel's long-term spectrum: 64 numbers in dB that gain does not change.

    A quadratic mean over time, so that a moment that is twice as loud counts four times.

    Source:
        Ours; evidence in docs/system5.md.

    >>> hiss = np.random.default_rng(0).standard_normal((1, 16_000), np.float32)
    >>> first, louder = LTAS()([hiss, 8 * hiss])
    >>> len(first), bool((first == louder).all()), abs(float(first.mean())) < 1e-6
    (64, True, True)
    """

    channels: ClassVar[int] = 1
    dim: ClassVar[int] = len(TABLE)
    fingerprint: ClassVar[str] = f"ltas-{REVISION}"
    features: ClassVar[tuple[Feature, ...]] = TABLE

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(1, samples) each → (batch, 64).

        Raises:
            AudioError: shorter than 1024 samples, not finite, or without a sound.
        """
        rows = np.empty((len(audios), self.dim), np.float32)
        for row, audio in zip(rows, audios, strict=True):
            row[:] = _numbers(*_prepared(audio))
        return rows


def _prepared(audio: Audio) -> tuple[Float32, np.float32]:
    """(samples,) without its mean, and the power of two that brings its peak near 1.

    So gains of 2ⁿ change no bit.
    """
    if audio.ndim != 2 or audio.shape[1] < FRAME:
        raise AudioError(
            f"audio of shape {audio.shape}; LTAS needs (1, samples), at least {FRAME} samples"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # judged below
        x: Float32 = np.asarray(audio[0], np.float32)
        x = x - x.mean(dtype=np.float32)
        peak = float(max(x.max(), -x.min()))
    if not np.isfinite(peak) or peak == 0:
        raise AudioError(
            f"audio whose near channel peaks at {peak:g} (mean removed); LTAS needs a sound of "
            "finite samples"
        )
    return x, np.float32(2.0 ** -np.clip(np.frexp(peak)[1], -126, 126))


def _numbers(x: Float32, scale: np.float32) -> Float64:
    """(samples,) → (64,)."""
    # With the window, not the whole sound: a product by a power of two is exact anywhere.
    framed, window = spectral.frames(x, FRAME, STEP), spectral.hann(FRAME) * scale
    total, squares = np.zeros(MELS), np.zeros(MELS)
    most = min(BLOCK, len(framed))
    windowed, banded = np.empty((most, FRAME), np.float32), np.empty((most, MELS), np.float32)
    for first, last in spectral.blocks(len(framed), BLOCK):
        some = np.multiply(framed[first:last], window, out=windowed[: last - first])
        parts = rfft(some, axis=1).view(np.float32)  # (frames, 2 bins), real beside imaginary
        np.multiply(parts, parts, out=parts)
        power = parts[:, ::2] + parts[:, 1::2]
        bands = banded[: last - first]  # (frames, MELS)
        for rows, bins, filters in _filters():
            np.matmul(power[:, bins], filters, out=bands[:, rows])
        total += np.einsum("tm->m", bands)
        squares += np.einsum("tm,tm->m", bands, bands)
    mean = total / len(framed)
    floor = FLOOR * mean.mean()
    # ⟨(M + c)²⟩, without a second pass for c.
    quadratic = np.sqrt(squares / len(framed) + 2 * floor * mean + floor**2)
    level = 10 * np.log10(quadratic.reshape(-1, 2).mean(axis=1))
    centred: Float64 = level - level.mean()
    return centred


@cache
def _filters() -> tuple[tuple[slice, slice, Float32], ...]:
    """Bands and the bins that they have a share in: 128 triangles are nearly all zeros."""
    whole = unit_sum(MELS, FRAME).astype(np.float32)
    found = []
    for first in range(0, MELS, TOGETHER):
        rows = slice(first, first + TOGETHER)
        used = np.flatnonzero(whole[rows].any(axis=0))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        found.append((rows, bins, np.ascontiguousarray(whole[rows, bins].T)))
    return tuple(found)
