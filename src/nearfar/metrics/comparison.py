"""Is one system better than another? A paired bootstrap over the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import SettingError
from nearfar.metrics.coverage import PAIRED, Cells, interval_of, percentiles, varied
from nearfar.metrics.evaluation import RULES, YearRule
from nearfar.metrics.official import RuleName, Seed, draw_figures
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
    >>> found = Comparison.of_draws(RULES["omega"], (0.62, 0.60), drawn, Cells(7, fewest=50))
    >>> str(found).split(",")[0]
    'ΔΩ = +2.00 points (62.00 − 60.00)'
    """

    rule: str  # the year's rule by name, of `RULES`
    score_a: float  # 0–1
    score_b: float
    difference: float
    interval: tuple[float, float] | None  # of the difference; bootstrap over clips, percentiles
    p: float | None  # two-sided: how often a draw turns the difference round; None: no interval
    confidence: float
    draws: int
    doubt: str = ""  # why there is no interval, or why it is too narrow

    @classmethod
    def of_draws(
        cls,
        rule: YearRule,
        scores: tuple[float, float],
        drawn: tuple[Values, Values],
        cells: Cells,
        confidence: float = 0.95,
    ) -> Comparison:
        """From the year's number of both, 0–1, and from their numbers in each draw, (draws,).

        `cells` says what was drawn from.
        """
        differences = drawn[0] - drawn[1]
        interval, doubt = interval_of(differences, cells, confidence, PAIRED)
        # Two that agree in draws that do differ are known to differ by 0; with nothing drawn but
        # the same clips, every difference would be "certain", and its p the smallest there is.
        if interval is None and not differences.any() and varied(percentiles(drawn[0], confidence)):
            interval, doubt = (0.0, 0.0), ""
        # Draws on the rarer side of 0; one that is at 0 is on both.
        rarer = min(np.sum(differences <= 0), np.sum(differences >= 0))
        return cls(
            rule=rule.name,
            score_a=scores[0],
            score_b=scores[1],
            difference=scores[0] - scores[1],
            interval=interval,
            # + 1: the clips as they are count as a draw, so p is never 0.
            p=None if interval is None else min(1.0, 2 * (int(rarer) + 1) / (len(differences) + 1)),
            confidence=confidence,
            draws=len(differences),
            doubt=doubt,
        )

    def __str__(self) -> str:
        symbol = "Δ" + RULES[self.rule].symbol
        text = (
            f"{symbol} = {100 * self.difference:+.2f} points ({100 * self.score_a:.2f} − "
            f"{100 * self.score_b:.2f})"
        )
        if self.interval is None:
            return f"{text}, {self.doubt}"
        low, high = self.interval
        return (
            f"{text}, {100 * self.confidence:g} % interval {100 * low:+.2f} to {100 * high:+.2f}, "
            f"p = {self.p:.3g} (paired, {self.draws} bootstrap draws)"
        ) + (f"; {self.doubt}" if self.doubt else "")


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
    return Comparison.of_draws(
        both.rule, (score_a, score_b), (drawn_a, drawn_b), both.cells, confidence
    )
