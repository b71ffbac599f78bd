"""How far the far channel lies behind the near one, for recordings of two clocks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import SAMPLE_RATE, Audio

FARTHEST = 1.0  # s, of a lag that is looked for
SPAN = 4.0  # s of sound that one lag is read from
WHITE = 0.75  # 1 is the phase transform; a little less spares what is mostly noise
GLANCED = 1 << 14  # samples, a second, of a lag that is no more than a hint
HUM, APART = 0.9, 80  # share of the peak, and samples off it, from which another one is as good
CLEAR = 8.0  # times the correlation's own rms, from which a peak is no chance


@dataclass(frozen=True)
class Lag:
    """Lags at two places of a clip; nan where no common sound is found.

    Args:
        begin: ms by which far comes after near, in the clip's first seconds.
        end: ms, in its last seconds.
        apart: s between the two places.

    >>> round(Lag(begin=10.0, end=10.8, apart=8.0).drift)
    100
    """

    begin: float
    end: float
    apart: float

    @property
    def ms(self) -> float:
        """The larger of the two by size."""
        return max((self.begin, self.end), key=lambda lag: -1 if math.isnan(lag) else abs(lag))

    @property
    def drift(self) -> float:
        """Parts per million by which far's clock runs behind near's; nan of a clip too short."""
        return (self.end - self.begin) / self.apart * 1000 if self.apart > 0 else float("nan")


def lag_of(audio: Audio) -> Lag:
    """Where the channels' generalised cross-correlation has its peak.

    Args:
        audio: (2, samples) at 16 kHz.

    Source:
        Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE
        Trans. ASSP 24 (1976): the phase transform, which a loud hum does not lead astray.
    """
    n = audio.shape[1]
    size = min(n, round(SPAN * SAMPLE_RATE))
    begin = _peak(audio[:, :size])
    if n < 1.5 * size or n == size:  # both places would be nearly the same
        return Lag(begin, begin, 0.0)
    return Lag(begin, _peak(audio[:, n - size :]), (n - size) / SAMPLE_RATE)


def glance(audio: Audio) -> float | None:
    """A hint at how far the far channel lies behind, at a fortieth of what `lag_of` costs.

    It is read from one second, around which lags wrap, and no peak is too low: where most clips
    of a machine agree, one that does not is worth `lag_of`.

    Args:
        audio: (2, samples) at 16 kHz.

    Returns:
        ms, from −512 to 512; None of a clip below a second, of a hum that has several as good ones,
        and where a channel is constant.

    >>> noise = np.random.default_rng(0).standard_normal(17_600).astype(np.float32)
    >>> glance(np.stack([noise, noise])[:, :16_000]), glance(np.zeros((2, 16_384), np.float32))
    (None, None)
    >>> glance(np.stack([np.roll(noise, -800), noise]))
    50.0
    """
    first = (audio.shape[1] - GLANCED) // 2
    if first < 0:
        return None
    found = _correlation(audio[:, first : first + GLANCED], GLANCED)
    if found is None:
        return None
    sizes = np.abs(found)
    place = int(np.argmax(sizes))
    # A hum is as much like itself a period later: round the peak nothing else is looked at.
    away = np.roll(sizes, GLANCED // 2 - place)
    away[GLANCED // 2 - APART : GLANCED // 2 + APART + 1] = 0
    if away.max() > HUM * sizes[place]:
        return None
    return (place if place < GLANCED // 2 else place - GLANCED) / SAMPLE_RATE * 1000


def _correlation(audio: Audio, length: int) -> NDArray[np.floating] | None:
    """(length,) of far with near, lag by lag; None if there is nothing to correlate."""
    near, far = np.fft.rfft(audio - audio.mean(axis=1, keepdims=True), length, axis=1)
    cross = far * near.conj()
    size = np.abs(cross)
    if not size.any():
        return None
    # Where both are next to nothing the phase is rounding's.
    weight = np.maximum(size, 1e-6 * size.max()) ** -WHITE
    found: NDArray[np.floating] = np.fft.irfft(cross * weight, length)
    return found


def held(audio: Audio, ms: float, within: float) -> float:
    """How much speaks for another lag than the one that `lag_of` finds.

    Args:
        audio: (2, samples) at 16 kHz.
        ms, within: the other lag, and how far from it one may lie, both in ms.

    Returns:
        The largest correlation there over the largest of all, 0–1, in the clip's first seconds.

    >>> noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    >>> held(np.stack([noise, np.roll(noise, 160)]), 10.0, 2.0)
    1.0
    """
    sizes = _lags(audio[:, : round(SPAN * SAMPLE_RATE)])
    if not sizes.size:
        return 0.0
    lags = np.arange(-(sizes.size // 2), sizes.size // 2 + 1) / SAMPLE_RATE * 1000
    there = sizes[np.abs(lags - ms) <= within]
    return float(there.max(initial=0.0) / sizes.max())


def _lags(audio: Audio) -> NDArray[np.floating]:
    """Sizes of the correlation at lags from −reach to reach; none where there is none."""
    n = audio.shape[1]
    found = _correlation(audio, 1 << (2 * n - 1).bit_length())  # no lag wraps to the other side
    if found is None:
        return np.zeros(0)
    reach = min(n // 2, round(FARTHEST * SAMPLE_RATE))
    sizes: NDArray[np.floating] = np.abs(np.concatenate([found[-reach:], found[: reach + 1]]))
    return sizes


def _peak(audio: Audio) -> float:
    """ms, to a fraction of a sample; nan where no peak stands out."""
    sizes = _lags(audio)
    if not sizes.size:
        return float("nan")
    place = int(np.argmax(sizes))
    if sizes[place] < CLEAR * math.sqrt(float(np.mean(sizes**2))):
        return float("nan")
    return float(place - sizes.size // 2 + _between(sizes, place)) / SAMPLE_RATE * 1000


def _between(values: NDArray[np.floating], place: int) -> float:
    """By which part of a sample a parabola through three values has its top off the middle one."""
    if not 0 < place < len(values) - 1:
        return 0.0
    left, top, right = values[place - 1 : place + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend else 0.0
