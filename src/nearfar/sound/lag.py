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


def _peak(audio: Audio) -> float:
    """ms, to a fraction of a sample; nan where no peak stands out."""
    n = audio.shape[1]
    length = 1 << (2 * n - 1).bit_length()  # no lag wraps around to the other side
    near, far = np.fft.rfft(audio - audio.mean(axis=1, keepdims=True), length, axis=1)
    cross = far * near.conj()
    size = np.abs(cross)
    if not size.any():
        return float("nan")
    # Where both are next to nothing the phase is rounding's.
    weight = np.maximum(size, 1e-6 * size.max()) ** -WHITE
    reach = min(n // 2, round(FARTHEST * SAMPLE_RATE))
    found = np.fft.irfft(cross * weight, length)
    values = np.concatenate([found[-reach:], found[: reach + 1]])  # lags −reach … reach
    place = int(np.argmax(np.abs(values)))
    if abs(values[place]) < CLEAR * math.sqrt(float(np.mean(values**2))):
        return float("nan")
    return float(place - reach + _between(np.abs(values), place)) / SAMPLE_RATE * 1000


def _between(values: NDArray[np.floating], place: int) -> float:
    """By which part of a sample a parabola through three values has its top off the middle one."""
    if not 0 < place < len(values) - 1:
        return 0.0
    left, top, right = values[place - 1 : place + 2]
    bend = left - 2 * top + right
    return float(0.5 * (left - right) / bend) if bend else 0.0
