"""What a clip's channels are like, cheaply enough for every clip that is fitted or judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import SAMPLE_RATE, Audio
from nearfar.sound.channels import relate
from nearfar.sound.lag import Lag, glance, lag_of
from nearfar.sound.recorded import Recorded
from nearfar.sound.sketch import sketch_of

WINDOWS, WINDOW = 16, 256  # pieces of a clip that its coherence is estimated from, samples each
_NAN = float("nan")


@dataclass(frozen=True)
class Look:
    """Numbers of one clip; nan and () where nobody knows, or one channel has no such number.

    Args:
        seconds: length.
        levels: dBFS of each channel, rms with the mean removed; −inf for a constant.
        ratio: near over far, dB: of the waveforms' powers.
        lr_corr: zero-lag correlation of the waveforms, −1 to 1.
        coherence: γ², 0–1, mean over frequencies.
        sample_rate: Hz, of the file; 0 if unknown.
        clipped: share of the file's samples on a flat top, 0–1, of each channel.
        zeros: share of the file's samples that are exactly zero, 0–1, of each channel.
        lag: of far behind near, where each has its own recorder.
        balance: near over far, dB: mean over frequencies of the log ratio of mean powers, from the
            pieces that coherence is estimated from.
        sketch: of the near channel's waveform; copies agree in it whatever their gain.
        late: ms by which far seems to come after near in the middle second of one file; None of a
            hum, which nobody can tell.

    >>> hum = np.sin(np.arange(16_000, dtype=np.float32) / 10) / 2
    >>> found = look(np.stack([hum, hum / 2]))
    >>> round(found.levels[0], 1), round(found.ratio, 2), round(found.lr_corr, 3)
    (-9.0, 6.02, 1.0)
    """

    seconds: float
    levels: tuple[float, ...]
    ratio: float = _NAN
    lr_corr: float = _NAN
    coherence: float = _NAN
    sample_rate: int = 0
    clipped: tuple[float, ...] = ()
    zeros: tuple[float, ...] = ()
    lag: Lag | None = None
    sketch: tuple[float, ...] = ()
    balance: float = _NAN
    late: float | None = None


def look(audio: Audio, recorded: Recorded | None = None, *, two_files: bool = False) -> Look:
    """Look at one clip.

    Args:
        audio: (1 or 2, samples) float32 at 16 kHz, near first.
        recorded: what its file was like before it was resampled, if that is known.
        two_files: near and far may have run on two clocks, so their lag is worth its cost.
    """
    there = recorded or Recorded(0)
    ratio = lr_corr = gamma = balance = _NAN
    if len(audio) == 2:
        lr_corr, ratio = relate(audio)
        gamma, balance = _of_pieces(audio)
    return Look(
        seconds=audio.shape[1] / SAMPLE_RATE,
        levels=there.levels or tuple(level(channel) for channel in audio),
        ratio=ratio,
        lr_corr=lr_corr,
        coherence=gamma,
        sample_rate=there.sample_rate,
        clipped=there.clipped,
        zeros=there.zeros,
        lag=lag_of(audio) if two_files and len(audio) == 2 else None,
        sketch=sketch_of(audio[0]),
        balance=balance,
        late=glance(audio) if len(audio) == 2 and not two_files else None,
    )


def level(channel: Audio) -> float:
    """dBFS, rms with the mean removed; −inf for a constant.

    >>> level(np.array([0.5, -0.5], np.float32))
    -6.020599913279624
    """
    if channel.min() == channel.max():  # by its sums it could be rounding's size, not none
        return -math.inf
    centred = channel - channel.mean(dtype=np.float64).astype(np.float32)
    power = float(np.dot(centred, centred)) / channel.size
    return 10 * math.log10(power) if power > 0 else -math.inf


def coherence(audio: Audio) -> float:
    """γ² of a clip's channels, mean over frequencies, from pieces spread over it.

    A quarter of a second of sound is enough to tell one signal from two; all of it would cost as
    much as the features do.

    Args:
        audio: (2, samples).

    Returns:
        0 to 1; of independent channels about 1 / `WINDOWS`; nan for a clip below eight windows, or
        with a channel that is constant.
    """
    return _of_pieces(audio)[0]


def _of_pieces(audio: Audio) -> tuple[float, float]:
    """γ², and near over far in dB, means over frequencies."""
    count = min(WINDOWS, audio.shape[1] // WINDOW)
    if count < 8:  # of few windows even noise seems coherent
        return _NAN, _NAN
    starts = np.linspace(0, audio.shape[1] - WINDOW, count).astype(np.int64)
    # `take` lays them as they are summed up, which an index in brackets does not.
    pieces = audio.take(starts[:, None] + np.arange(WINDOW), axis=1)  # (2, windows, samples)
    pieces = pieces - pieces.mean(axis=2, keepdims=True)
    near, far = np.fft.rfft(pieces * _hann(), axis=2)  # (windows, bins) each
    cross = np.abs((near * far.conj()).sum(axis=0)) ** 2
    # The edges hold what is left of the mean, and half a bin.
    of_near, of_far = ((np.abs(x) ** 2).sum(axis=0)[2:-1] for x in (near, far))
    cross, powers = cross[2:-1], of_near * of_far
    both = powers > 0
    if not both.any():
        return _NAN, _NAN
    balance = 10 * np.mean(np.log10(of_near[both] / of_far[both]))
    return float(np.mean(cross[both] / powers[both])), float(balance)


@cache
def _hann() -> NDArray[np.float32]:
    return np.hanning(WINDOW).astype(np.float32)
