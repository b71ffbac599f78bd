"""What a file's own samples were like, before anything was resampled."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOP = 3  # equal samples in a row at the extreme; noise and tones reach that by rounding too, so:
_PILED = 4  # times as many samples lie at a flat top as at the next value below it
_DC_SHARE = 0.01  # of a channel's power, up to which its mean may be subtracted afterwards


@dataclass(frozen=True)
class Recorded:
    """A clip as its recorder wrote it; one number a channel, near first.

    >>> Recorded(48_000).sample_rate
    48000
    """

    sample_rate: int  # Hz
    clipped: tuple[float, ...] = ()  # share of samples on a flat top, at full scale or below, 0–1
    zeros: tuple[float, ...] = ()  # share of samples that are exactly zero, 0–1
    levels: tuple[float, ...] = ()  # dBFS, rms with the mean removed; −inf for a constant
    salvaged: str = ""  # what is missing of it, where it was asked to take what is there


def measure(audio: NDArray[np.float32], sample_rate: int, salvaged: str = "") -> Recorded:
    """What a clip's samples are like, measured on the file's own rate.

    Args:
        audio: (channels, samples) float32, as in the file.
        sample_rate: in Hz.
        salvaged: what is missing of it.

    >>> measure(np.float32([[0, 0.2, 0.1, -0.5, 1, 1, 1, 1]]), 16_000).clipped
    (0.5,)
    """
    # NaN and infinity are `check`'s to refuse; here they only must not make noise.
    with np.errstate(all="ignore"):
        return Recorded(
            sample_rate,
            tuple(_clipped(channel) for channel in audio),
            tuple(1.0 - np.count_nonzero(channel) / channel.size for channel in audio),
            tuple(_level(channel) for channel in audio),
            salvaged,
        )


def _clipped(x: NDArray[np.float32]) -> float:
    """Share of samples on flat tops, 0–1.

    What saturates piles samples up at one value, whatever that value is. In noise of few bits
    the extreme repeats by chance, but the value below it repeats more; on the rounded crest of a
    tone the extreme has up to 1 / (√2 − 1) = 2.4 times the samples of the next value.
    """
    low, high = float(x.min()), float(x.max())
    if low == high:
        return 0.0  # dead, not clipped
    return (_flat(x, high, upper=True) + _flat(x, low, upper=False)) / x.size


def _flat(x: NDArray[np.float32], extreme: float, *, upper: bool) -> int:
    at = np.flatnonzero(x == extreme)
    in_a_row = at.size >= _TOP and bool(np.any(at[_TOP - 1 :] - at[: 1 - _TOP] == _TOP - 1))
    # Zero as an extreme is a pause of a channel with an offset, not a top.
    if not in_a_row or extreme == 0:
        return 0
    rest = x[x != extreme]
    following = rest.max() if upper else rest.min()
    return int(at.size) if at.size >= _PILED * np.count_nonzero(rest == following) else 0


def _level(x: NDArray[np.float32]) -> float:
    mean, power = float(x.mean()), float(np.dot(x, x))
    if x.size * mean * mean > _DC_SHARE * power:
        centred = x - np.float32(mean)  # what is left of the mean is small
        power, mean = float(np.dot(centred, centred)), 0.0
    power = power / x.size - mean * mean
    return 10.0 * math.log10(power) if power > 0 else -math.inf
