"""What a file's own samples were like, before anything was resampled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOP = 3  # equal samples in a row at the extreme; noise and tones reach that by rounding too, so:
_BLOCK = 4_096  # samples; the first of them show a row mostly, where there is any
_PILED = 4  # times as many samples lie at a flat top as at the next value below it
_NEAR = (1e-4, 1e-2, 2.0)  # times a channel's range, within which the next value is looked for
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
            # Of bools: NumPy counts floats four times as slowly.
            tuple(1.0 - np.count_nonzero(channel != 0) / channel.size for channel in audio),
            tuple(_level(channel) for channel in audio),
            salvaged,
        )


def joined(files: Sequence[Recorded]) -> Recorded:
    """What a clip of several files was like: what is wrong with one of them is wrong with it.

    Args:
        files: one or more, near first; the rate is that of the first.

    >>> joined([Recorded(16_000, clipped=(0.5,)), Recorded(16_000, clipped=(0.0,))]).clipped
    (0.5, 0.0)
    """
    return Recorded(
        files[0].sample_rate,
        tuple(x for file in files for x in file.clipped),
        tuple(x for file in files for x in file.zeros),
        tuple(x for file in files for x in file.levels),
        "; ".join(file.salvaged for file in files if file.salvaged),
    )


def _clipped(x: NDArray[np.float32]) -> float:
    """Share of samples on flat tops, 0–1.

    What saturates piles samples up at one value, whatever that value is. In noise of few bits
    the extreme repeats by chance, but the value below it repeats more; on the rounded crest of a
    tone the extreme has up to 1 / (√2 − 1) = 2.4 times the samples of the next value.
    """
    begins = np.arange(0, x.size, _BLOCK)
    lows, highs = np.minimum.reduceat(x, begins), np.maximum.reduceat(x, begins)
    low, high = lows.min(), highs.max()
    if low == high:
        return 0.0  # dead, not clipped
    return (_flat(x, high, low, highs == high) + _flat(x, low, high, lows == low)) / x.size


def _flat(
    x: NDArray[np.float32], extreme: np.float32, other: np.float32, reached: NDArray[np.bool_]
) -> int:
    """Samples of a flat top at one of a channel's two extremes, which some blocks reach."""
    blocks = np.flatnonzero(reached) * _BLOCK
    # Most clips reach it in a block or two, and there once: the others need not be compared.
    few = len(blocks) < _TOP
    if few and sum(np.count_nonzero(x[b : b + _BLOCK] == extreme) for b in blocks) < _TOP:
        return 0
    top = x == extreme
    count = int(np.count_nonzero(top))
    # Zero as an extreme is a pause of a channel with an offset, not a top.
    if count < _TOP or extreme == 0 or not (_in_a_row(top[:_BLOCK]) or _in_a_row(top)):
        return 0
    for share in _NEAR:
        border = extreme - np.float32(share) * (extreme - other)
        near = x >= border if extreme > other else x <= border
        if (found := int(np.count_nonzero(near)) - count) > 0:
            break
    # The next value has at most all that are near; only where these are many it is looked for.
    if count < _PILED * found:
        rest = x[np.flatnonzero(near ^ top)]
        following = rest.max() if extreme > other else rest.min()
        found = int(np.count_nonzero(rest == following))
    return count if count >= _PILED * found else 0


def _in_a_row(top: NDArray[np.bool_]) -> bool:
    return bool(np.any(top[2:] & top[1:-1] & top[:-2]))


def _level(x: NDArray[np.float32]) -> float:
    mean, power = float(x.mean()), float(np.dot(x, x))
    if x.size * mean * mean > _DC_SHARE * power:
        centred = x - np.float32(mean)  # what is left of the mean is small
        power, mean = float(np.dot(centred, centred)), 0.0
    power = power / x.size - mean * mean
    return 10.0 * math.log10(power) if power > 0 else -math.inf
