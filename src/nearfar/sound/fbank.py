"""Kaldi's log mel filter bank, 128 bands, as speech and audio encoders were trained on it.

Kaldi's frames start at sample 0 and lie wholly inside the sound ("snip edges"); each frame loses
its own mean and is pre-emphasised and windowed by itself. That is another convention than
`nearfar.sound.spectral`'s centred frames, so the two do not share their number of frames.

All is float32, because the encoders saw float32, unless `exact`. Rounding shows in bands that are
very quiet beside the loudest of the same frame: some 1e-4 in the logarithm, for any float32 FFT.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from nearfar.errors import AudioError
from nearfar.sound.fft import rfft
from nearfar.sound.spectral import BLOCK, HOP, SAMPLE_RATE, Float32, blocks, frames, power

FRAME = 400  # samples, 25 ms
N_FFT = 512  # the frame and zeros behind it
BINS = N_FFT // 2 + 1
N_MELS = 128
LOWEST, HIGHEST = 20.0, SAMPLE_RATE / 2  # Hz
PRE_EMPHASIS = 0.97
POWER_FLOOR = float(np.finfo(np.float32).eps)  # full scale is 1.0; its logarithm is -15.94


def n_frames(samples: int) -> int:
    """How many whole frames lie in a sound of `samples` samples; 0 if it is shorter than one.

    >>> n_frames(399), n_frames(400), n_frames(160_000)
    (0, 1, 998)
    """
    return max(0, 1 + (samples - FRAME) // HOP)


def group_edges(
    groups: int, n_mels: int = N_MELS, lowest: float = LOWEST, highest: float = HIGHEST
) -> tuple[float, ...]:
    """Where neighbouring bands, taken together, begin and end in Hz: (groups + 1) edges.

    Of triangles equally wide in mel, from half height to half height; the outermost to their foot.

    Args:
        groups: as many bands in each.
        n_mels: bands in all.
        lowest, highest: between which they lie, Hz.

    >>> [round(hz) for hz in group_edges(2)]
    [20, 1803, 8000]
    """
    low, high = (1127 * math.log1p(hz / 700) for hz in (lowest, highest))
    cuts = (n_mels // groups * g + 0.5 for g in range(1, groups))
    inner = (low + (high - low) * k / (n_mels + 1) for k in cuts)  # mel
    return (lowest, *(700 * math.expm1(mel / 1127) for mel in inner), highest)


@cache
def window() -> Float32:
    """Symmetric Hann window (400,), both ends 0. Read-only, because it is shared."""
    values = np.square(np.sin(np.pi * np.arange(FRAME) / (FRAME - 1)))
    values[-1] = 0.0  # sin² of the rounded π is not quite
    rounded: Float32 = values.astype(np.float32)
    rounded.flags.writeable = False
    return rounded


@cache
def povey() -> Float32:
    """Kaldi's own window (400,), Hann's to the power 0.85; both ends 0. Read-only."""
    values = (window().astype(np.float64) ** 0.85).astype(np.float32)
    values.flags.writeable = False
    return values


def mel_scale(hz: Float32) -> Float32:
    """Hz → mel, 1127 ln(1 + f / 700), each step rounded to float32."""
    ratio = np.float32(1) + hz / np.float32(700)
    # float32 logarithms differ between libraries in the last bit; this one is correctly rounded.
    return np.float32(1127) * np.log(ratio.astype(np.float64)).astype(np.float32)


@cache
def mel_filters() -> Float32:
    """Triangles of height 1, equally wide in mel, from 20 Hz to half the sample rate.

    Computed in float32, as the encoders' front ends did: a float64 bank moves the logarithms
    by 1e-4. Filter 3 lies between two bins and is empty. The bin at half the sample rate has no
    weight. Read-only, because the array is shared.

    Returns:
        float32, (257, 128): bins × bands, so that `powers @ filters` has a frame in each row.
    """
    low, high = (1127 * math.log(1 + hz / 700) for hz in (LOWEST, HIGHEST))
    width = np.float32((high - low) / (N_MELS + 1))
    band = np.arange(N_MELS, dtype=np.float32)
    left, peak, right = (np.float32(low) + (band + np.float32(k)) * width for k in range(3))
    hz = np.arange(BINS - 1, dtype=np.float32) * np.float32(SAMPLE_RATE / N_FFT)
    mel = mel_scale(hz)[:, None]
    filters = np.zeros((BINS, N_MELS), np.float32)
    rise, fall = (mel - left) / (peak - left), (right - mel) / (right - peak)
    np.maximum(np.minimum(rise, fall), 0, out=filters[:-1])
    filters.flags.writeable = False
    return filters


def fbank(
    channel: Float32,
    out: Float32 | None = None,
    *,
    shape: Float32 | None = None,
    exact: bool = False,
) -> Float32:
    """Log mel power spectrogram as Kaldi's `compute-fbank-feats` defines it, without dither.

    Frames of 25 ms every 10 ms, each less its mean, pre-emphasised by 0.97, times a symmetric
    Hann window; power of a 512-point FFT; 128 triangles; natural logarithm above `POWER_FLOOR`.

    Args:
        channel: (samples,) at 16 kHz, full scale 1.0; not changed.
        out: (frames, 128) float32, C-ordered, to write to.
        shape: window (400,) whose first value is 0, such as `povey`; None is Hann's.
        exact: compute in float64 and round once, for half the distance to another's float32.

    Returns:
        float32, (1 + (samples - 400) // 160, 128), natural logarithm of power.

    Raises:
        AudioError: not one channel, or shorter than one frame.
    """
    if channel.ndim != 1:
        raise AudioError(f"audio of shape {channel.shape}; a filter bank takes one channel")
    count = n_frames(len(channel))
    if not count:
        raise AudioError(f"{len(channel)} samples; a filter bank needs at least {FRAME}, 25 ms")
    framed = frames(np.ascontiguousarray(channel, np.float32), FRAME, HOP)
    mel = np.empty((count, N_MELS), np.float32) if out is None else out
    scratch = Scratch(
        min(BLOCK, count), window() if shape is None else shape, np.float64 if exact else np.float32
    )
    for first, last in blocks(count, BLOCK):
        np.matmul(scratch.powers(framed[first:last]), mel_filters(), out=mel[first:last])
        np.maximum(mel[first:last], POWER_FLOOR, out=mel[first:last])
        np.log(mel[first:last], out=mel[first:last])
    return mel


class Scratch:
    """Memory of one call for up to `size` frames, used again for each block.

    >>> Scratch(8, window(), np.float32).powers(np.zeros((3, FRAME), np.float32)).shape
    (3, 257)
    """

    def __init__(self, size: int, shape: Float32, dtype: type[np.floating]) -> None:
        self.shape = shape
        self.centred = np.empty((size, FRAME), dtype)
        self.padded = np.zeros((size, N_FFT), dtype)  # behind the frame it stays 0
        self.squares = np.empty((size, 2 * BINS), dtype)
        self.power = np.empty((size, BINS), dtype)

    def powers(self, framed: Float32) -> Float32:
        """Power spectra (k, 257) of frames (k, 400); valid until the next call."""
        k = len(framed)
        centred, padded = self.centred[:k], self.padded[:k]
        np.subtract(framed, framed.mean(axis=1, keepdims=True, dtype=centred.dtype), out=centred)
        # x(i) - 0.97 x(i-1). The first sample, which has none before it, meets a window of 0.
        body = padded[:, 1:FRAME]
        np.multiply(centred[:, :-1], np.float32(PRE_EMPHASIS), out=body)
        np.subtract(centred[:, 1:], body, out=body)
        np.multiply(body, self.shape[1:], out=body)
        return power(rfft(padded, axis=1), self.squares[:k], self.power[:k])
