"""Scores made comparable, and a decision threshold, from self-scores.

Self-scores are the scores a system gives to its own normal clips with each clip held out. A
calibration is a frozen recipe; `.fit(self_scores)` gives a function of scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.parts.valid import check_rate

Values = NDArray[np.float64]
Calibrated = Callable[[Values], Values]


@runtime_checkable
class Calibration(Protocol):
    """Self-scores in, a rising function of scores out.

    >>> all(isinstance(part, Calibration) for part in (Raw(), ZScore(), Percentile()))
    True
    """

    def fit(self, self_scores: Values) -> Calibrated: ...  # noqa: D102


@dataclass(frozen=True)
class Raw:
    """The score as it is, in the unit of the system's distance.

    >>> Raw().fit(np.array([1.0, 2.0]))(np.array([7.0]))
    array([7.])
    """

    def fit(self, self_scores: Values) -> Calibrated:
        """Ignore the self-scores; return the identity."""
        return lambda scores: scores


@dataclass(frozen=True)
class ZScore:
    """Score minus the self-scores' mean, over their standard deviation (System 2, report §2.4).

    >>> ZScore().fit(np.array([1.0, 3.0]))(np.array([2.0, 4.0]))
    array([0., 2.])
    """

    def fit(self, self_scores: Values) -> Calibrated:
        """Take mean and standard deviation of (n,) self-scores."""
        mean, spread = float(self_scores.mean()), float(self_scores.std())
        # Equal scores have a spread of rounding errors, which is no unit.
        unit = spread if self_scores.min() < self_scores.max() else 1.0
        return lambda scores: (scores - mean) / unit


@dataclass(frozen=True)
class Percentile:
    """Share of self-scores at or below the score, 0–1 (System 3, report §2.4).

    With `tail="flat"`, the report's, every score above the largest self-score is 1.0: ties exactly
    where pAUC looks. With `tail="linear"` it goes on rising, by 1/n for each distance between the
    largest self-score and their median.

    >>> own, new = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 2.0, 7.0])
    >>> Percentile().fit(own)(new).tolist()
    [0.0, 0.5, 1.0]
    >>> Percentile("linear").fit(own)(new).tolist()
    [0.0, 0.5, 1.5]
    """

    tail: Literal["flat", "linear"] = "flat"

    def __post_init__(self) -> None:
        if self.tail not in ("flat", "linear"):
            raise SettingError(f"Percentile.tail is {self.tail!r}; it is 'flat' or 'linear'")

    def fit(self, self_scores: Values) -> Calibrated:
        """Sort (n,) self-scores."""
        ordered = np.sort(self_scores)
        n, largest = len(ordered), float(ordered[-1])
        unit = largest - float(np.median(ordered)) or 1.0  # 1: half of them are equal
        tail = self.tail

        def calibrated(scores: Values) -> Values:
            share = np.searchsorted(ordered, scores, side="right") / n  # "right": at or below
            if tail == "linear":
                share = share + np.maximum(scores - largest, 0.0) / unit / n
            return share

        return calibrated


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and what may be expected of it.

    >>> Threshold(2.0, wanted=0.1, clips=10).reachable, Threshold(2.0, 0.1, clips=9).reachable
    (True, False)
    """

    value: float  # unit of the score; a clip is anomalous above it
    wanted: float  # false-alarm rate asked for, 0–1
    clips: int  # normal clips it was drawn from

    @property
    def reachable(self) -> bool:
        """Are there enough clips to tell the wanted rate from zero?"""
        return _allowed(self.wanted, self.clips) >= 1

    def explain(self, clip_seconds: float) -> str:
        """What the threshold means for a person, in one line.

        >>> Threshold(2.0, 0.1, 1000).explain(10)
        'about 36 false alarms an hour with 10 s clips (10 % of normal clips)'
        >>> Threshold(2.0, 0.01, 20).explain(10)
        '1 % needs at least 100 normal clips, there are 20: expect up to 5 % false alarms'
        """
        if not self.reachable:
            # A quotient that was rounded up must not ask for one clip more; 1e15 is "never".
            needed = math.ceil(min(1 / self.wanted, 1e15) - 1e-9)
            return (
                f"{100 * self.wanted:g} % needs at least {needed} normal clips, there are "
                f"{self.clips}: expect up to {_digits(100 / self.clips, 2)} % false alarms"
            )
        hourly = self.wanted * 3600 / clip_seconds
        return (
            f"about {_digits(hourly)} false alarms an hour with {_digits(clip_seconds)} s clips "
            f"({100 * self.wanted:g} % of normal clips)"
        )


def _digits(value: float, digits: int = 3) -> str:
    """Significant digits, but 1800 and not 1.8e+03."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def _allowed(rate: float, clips: int) -> int:
    """The most of some clips whose share is not above the rate: 1 for 0.1 of 10."""
    most = round(rate * clips)  # 0.29 × 100 is 28.999…: rounded down it would be one too few
    return most if most / clips <= rate else most - 1


def threshold(self_scores: Values, false_alarm_rate: float) -> Threshold:
    """The smallest self-score that at most this share of self-scores exceeds.

    Args:
        self_scores: (n,) scores of normal clips held out.
        false_alarm_rate: wanted share of normal clips above the threshold, 0–1.

    Raises:
        SettingError: the rate is not above 0 and below 1.

    >>> threshold(np.arange(1.0, 101.0), 0.1).value
    90.0
    """
    rate = check_rate(false_alarm_rate)
    ordered = np.sort(self_scores)
    above = _allowed(rate, len(ordered))
    # A score equal to the threshold is no alarm, so ties cannot push the share above the rate.
    return Threshold(float(ordered[len(ordered) - 1 - above]), rate, len(ordered))
