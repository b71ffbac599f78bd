"""Scores made comparable, and a decision threshold, from self-scores.

Self-scores are the scores a system gives to its own normal clips with each clip held out. A
calibration is a frozen recipe; `.fit(self_scores)` gives a function of scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.parts.data import unsaved_as
from nearfar.parts.valid import check_rate
from nearfar.text import lasting

Values = NDArray[np.float64]
Calibrated = Callable[[Values], Values]
# Whose self-scores calibrate a member with a trained encoder: of clips that no encoder was trained
# on, where they are `ENOUGH`, or of all clips. Self-scores of clips it was trained on are too low.
Yardstick = Literal["fresh", "all"]
ENOUGH = 30  # fresh clips: a standard deviation is known to 13 %, a percentile goes in steps of 3 %


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

    `clips` says whose, where the encoder was trained: of "fresh" ones, which it was not trained on,
    if they are enough, or of "all", the report's.

    >>> ZScore().fit(np.array([1.0, 3.0]))(np.array([2.0, 4.0]))
    array([0., 2.])
    """

    # Detectors of before, and their scores, stay what they are: without it all clips are meant.
    clips: Yardstick = field(default="fresh", kw_only=True, metadata=unsaved_as("all"))

    def __post_init__(self) -> None:
        _check_yardstick(self)

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
    largest self-score and their median. `clips` is that of `ZScore`.

    >>> own, new = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 2.0, 7.0])
    >>> Percentile().fit(own)(new).tolist()
    [0.0, 0.5, 1.0]
    >>> Percentile("linear").fit(own)(new).tolist()
    [0.0, 0.5, 1.5]
    """

    tail: Literal["flat", "linear"] = "flat"
    clips: Yardstick = field(default="fresh", kw_only=True, metadata=unsaved_as("all"))

    def __post_init__(self) -> None:
        _check_yardstick(self)
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


def wants_fresh(calibration: Calibration) -> bool:
    """Does it ask for self-scores of fresh clips? A part of a person's own takes all.

    >>> wants_fresh(Percentile()), wants_fresh(ZScore(clips="all")), wants_fresh(Raw())
    (True, False, False)
    """
    return isinstance(calibration, ZScore | Percentile) and calibration.clips == "fresh"


def _check_yardstick(part: ZScore | Percentile) -> None:
    if part.clips not in ("fresh", "all"):
        name = type(part).__name__
        raise SettingError(f"{name}.clips is {part.clips!r}; it is 'fresh' or 'all'")


@dataclass(frozen=True)
class AlarmRate:
    """How often new normal clips exceed a value that some of the known ones exceed.

    Both numbers hold for clips exchangeable with the known ones, whether the value was given
    beforehand (Clopper–Pearson), is one of their scores, or was drawn from theirs and those of
    others together: the more of theirs lie above, the higher that value is.

    >>> few = AlarmRate(above=6, clips=10)  # of a condition that is new to the detector
    >>> f"{few.expected:.0%}, up to {few.confident:.0%}", few.breaks(0.1)
    ('64%, up to 85%', True)
    """

    above: int  # of `clips`, held-out scores above the value
    clips: int

    @property
    def expected(self) -> float:
        """Probability that one new normal clip exceeds it, 0–1; less only with ties."""
        return (self.above + 1) / (self.clips + 1)  # the new one counted

    @property
    def confident(self) -> float:
        """The rate that is not exceeded with 95 % confidence, 0–1.

        The rate above the order statistic with `a` of n scores above it is Beta(a + 1, n − a)
        (Wilks 1941), whatever the scores' distribution.
        """
        from scipy.special import betaincinv  # here: the command line must start without SciPy

        if self.above == self.clips:  # all of them: nothing is excluded
            return 1.0
        return float(betaincinv(self.above + 1, self.clips - self.above, 0.95))

    def breaks(self, wanted: float) -> bool:
        """Is it far beyond a rate: twice that is expected, and more with 95 % confidence?"""
        from scipy.special import betaincinv

        if not self.above or self.expected < 2 * wanted:
            return False
        # Not by chance: of ten clips two or three lie above a threshold of 10 % soon enough.
        return float(betaincinv(self.above, self.clips - self.above + 1, 0.05)) > wanted


@dataclass(frozen=True)
class Threshold:
    """A decision threshold and what may be expected of it.

    What is promised holds for new clips that are exchangeable with the normal ones: recorded as
    they were, in no other session.

    >>> Threshold(2.0, wanted=0.1, clips=9).reachable, Threshold(2.0, 0.1, clips=8).reachable
    (True, False)
    >>> Threshold(2.0, wanted=0.1, clips=98).expected  # 8 of 98 above, and the new clip itself
    0.09090909090909091
    """

    value: float  # unit of the score; a clip is anomalous above it
    wanted: float  # false-alarm rate asked for, 0–1
    clips: int  # normal clips it was drawn from
    domain: str | None = None  # whose clips alone these were, "source" or "target"

    @property
    def reachable(self) -> bool:
        """Are there enough clips to keep the wanted rate: at least 1/rate, the new one counted?"""
        return _allowed(self.wanted, self.clips) >= 0

    @property
    def expected(self) -> float:
        """Probability that one new normal clip exceeds it, 0–1; less only with ties."""
        return self._rate.expected

    @property
    def confident(self) -> float:
        """The false-alarm rate that this threshold does not exceed with 95 % confidence, 0–1."""
        return self._rate.confident

    @property
    def _rate(self) -> AlarmRate:
        return AlarmRate(max(_allowed(self.wanted, self.clips), 0), self.clips)

    def explain(self, clip_seconds: float, clips_a_day: float | None = None) -> str:
        """What the threshold means for a person, in one line.

        Args:
            clip_seconds: how long a clip is, s.
            clips_a_day: how many are recorded; None: as many as an hour has room for.

        >>> Threshold(2.0, 0.1, 999).explain(10)
        '10 % asked for: at most about 36 false alarms an hour with 10 s clips (10 % of normal clips); with 95 % confidence up to 41.8 an hour (12 %)'
        >>> Threshold(2.0, 0.01, 19).explain(10)
        '1 % needs at least 99 normal clips, there are 19: at most about 5 % false alarms; with 95 % confidence up to 52.5 an hour (15 %)'
        >>> Threshold(2.0, 0.1, 119).explain(4, 24)
        '10 % asked for: at most about 2.4 false alarms a day with 24 clips, as they were recorded (10 % of normal clips); with 95 % confidence up to 3.56 a day (15 %)'
        """  # noqa: E501 - a line as it is printed
        of, clips = "an hour", 3600 / clip_seconds
        with_clips = f"an hour with {lasting(clip_seconds)} clips"
        if clips_a_day is not None:
            of, clips = "a day", clips_a_day
            with_clips = f"a day with {_digits(clips)} clips, as they were recorded"
        normal = f"normal {self.domain} clips" if self.domain else "normal clips"
        # Both are bounds: one of what is expected, one of what chance may bring.
        bound = (
            f"; with 95 % confidence up to {_digits(self.confident * clips)} {of} "
            f"({_digits(100 * self.confident, 2)} %)"
        )
        if not self.reachable:
            # A quotient that was rounded up must not ask for one clip more; 1e15 is "never".
            needed = math.ceil(min(1 / self.wanted, 1e15) - 1e-9) - 1
            return (
                f"{100 * self.wanted:g} % needs at least {needed} {normal}, there are "
                f"{self.clips}: at most about {_digits(100 * self.expected, 2)} % false alarms"
                f"{bound}"
            )
        return (
            f"{100 * self.wanted:g} % asked for: at most about {_digits(self.expected * clips)} "
            f"false alarms {with_clips} ({_digits(100 * self.expected)} % of {normal}){bound}"
        )


def _digits(value: float, digits: int = 3) -> str:
    """Significant digits, but 1800 and not 1.8e+03."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def _allowed(rate: float, clips: int) -> int:
    """The most self-scores above a threshold that keeps the rate: ⌊rate·(n + 1)⌋ − 1; −1: none.

    A new clip's rank among n + 1 exchangeable ones is uniform: it is above the threshold, with
    `a` of the n above it, with a probability of (a + 1)/(n + 1) at most.
    """
    ranks = clips + 1
    most = round(rate * ranks)  # 0.29 × 100 is 28.999…: rounded down it would be one too few
    return (most if most / ranks <= rate else most - 1) - 1


def threshold(self_scores: Values, false_alarm_rate: float, domain: str | None = None) -> Threshold:
    """The smallest self-score that one new normal clip exceeds with at most this probability.

    Args:
        self_scores: (n,) scores of normal clips held out.
        false_alarm_rate: wanted share of normal clips above the threshold, 0–1. Below 1/(n + 1)
            no n scores can keep it: the largest is taken, and `reachable` is False.
        domain: whose clips these are, if they are not all.

    Raises:
        SettingError: the rate is not above 0 and below 1.

    >>> threshold(np.arange(1.0, 100.0), 0.1).value  # nine of 99 above, and the new one: 10/100
    90.0
    """
    rate = check_rate(false_alarm_rate)
    ordered = np.sort(self_scores)
    above = max(_allowed(rate, len(ordered)), 0)
    # A score equal to the threshold is no alarm, so ties cannot push the share above the rate.
    return Threshold(float(ordered[len(ordered) - 1 - above]), rate, len(ordered), domain)


def p_values(ordered: Values, scores: Values) -> Values:
    """How probable so high a score is for a normal clip: (1 + #{self ≥ score})/(n + 1).

    With a reachable rate a clip above its threshold has a p-value of at most that rate.

    Args:
        ordered: (n,) self-scores, rising.
        scores: (m,) scores of new clips.

    >>> p_values(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 9.0])).tolist()
    [1.0, 0.75, 0.25]
    """
    n = len(ordered)
    below: Values = np.searchsorted(ordered, scores, side="left").astype(np.float64)
    return (1 + n - below) / (n + 1)
