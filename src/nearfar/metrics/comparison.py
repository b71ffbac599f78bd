"""Is one system better than another? A paired bootstrap over the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import SettingError
from nearfar.metrics.evaluation import (
    RULES,
    YearRule,
)
from nearfar.metrics.official import RuleName, Seed, draw_figures, percentiles
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.clips import Clip
    from nearfar.scores.verdict import Scores

    Values = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same clips; differences are first minus second, 0–1.

    >>> drawn = np.array([0.61, 0.63]), np.array([0.60, 0.60])
    >>> found = Comparison.of_draws(RULES["omega"], (0.62, 0.60), drawn)
    >>> str(found).split(",")[0]
    'ΔΩ = +2.00 points (62.00 − 60.00)'
    """

    rule: str  # the year's rule by name, of `RULES`
    score_a: float  # 0–1
    score_b: float
    difference: float
    interval: tuple[float, float]  # of the difference; bootstrap over clips, percentiles
    p: float  # two-sided: how often a draw turns the difference round
    confidence: float
    draws: int

    @classmethod
    def of_draws(
        cls,
        rule: YearRule,
        scores: tuple[float, float],
        drawn: tuple[Values, Values],
        confidence: float = 0.95,
    ) -> Comparison:
        """From the year's number of both, 0–1, and from their numbers in each draw, (draws,)."""
        differences = drawn[0] - drawn[1]
        # Draws on the rarer side of 0; one that is at 0 is on both.
        rarer = min(np.sum(differences <= 0), np.sum(differences >= 0))
        return cls(
            rule=rule.name,
            score_a=scores[0],
            score_b=scores[1],
            difference=scores[0] - scores[1],
            interval=percentiles(differences, confidence),
            # + 1: the clips as they are count as a draw, so p is never 0.
            p=min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1)),
            confidence=confidence,
            draws=len(differences),
        )

    def __str__(self) -> str:
        symbol = "Δ" + RULES[self.rule].symbol
        low, high = self.interval
        return (
            f"{symbol} = {100 * self.difference:+.2f} points ({100 * self.score_a:.2f} − "
            f"{100 * self.score_b:.2f}), {100 * self.confidence:g} % interval {100 * low:+.2f} to "
            f"{100 * high:+.2f}, p = {self.p:.3g} (paired, {self.draws} bootstrap draws)"
        )


def compare(
    a: Scores | ScoreTable,
    b: Scores | ScoreTable,
    truth: Sequence[Clip] | Truth | None = None,
    *,
    draws: int = 2000,
    seed: Seed = 0,
    confidence: float = 0.95,
    rule: RuleName | None = None,
) -> Comparison:
    """Is system a better than system b? Paired: every draw takes the same clips for both.

    Args:
        a: what one system said.
        b: what the other said about the same clips.
        truth: as in `evaluate`; None takes the labels of a's clips.
        draws: bootstrap draws, at least 1.
        seed: of the bootstrap; a Generator is used and advanced.
        confidence: of the interval.
        rule: as in `evaluate`.

    Raises:
        DatasetError, SettingError: as `evaluate`; also if a and b judge different clips.
    """
    if draws < 1:  # without any there is neither an interval nor p
        raise SettingError(f"{draws} draws; a comparison needs at least 1")
    both = draw_figures([a, b], truth, draws=draws, seed=seed, rule=rule)
    score_a, score_b = (float(both.rule.total(figures)) for figures in both.figures)
    drawn_a, drawn_b = both.rule.total(both.drawn, axis=(2, 3))  # (draws,) each
    return Comparison.of_draws(both.rule, (score_a, score_b), (drawn_a, drawn_b), confidence)
