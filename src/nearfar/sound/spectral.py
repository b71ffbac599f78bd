"""STFT, its inverse, mel bands and cepstra: pure functions of arrays, and named constants.

Spectra are frames-last, `(bins, frames)`: sums over time then run along memory. Frames are
centred: frame t looks at the samples around t · hop, so n samples give 1 + n // hop frames and
the ends are padded by half a frame.

Long sounds are worked on in blocks of some hundred frames with reused scratch (`spectra`): arrays
of megabytes go back to the system after each use and cost more in page faults than in arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.sound.fft import irfft, rfft, rfft_packed

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Complex64 = NDArray[np.complex64]
Padding = Literal["reflect", "zero"]

SAMPLE_RATE = 16_000  # Hz
N_FFT = 400  # samples, 25 ms: the report's frame (§2.1.1)
HOP = 160  # samples, 10 ms
BLOCK = 128  # frames worked on at a time; their spectra fit a processor's own cache
SMOOTHED = 32  # frames that one matrix product smooths
MEL_FLOOR = float(np.finfo(np.float64).eps)  # power; the official baseline's, -156.5 dB


@cache
def hann(n: int) -> Float32:
    """Periodic Hann window (n,): sin²(π k / n). Read-only, because it is shared.

    >>> hann(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    window = np.square(np.sin(np.pi * np.arange(n) / n)).astype(np.float32)
    window.flags.writeable = False
    return window


def n_frames(samples: int, hop: int = HOP) -> int:
    """How many centred frames a sound of `samples` samples has."""
    return 1 + samples // hop


def pad(x: Float32, n_fft: int = N_FFT, *, padding: Padding = "reflect") -> Float32:
    """Lengthen a sound by half a frame on both sides, so that its frames are centred.

    Args:
        x: (..., samples); more than `n_fft / 2` samples.
        n_fft: length of a frame.
        padding: what lies outside: the sound mirrored at its first and last sample, or zeros.

    Returns:
        (..., samples + 2 · (n_fft // 2)).

    Raises:
        SettingError: the sound is shorter than half a frame, or `padding` is neither.
    """
    half = n_fft // 2
    out = np.zeros((*x.shape[:-1], x.shape[-1] + 2 * half), np.float32)
    out[..., half : half + x.shape[-1]] = x
    if padding == "reflect":
        reflect(out, n_fft)
    elif padding != "zero":
        raise SettingError(f"padding {padding!r}; it is 'reflect' or 'zero'")
    return out


def reflect(padded: Float32, n_fft: int = N_FFT) -> None:
    """Fill both ends of a padded sound with its mirror image, in place.

    Args:
        padded: (..., samples + 2 · (n_fft // 2)) for frames of n_fft; only the middle is read.

    Raises:
        SettingError: the middle is too short to be mirrored.
    """
    half = n_fft // 2
    samples = padded.shape[-1] - 2 * half
    if samples <= half:
        raise SettingError(f"a sound of {samples} samples; frames of {n_fft} need more than {half}")
    # The sample at the edge stands once, d c b | a b c d, as in numpy's "reflect".
    padded[..., :half] = padded[..., 2 * half : half : -1]
    end = half + samples
    padded[..., end:] = padded[..., end - 2 : end - 2 - half : -1]


def frames(padded: Float32, n_fft: int = N_FFT, hop: int = HOP) -> Float32:
    """The overlapping frames of one padded channel, as a read-only view: (frames, n_fft)."""
    x = np.ascontiguousarray(padded)
    count = 1 + (len(x) - n_fft) // hop
    # numpy's own sliding_window_view takes 40 times as long to say the same.
    steps = (hop * x.itemsize, x.itemsize)  # bytes
    view: Float32 = np.ndarray((count, n_fft), np.float32, buffer=x.data, strides=steps)
    view.flags.writeable = False  # frames overlap: a write would show in the next ones
    return view


def blocks(n: int, size: int = BLOCK) -> Iterator[tuple[int, int]]:
    """Cut 0 … n into runs of nearly equal length, none longer than `size`.

    >>> list(blocks(7, 3))
    [(0, 2), (2, 4), (4, 7)]
    """
    count = -(-n // size)
    edges = [n * k // count for k in range(count + 1)]
    return pairwise(edges)


def spectrum(framed: Sequence[Float32], window: Float32, scratch: Float32) -> Complex64:
    """Windowed spectra of some frames of one channel or of several side by side.

    Args:
        framed: (k, n_fft) frames of each channel, for a window (n_fft,).
        scratch: flat, at least channels · k · n_fft long; overwritten.

    Returns:
        (n_fft // 2 + 1, channels · k), C-ordered: the FFT writes it transposed at little cost.
    """
    spectra: Complex64 = rfft(_windowed(framed, window, scratch).T, axis=0)
    return spectra


def packed_spectrum(
    framed: Sequence[Float32], window: Float32, scratch: Float32, out: Float32
) -> Float32:
    """`spectrum` as real rows, see `nearfar.sound.fft.rfft_packed`; the same numbers.

    Args:
        framed, window, scratch: as of `spectrum`.
        out: flat, at least channels · k · n_fft long.

    Returns:
        (n_fft, channels · k), the first part of `out`.
    """
    windowed = _windowed(framed, window, scratch)
    return rfft_packed(windowed.T, out[: windowed.size].reshape(windowed.shape[::-1]))


def _windowed(framed: Sequence[Float32], window: Float32, scratch: Float32) -> Float32:
    """(channels · k, n_fft), in scratch."""
    k, n_fft = framed[0].shape
    windowed = scratch[: len(framed) * k * n_fft].reshape(len(framed), k, n_fft)
    for channel, into in zip(framed, windowed, strict=True):
        np.multiply(channel, window, out=into)
    return windowed.reshape(-1, n_fft)


def spectra(
    padded: Float32, n_fft: int = N_FFT, hop: int = HOP
) -> Iterator[tuple[int, int, Complex64]]:
    """The STFT of one padded channel, a block of frames at a time.

    Yields:
        first frame, last frame + 1, spectra (n_fft // 2 + 1, frames of the block).
    """
    framed, window = frames(padded, n_fft, hop), hann(n_fft)
    scratch = np.empty(min(BLOCK, len(framed)) * n_fft, np.float32)
    for first, last in blocks(len(framed)):
        yield first, last, spectrum([framed[first:last]], window, scratch)


def stft(
    x: Float32, n_fft: int = N_FFT, hop: int = HOP, *, padding: Padding = "reflect"
) -> Complex64:
    """Short-time Fourier transform with a periodic Hann window, centred, not normalised.

    Args:
        x: (..., samples) float32.
        n_fft, hop: frame length and step in samples.
        padding: see `pad`.

    Returns:
        complex64, (..., n_fft // 2 + 1, 1 + samples // hop).

    Raises:
        SettingError: the sound is shorter than half a frame, or `padding` is unknown.
    """
    padded = pad(x, n_fft, padding=padding)
    shape = (*x.shape[:-1], n_fft // 2 + 1, n_frames(x.shape[-1], hop))
    out = np.empty(shape, np.complex64)
    for index in np.ndindex(x.shape[:-1]):
        for first, last, block in spectra(padded[index], n_fft, hop):
            out[index][:, first:last] = block
    return out


def istft(spectrogram: Complex64, samples: int, n_fft: int = N_FFT, hop: int = HOP) -> Float32:
    """The sound whose STFT comes closest to `spectrogram` (least squares; Griffin and Lim 1984).

    `istft(stft(x), len(x))` is x again, up to float32 rounding: 1e-6 of full scale with the
    default frames.

    Args:
        spectrogram: (..., n_fft // 2 + 1, frames).
        samples: length of the sound.
        n_fft, hop: as in `stft`; hop at most n_fft / 2.

    Returns:
        float32, (..., samples).

    Raises:
        SettingError: the number of frames is not that of `samples`, or the hop is too long.
    """
    wanted = n_frames(samples, hop)
    if spectrogram.shape[-1] != wanted:
        raise SettingError(f"{spectrogram.shape[-1]} frames, {samples} samples have {wanted}")
    if 2 * hop > n_fft:
        raise SettingError(f"hop {hop}; a Hann window of {n_fft} needs at most {n_fft // 2}")
    out = np.empty((*spectrogram.shape[:-2], samples), np.float32)
    for index in np.ndindex(out.shape[:-1]):
        sound = OverlapAdd(samples, n_fft, hop)
        for first, last in blocks(wanted):
            sound.add(first, spectrogram[index][:, first:last])
        out[index] = sound.finish()
    return out


class OverlapAdd:
    """The inverse STFT of one channel, a block of frames at a time; see `istft`.

    >>> sound = OverlapAdd(1600)
    >>> sound.add(0, stft(np.ones(1600, np.float32)))
    >>> bool(np.allclose(sound.finish(), 1.0, atol=1e-6))
    True
    """

    def __init__(self, samples: int, n_fft: int = N_FFT, hop: int = HOP) -> None:
        self.samples, self.n_fft, self.hop = samples, n_fft, hop
        self.piece = math.gcd(n_fft, hop)  # both frames and steps are whole numbers of pieces
        self.step, self.per_frame = hop // self.piece, n_fft // self.piece
        self.count = n_frames(samples, hop)
        rows = (self.count - 1) * self.step + self.per_frame
        self.total = np.zeros((rows, self.piece), np.float32)

    def add(self, first: int, block: Complex64) -> None:
        """Add frames `first`, `first` + 1, …; block: (n_fft // 2 + 1, frames)."""
        framed = irfft(block.T, self.n_fft, axis=1)  # (frames, n_fft)
        framed *= hann(self.n_fft)  # the window once more: the least squares of `istft`
        start, length = first * self.step, (len(framed) - 1) * self.step + 1
        # Piece k of all frames in one sum: as many additions of arrays as a frame has pieces.
        for k in range(self.per_frame):
            rows = slice(start + k, start + k + length, self.step)
            self.total[rows] += framed[:, k * self.piece : (k + 1) * self.piece]

    def finish(self, gain: float = 1.0) -> Float32:
        """The sound, (samples,) float32, times `gain`; once only."""
        # Over the sum of the squared windows, which repeats with every step between the ends.
        squares = np.square(hann(self.n_fft)).reshape(self.per_frame, self.piece) / np.float32(gain)
        ends, rows = self.per_frame, len(self.total)
        start = self.n_fft // 2 // self.piece  # rows before it are padding
        if rows <= 2 * ends + self.step:
            single: Sequence[int] = range(start, rows)
        else:
            single = (*range(start, ends), *range(rows - ends, rows))
            # Between the ends rows one step apart lie under the same windows: one division for all.
            for row in range(ends, ends + self.step):
                self.total[row : rows - ends : self.step] /= squares[self._covering(row)].sum(0)
        for row in single:
            self.total[row] /= squares[self._covering(row)].sum(axis=0)
        sound: Float32 = self.total.ravel()[self.n_fft // 2 :][: self.samples]
        return sound

    def _covering(self, row: int) -> list[int]:
        """Which piece of each frame lies on a row of pieces."""
        return [
            k
            for k in range(row % self.step, self.per_frame, self.step)
            if 0 <= row - k <= (self.count - 1) * self.step
        ]


@cache
def _smoother(smoothing: float) -> Float32:
    """(SMOOTHED, SMOOTHED): x @ matrix is the moving average of x, from 0 at its start."""
    lag = np.arange(SMOOTHED)[None, :] - np.arange(SMOOTHED)[:, None]
    # Row s, column t: what x(s) contributes to y(t), (1 − α) α^(t − s) for t ≥ s.
    matrix = np.where(lag >= 0, (1 - smoothing) * smoothing ** np.maximum(lag, 0.0), 0.0)
    return matrix.astype(np.float32)


def smooth(
    x: Float32, smoothing: float, before: Float32 | None = None, out: Float32 | None = None
) -> Float32:
    """Exponential moving average over the past: y(t) = α y(t−1) + (1 − α) x(t).

    One matrix product for some frames at a time, many times quicker than a loop over frames.

    Args:
        x: (rows, frames) float32; some of its columns are overwritten.
        smoothing: α, 0 ≤ α < 1.
        before: (rows,) y(−1); the first frame if not given, so that y(0) = x(0).
        out: (rows, frames) to write to; not x itself.

    Returns:
        (rows, frames) float32.

    >>> smooth(np.array([[4.0, 0.0, 0.0]], np.float32), 0.5).tolist()
    [[4.0, 2.0, 1.0]]
    """
    matrix = _smoother(smoothing)
    y = np.empty_like(x) if out is None else out
    last = x[:, 0] if before is None else before
    for first in range(0, x.shape[1], SMOOTHED):
        part = x[:, first : first + SMOOTHED]
        n = part.shape[1]
        # What came before decays like the first frame, so it is added to that.
        part[:, 0] += last * np.float32(smoothing / (1 - smoothing))
        np.matmul(part, matrix[:n, :n], out=y[:, first : first + n])
        last = y[:, first + n - 1]
    return y


def mel_scale(hz: Float64) -> Float64:
    """Hz → mel, Slaney's Auditory Toolbox (1998): linear to 1 kHz, then logarithmic.

    >>> mel_scale(np.array([200.0, 1000.0, 6400.0])).tolist()
    [3.0, 15.0, 42.0]
    """
    # 200/3 Hz a mel up to 1 kHz, which is 15 mel; from there 27 mel to 6.4 kHz.
    high = 15 + 27 * np.log(np.maximum(hz, 1000.0) / 1000) / np.log(6.4)
    return np.where(hz < 1000, hz * 3 / 200, high)


def mel_scale_inverse(mel: Float64) -> Float64:
    """Mel → Hz, the inverse of `mel_scale`."""
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) / 27 * np.log(6.4)))


@cache
def mel_filters(n_mels: int, n_fft: int = N_FFT, sample_rate: int = SAMPLE_RATE) -> Float32:
    """Triangular mel filters from 0 Hz to half the sample rate, each of unit area in Hz.

    The triangles are those of Slaney's Auditory Toolbox, which librosa and the official DCASE
    baseline use. Read-only, because the array is shared.

    Returns:
        float32, (n_mels, n_fft // 2 + 1), in 1/Hz.

    Raises:
        SettingError: so many bands that one of them lies between two bins of the FFT.
    """
    # Edges of neighbouring triangles are shared: n bands have n + 2 of them, equal in mel.
    top = mel_scale(np.array(sample_rate / 2))
    edges = mel_scale_inverse(np.linspace(0.0, float(top), n_mels + 2))[:, None]
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    triangles = np.minimum((hz - low) / (peak - low), (high - hz) / (high - peak))
    filters = (np.maximum(triangles, 0) * 2 / (high - low)).astype(np.float32)
    if not filters.any(axis=1).all():
        raise SettingError(f"{n_mels} mel bands are too narrow for n_fft={n_fft}; take fewer bands")
    filters.flags.writeable = False
    return filters


@cache
def dct(n_out: int, n_in: int) -> Float32:
    """Orthonormal DCT-II as a matrix (n_out, n_in); on log mel bands it gives cepstra (MFCC)."""
    k, n = np.arange(n_out)[:, None], np.arange(n_in)[None, :]
    matrix = np.sqrt(2 / n_in) * np.cos(np.pi * k * (2 * n + 1) / (2 * n_in))
    matrix[0] /= np.sqrt(2)  # a constant is √2 longer than the cosines
    rounded: Float32 = matrix.astype(np.float32)
    rounded.flags.writeable = False
    return rounded


def power(spectrum: Complex64, scratch: Float32, out: Float32) -> Float32:
    """|X|² of a block of spectra, (bins, k) complex64, C-ordered, in `out`, (bins, k) float32.

    `scratch`, (bins, 2 k) float32, is left with the squares of the real and imaginary parts.
    """
    parts = spectrum.view(scratch.dtype)  # real and imaginary parts alternate
    np.multiply(parts, parts, out=scratch)
    np.add(scratch[:, ::2], scratch[:, 1::2], out=out)
    return out


def packed_power(packed: Float32, scratch: Float32, out: Float32) -> Float32:
    """|X|² of spectra as `packed_spectrum` gives them for an even n_fft; the same as `power`.

    `scratch`, (n_fft, k), is left with the squares of the rows; `out` is (n_fft // 2 + 1, k).
    """
    np.multiply(packed, packed, out=scratch)
    out[0], out[-1] = scratch[0], scratch[-1]  # neither has an imaginary part
    np.add(scratch[1:-1:2], scratch[2:-1:2], out=out[1:-1])
    return out


def log_mel(channel: Float32, n_fft: int = 1024, hop: int = 512, n_mels: int = 128) -> Float32:
    """Log mel power spectrogram as the official DCASE Task 2 baseline computes it.

    Args:
        channel: (samples,) float32 at `SAMPLE_RATE`.
        n_fft, hop: frame length and step in samples.
        n_mels: mel bands from 0 Hz to half the sample rate, Slaney's scale and norm.

    Returns:
        float32, (n_mels, 1 + samples // hop), in dB re 1: 10 log10(max(mel power, `MEL_FLOOR`)).
        The ends are padded with zeros, as the baseline does.

    Raises:
        SettingError: too many mel bands for `n_fft`.
    """
    padded = pad(channel, n_fft, padding="zero")
    out = np.empty((n_mels, n_frames(len(channel), hop)), np.float32)  # (bands, frames)
    filters = mel_filters(n_mels, n_fft)
    for first, last, block in spectra(padded, n_fft, hop):
        parts = np.empty((len(block), 2 * (last - first)), np.float32)
        powers = power(block, parts, np.empty(block.shape, np.float32))
        np.matmul(filters, powers, out=out[:, first:last])
    np.maximum(out, MEL_FLOOR, out=out)  # silence is −156.5 dB, never −inf
    np.log10(out, out=out)
    return np.multiply(out, 10, out=out)
