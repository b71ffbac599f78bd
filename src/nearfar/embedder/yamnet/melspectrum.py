"""YAMNet's front end: one channel → the log-mel spectrogram that the network reads.

Unlike the other front ends here it takes magnitudes, not powers, and adds a constant before the
logarithm: how loud a clip is decides what drowns in it. So each is first scaled to a peak of 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from nearfar.embedder.yamnet.layers import MELS
from nearfar.errors import AudioError
from nearfar.sound.fft import rfft
from nearfar.sound.spectral import (
    BLOCK,
    HOP,
    SAMPLE_RATE,
    Float32,
    Float64,
    blocks,
    frames,
    hann,
    power,
)

FRAME = 400  # samples, 25 ms
N_FFT = 512  # the frame and zeros behind it
BINS = N_FFT // 2 + 1
LOWEST, HIGHEST = 125.0, 7_500.0  # Hz
OFFSET = 0.001  # of magnitude, so that silence is −6.9
PATCH = 96  # frames that the network was trained on at a time: 0.975 s
SHORTEST = FRAME + (PATCH - 1) * HOP  # samples


def mel_scale(hz: Float64) -> Float64:
    """Hz → mel, HTK's: 1127 ln(1 + f / 700)."""
    return np.asarray(1127 * np.log1p(hz / 700))


@cache
def mel_filters() -> Float32:
    """Triangles of height 1, equally wide in mel and straight in mel, 125 to 7,500 Hz.

    The bin at 0 Hz has no weight. Read-only, because the array is shared.

    Returns:
        float32, (257, 64): bins × bands, so that `magnitudes @ filters` has a frame in each row.
    """
    # Neighbouring triangles share their edges: 64 bands have 66.
    bottom, top = mel_scale(np.array([LOWEST, HIGHEST])).tolist()
    edges = np.linspace(bottom, top, MELS + 2)
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    mel = mel_scale(np.arange(BINS) * SAMPLE_RATE / N_FFT)[:, None]
    triangles = np.minimum((mel - low) / (peak - low), (high - mel) / (high - peak))
    filters: Float32 = np.maximum(triangles, 0).astype(np.float32)
    filters.flags.writeable = False
    return filters


def scaled(channel: Float32) -> Float32:
    """A sound with a peak of 1; silence stays silence.

    >>> scaled(np.array([0.25, -0.5], np.float32)).tolist()
    [0.5, -1.0]
    """
    peak = np.abs(channel).max(initial=0)
    return channel / peak if peak > 0 else channel


def log_mels(channel: Float32) -> Float32:
    """Logarithm of a mel spectrum of magnitudes, as YAMNet was trained on it.

    Frames of 25 ms every 10 ms that lie wholly in the sound, a periodic Hann window, 512-point FFT,
    64 bands; the natural logarithm of each plus 0.001.

    Args:
        channel: (samples,) at 16 kHz; not changed.

    Returns:
        float32, (1 + (samples - 400) // 160, 64).

    Raises:
        AudioError: shorter than a patch of 96 frames, 0.975 s.
    """
    if len(channel) < SHORTEST:
        raise AudioError(
            f"{len(channel)} samples; YAMNet needs at least {SHORTEST}, "
            f"{SHORTEST / SAMPLE_RATE:.3f} s: take longer clips, or longer crops"
        )
    framed = frames(channel, FRAME, HOP)  # (frames, 400)
    out = np.empty((len(framed), MELS), np.float32)
    size = min(BLOCK, len(framed))
    padded = np.zeros((size, N_FFT), np.float32)  # behind the frame it stays 0
    squares, magnitudes = np.empty((size, 2 * BINS), np.float32), np.empty((size, BINS), np.float32)
    for first, last in blocks(len(framed)):
        k = last - first
        np.multiply(framed[first:last], hann(FRAME), out=padded[:k, :FRAME])
        power(rfft(padded[:k], axis=1), squares[:k], magnitudes[:k])
        np.sqrt(magnitudes[:k], out=magnitudes[:k])
        np.matmul(magnitudes[:k], mel_filters(), out=out[first:last])
    out += np.float32(OFFSET)
    return np.log(out, out=out)
