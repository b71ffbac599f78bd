"""One pass over a clip: everything that its features are made of.

Sums over frequency are one matrix product per block of frames (`filters`); what is not linear in
power (extremes, roll-off, flatness) is taken from the same block while it is in the cache. All
frame series are frames-last, so that sums over time run along memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.dif.table import BIN_HZ, FLOOR, HF_HZ, N_BINS, N_MELS, ROLLOFF, contrast_bins
from nearfar.errors import AudioError
from nearfar.sound import spectral
from nearfar.sound.spectral import N_FFT, Float32, Float64

Complex128 = NDArray[np.complex128]

# Rows of `filters`, and so of every array of frame sums.
MEL = slice(0, N_MELS)
ENERGY, HF, MOMENT, MOMENT2 = range(N_MELS, N_MELS + 4)  # Σ P, Σ P above 4 kHz, Σ f P, Σ f² P
N_SUMS = N_MELS + 4

SHORTEST = 1_600  # samples; 11 frames, so that deltas over 9 frames have a spread
FAR_LOUDEST = 1e12  # times the near channel's peak; float32 powers end at 1e38
OFFSET = 1e-3  # of the peak; larger means are removed twice
STEP = 10  # bins that the roll-off search takes at a time
BLOCK = 336  # frames of both channels at a time, 2.7 MB of scratch; a third of a clip of 10 s
CHUNK = 2_048  # samples summed in float32 before float64 takes over


@dataclass(frozen=True)
class Waves:
    """Means over the samples of both waveforms, scaled so that the near one peaks near 1.

    >>> from nearfar.testing import noise
    >>> waves = measure(noise(seconds=1.0)).waves
    >>> 0.5 <= waves.peak < 1, waves.near_square < waves.peak**2
    (True, True)
    """

    gain_db: float  # what the scaling has added to every level
    near_square: float  # mean x₀²
    far_square: float  # mean x₁²
    cross: float  # mean x₀x₁
    mid_square: float  # mean M², M = (x₀ + x₁) / 2
    side_square: float  # mean S², S = (x₀ − x₁) / 2
    peak: float  # max |x₀|
    fourth: float  # mean x₀⁴
    absolute: float  # mean |x₀|
    root: float  # mean √|x₀|


@dataclass(frozen=True)
class Channel:
    """Power spectra of one channel, summed over frequency or over time.

    >>> from nearfar.testing import noise
    >>> far = measure(noise(seconds=1.0)).far
    >>> far.sums.shape, far.mean_power.shape
    ((44, 101), (201,))
    """

    sums: Float32  # (N_SUMS, frames) of |X|² + ε
    mean_power: Float64  # (bins,) mean over frames of |X|², without ε


@dataclass(frozen=True)
class Extremes:
    """What only single bins of the near channel tell.

    >>> from nearfar.testing import noise
    >>> extremes = measure(noise(seconds=1.0)).extremes
    >>> extremes.high.shape, bool((extremes.low < extremes.high).all())
    ((7, 101), True)
    """

    high: Float32  # (7, frames) largest P₀ of each contrast band
    low: Float32  # (7, frames) smallest
    rolloff: Float32  # (frames,) bin number
    mean_log: Float32  # (frames,) mean over bins of ln P₀


@dataclass(frozen=True)
class Measured:
    """A clip as its features see it.

    >>> from nearfar.testing import noise
    >>> clip = measure(noise(seconds=1.0), cross_sums=True)
    >>> clip.cross_power.shape, clip.cross_sums.shape, clip.noise > 0
    ((201,), (44, 101), True)
    """

    waves: Waves
    near: Channel
    far: Channel
    extremes: Extremes
    cross_power: Complex128  # (bins,) mean over frames of X₀X₁*
    cross_sums: Float32 | None  # (N_SUMS, frames) of Re X₀X₁*, for residual rows only
    noise: float  # ε
    near_bands: Float32 | None = None  # (bands, frames) of |X₀|² + ε by another's filters


def measure(
    audio: Float32, *, cross_sums: bool = False, near_filters: Float32 | None = None
) -> Measured:
    """Everything that the features of a clip are made of.

    Args:
        audio: (2, samples) float32, near and far.
        cross_sums: also sum the cross spectrum over frequency, for residual rows.
        near_filters: (bands, bins); also sum the near channel's power by these, for features of
            others that share the pass.

    Raises:
        AudioError: wrong shape, too short, not finite, a constant near channel, or a far channel
            beyond comparison with the near one.
    """
    padded, peak, gain_db = _prepare(audio)
    half = N_FFT // 2
    waves = _waves(padded[0, half:-half], padded[1, half:-half], peak, gain_db)
    noise = FLOOR * waves.near_square * float(np.square(spectral.hann(N_FFT)).sum())
    return _Pass(padded, noise, cross_sums, near_filters).measured(waves)


def _prepare(audio: Float32) -> tuple[Float32, float, float]:
    """Centre, scale by a power of two (exact, so gains of 2ⁿ change no bit), pad the ends.

    Returns:
        (2, samples + N_FFT), the near channel's peak in it, and the scaling in dB.
    """
    if audio.ndim != 2 or audio.shape[0] != 2 or audio.shape[1] < SHORTEST:
        raise AudioError(f"audio of shape {audio.shape}; DIF needs (2, samples), near and far, "
                         f"with at least {SHORTEST} samples")  # fmt: skip
    audio = np.ascontiguousarray(audio, np.float32)
    padded = np.empty((2, audio.shape[1] + N_FFT), np.float32)
    x = padded[:, N_FFT // 2 : -(N_FFT // 2)]
    with np.errstate(over="ignore", invalid="ignore"):  # judged below
        mean = audio.mean(axis=1, keepdims=True)
        np.subtract(audio, mean, out=x)
        peaks = np.maximum(x.max(axis=1), -x.min(axis=1))
        if (np.abs(mean[:, 0]) > OFFSET * peaks).any():
            x -= x.mean(axis=1, keepdims=True)  # what rounding at the offset's size has left
            peaks = np.maximum(x.max(axis=1), -x.min(axis=1))
    near, far = np.abs(peaks).tolist()
    if not (np.isfinite(near) and np.isfinite(far)):
        raise AudioError("audio has samples that are NaN, infinite or beyond any sound; "
                         "DIF needs finite ones")  # fmt: skip
    if near == 0 or far > FAR_LOUDEST * near:
        raise AudioError(f"near channel peaks at {near:g}, far channel at {far:g} (means removed); "
                         "DIF needs a sound in the near channel")  # fmt: skip
    exponent = int(np.clip(np.frexp(near)[1], -126, 126))
    scale = 2.0**-exponent
    x *= np.float32(scale)
    spectral.reflect(padded)
    return padded, near * scale, 20 * math.log10(scale)


def _waves(near: Float32, far: Float32, peak: float, gain_db: float) -> Waves:
    n = len(near)
    # Both directly: from the three means above, the smaller one would be lost in rounding.
    scratch = np.add(near, far)
    mid = _dot(scratch, scratch) / (4 * n)
    np.subtract(near, far, out=scratch)
    side = _dot(scratch, scratch) / (4 * n)
    absolute = np.abs(near, out=scratch)
    mean_absolute = _total(absolute) / n
    mean_root = _total(np.sqrt(absolute, out=scratch)) / n
    square = np.multiply(near, near, out=scratch)
    return Waves(
        gain_db=gain_db,
        near_square=_total(square) / n,
        far_square=_dot(far, far) / n,
        cross=_dot(near, far) / n,
        mid_square=mid,
        side_square=side,
        peak=peak,
        fourth=_dot(square, square) / n,
        absolute=mean_absolute,
        root=mean_root,
    )


def _dot(a: Float32, b: Float32) -> float:
    """Σ a·b, in float32 within chunks and in float64 between them."""
    whole = len(a) // CHUNK * CHUNK
    rows = np.einsum("ij,ij->i", a[:whole].reshape(-1, CHUNK), b[:whole].reshape(-1, CHUNK))
    return float(rows.sum(dtype=np.float64)) + float(np.dot(a[whole:], b[whole:]))


def _total(a: Float32) -> float:
    """Σ a, as `_dot`."""
    whole = len(a) // CHUNK * CHUNK
    rows = np.einsum("ij->i", a[:whole].reshape(-1, CHUNK))
    return float(rows.sum(dtype=np.float64)) + float(a[whole:].sum())


@cache
def filters() -> Float32:
    """(N_SUMS, bins): mel bands (of unit sum over bins), all bins, bins above 4 kHz, f, f²."""
    hz = np.arange(N_BINS) * BIN_HZ
    mel = spectral.mel_filters(N_MELS).astype(np.float64) * BIN_HZ
    rows: Float32 = np.vstack([mel, np.ones(N_BINS), hz >= HF_HZ, hz, hz**2]).astype(np.float32)
    rows.flags.writeable = False  # shared
    return rows


@cache
def _low_mel() -> tuple[int, int]:
    """How many mel bands are the lower half, and below which bin they all end."""
    rows = N_MELS // 2
    return rows, int(np.flatnonzero(filters()[:rows].any(axis=0))[-1]) + 1


def frequency_sums(powers: Float32) -> Float32:
    """(bins, k) → (N_SUMS, k): `filters() @ powers`, sparing the zeros above the low mel bands."""
    rows, end = _low_mel()
    sums = np.empty((N_SUMS, powers.shape[1]), np.float32)
    np.matmul(filters()[:rows, :end], powers[:end], out=sums[:rows])
    np.matmul(filters()[rows:], powers, out=sums[rows:])
    return sums


class _Pass:
    """The walk over a clip, a block of frames at a time, with the scratch all blocks share.

    Both channels go through one FFT and one matrix product side by side: columns 0 … k of every
    block are the near channel's frames, columns k … 2 k the far one's.
    """

    def __init__(
        self, padded: Float32, noise: float, cross_sums: bool, near_filters: Float32 | None
    ) -> None:
        self.framed = [spectral.frames(channel) for channel in padded]
        self.noise = np.float32(noise)
        self.n = n = len(self.framed[0])
        self.sums = np.empty((2, N_SUMS, n), np.float32)
        self.cross_sums = np.empty((N_SUMS, n), np.float32) if cross_sums else None
        self.near_filters = near_filters
        bands_asked = 0 if near_filters is None else len(near_filters)
        self.near_bands = np.empty((bands_asked, n), np.float32)
        self.totals = np.zeros((4, N_BINS))  # Σ over frames of |X₀|², |X₁|², Re and Im of X₀X₁*
        bands = len(contrast_bins())
        self.extremes = Extremes(
            high=np.empty((bands, n), np.float32),
            low=np.empty((bands, n), np.float32),
            rolloff=np.empty(n, np.float32),
            mean_log=np.empty(n, np.float32),
        )
        size = 2 * min(BLOCK, n) * N_FFT
        self.scratch, self.packed = np.empty(size, np.float32), np.empty(size, np.float32)
        self.powers = np.empty(2 * min(BLOCK, n) * N_BINS, np.float32)

    def measured(self, waves: Waves) -> Measured:
        for first, last in spectral.blocks(self.n, BLOCK):
            self._block(slice(first, last), last - first)
        near, far, real, imaginary = self.totals / self.n
        return Measured(
            waves=waves,
            near=Channel(self.sums[0], near),
            far=Channel(self.sums[1], far),
            extremes=self.extremes,
            cross_power=real + 1j * imaginary,
            cross_sums=self.cross_sums,
            noise=float(self.noise),
            near_bands=None if self.near_filters is None else self.near_bands,
        )

    def _block(self, span: slice, k: int) -> None:
        framed = [channel[span] for channel in self.framed]
        # (n_fft, 2 k): real and imaginary parts in rows of their own.
        window = spectral.hann(N_FFT)
        packed = spectral.packed_spectrum(framed, window, self.scratch, self.packed)
        squares = self.scratch[: packed.size].reshape(packed.shape)
        powers = self.powers[: N_BINS * 2 * k].reshape(N_BINS, 2 * k)
        spectral.packed_power(packed, squares, powers)
        self.totals[:2] += np.einsum("fct->cf", powers.reshape(N_BINS, 2, k))
        powers += self.noise
        sums = frequency_sums(powers)
        self.sums[0, :, span], self.sums[1, :, span] = sums[:, :k], sums[:, k:]
        if self.near_filters is not None:
            self.near_bands[:, span] = self.near_filters @ powers[:, :k]
        self._extremes(powers, squares, span, k)
        self._cross(packed[:, :k], packed[:, k:], squares, span)

    def _extremes(self, powers: Float32, scratch: Float32, span: slice, k: int) -> None:
        """From the near channel's |X|² + ε: columns 0 … k."""
        to, near = self.extremes, powers[:, :k]
        for band, (low, high) in enumerate(contrast_bins()):
            np.maximum.reduce(near[low:high], axis=0, out=to.high[band, span])
            np.minimum.reduce(near[low:high], axis=0, out=to.low[band, span])
        to.rolloff[span] = _rolloff(powers, k)
        # One logarithm for two bins: their product is far from the ends of float32.
        half = N_BINS // 2
        pairs = scratch.ravel()[: half * k].reshape(half, k)
        np.multiply(near[:half], near[half : 2 * half], out=pairs)
        np.log(pairs, out=pairs)
        to.mean_log[span] = (pairs.sum(axis=0) + np.log(near[-1])) / N_BINS

    def _cross(self, near: Float32, far: Float32, scratch: Float32, span: slice) -> None:
        """Add X₀X₁* of a block, packed (n_fft, k) each."""
        if self.cross_sums is not None:
            products = np.multiply(near, far, out=scratch[:, : near.shape[1]])
            real = np.concatenate([products[:1], products[1:-1:2], products[-1:]])
            real[1:-1] += products[2:-1:2]
            self.cross_sums[:, span] = frequency_sums(real)
        _, _, real_total, imaginary_total = self.totals
        # Of each bin all four sums over frames of a part of near times a part of far.
        parts = [rows[1:-1].reshape(N_BINS - 2, 2, -1) for rows in (near, far)]
        sums = np.matmul(parts[0], parts[1].transpose(0, 2, 1))
        real_total[1:-1] += sums[:, 0, 0] + sums[:, 1, 1]
        imaginary_total[1:-1] += sums[:, 1, 0] - sums[:, 0, 1]
        for end in (0, -1):  # 0 Hz and half the sample rate are real
            real_total[end] += near[end] @ far[end]


@cache
def _ladder() -> tuple[Float32, Float32]:
    """Matrices that sum from below: bands of `STEP` bins before each band, bins up to each bin."""
    bands = N_BINS // STEP
    below = np.tril(np.ones((bands + 1, bands), np.float32), -1)
    return below, np.tril(np.ones((STEP, STEP), np.float32))


def _rolloff(powers: Float32, k: int) -> Float32:
    """First bin at which the sum from 0 Hz up reaches `ROLLOFF` of the frame's power.

    A coarse search over bands of `STEP` bins, then a fine one within the band found. Sums are
    products with small triangles, which are quicker than running sums over short columns.

    Args:
        powers: (bins, at least k), contiguous.
        k: how many of its columns are asked for.
    """
    column, width = np.arange(k), powers.shape[1]
    to_bands, to_bins = _ladder()
    bands = to_bins[-1:] @ powers[:-1, :k].reshape(-1, STEP, k)  # (20, 1, k) power in each
    below = to_bands @ bands[:, 0]  # (21, k) power below each
    wanted = np.float32(ROLLOFF) * (below[-1] + powers[-1, :k])
    band = _count(below[1:] < wanted)  # 0 … 20; 20 is the last bin alone
    rows = np.arange(STEP)[:, None] * width
    # Behind the last bin are none: whatever is taken for them, the result ends at the last.
    fine = to_bins @ powers.ravel().take(band * (STEP * width) + column + rows, mode="clip")
    fine += below.ravel().take(band * k + column)
    found: NDArray[np.int64] = np.minimum(band * STEP + _count(fine < wanted), N_BINS - 1)
    return found.astype(np.float32)


def _count(condition: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How often it holds in each column, at most 255 times; bytes add up fast."""
    count: NDArray[np.int64] = condition.view(np.uint8).sum(axis=0, dtype=np.uint8).astype(np.int64)
    return count
