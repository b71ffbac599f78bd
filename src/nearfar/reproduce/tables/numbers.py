"""From scores to numbers: every entry's Ω over its seeds, every pair's difference, intervals.

All entries and seeds are resampled together: a draw takes the same clips for all of them, so every
difference is paired. Where there are several seeds they are resampled too, the same ones for both
sides of a pair that was trained with equal seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import DatasetError
from nearfar.metrics.coverage import percentiles
from nearfar.metrics.evaluation import FIGURES
from nearfar.metrics.official import Drawn, RuleName, draw_figures
from nearfar.reproduce.entries import Difference
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth

Values = NDArray[np.float64]

DRAWS = 10_000
SEED = 0  # of the bootstrap
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Number:
    """A number with its interval; 0–1.

    >>> Number(0.012, (0.003, 0.021), (0.012,)).distinguishable
    True
    """

    value: float  # mean over the seeds
    interval: tuple[float, float]  # bootstrap over clips and, where there are several, seeds
    seeds: tuple[float, ...]  # the number of each; one where no seed is in it

    @property
    def distinguishable(self) -> bool:
        """Of a difference: does its interval leave 0 out?"""
        low, high = self.interval
        return low > 0 or high < 0

    def holds(self, other: float, rounding: float = 0.0) -> bool:
        """Does the interval hold a share, or one within half a unit of its last digit?"""
        low, high = self.interval
        return low <= other + rounding and other - rounding <= high


@dataclass(frozen=True, eq=False)
class Figures:
    """What entries reach.

    >>> from nearfar.metrics.coverage import Cells
    >>> from nearfar.metrics.evaluation import RULES
    >>> halves = np.full((1, 2, 1, 3), 0.5)  # (systems, draws, sections, figures)
    >>> one = Drawn(RULES["omega"], ("fan",), halves[:, 0], halves, Cells(1, fewest=50))
    >>> reached = Figures({"s4": [0]}, one)
    >>> reached.omega("s4").value
    0.5
    """

    places: Mapping[str, Sequence[int]]  # entry → where its seeds lie among the systems of `drawn`
    drawn: Drawn  # figures of all systems, of the clips as they are and resampled

    @cached_property
    def _totals(self) -> Values:  # (systems, draws)
        return self.drawn.rule.total(self.drawn.drawn, axis=(2, 3))

    @cached_property
    def _points(self) -> Values:  # (systems,)
        return self.drawn.rule.total(self.drawn.figures, axis=(1, 2))

    @property
    def symbol(self) -> str:
        """Of the year's number."""
        return self.drawn.rule.symbol

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the figures that the year's number is made of, in their order."""
        return tuple(FIGURES[name].title for name in self.drawn.rule.figures)

    def omega(self, name: str, seed: int | None = None) -> Number:
        """An entry's Ω: the mean over its seeds, or that of one of them, by its place."""
        places = self.places[name] if seed is None else [self.places[name][seed]]
        return self._number(self._points[places], self._totals[places])

    def difference(self, pair: Difference) -> Number:
        """First minus second, seed by seed where both have seeds."""
        first, second = self.places[pair.first], self.places[pair.second]
        if len(first) > 1 and len(second) > 1 and len(first) != len(second):
            raise DatasetError(f"{pair.title}: {len(first)} and {len(second)} seeds, need as many")
        # An entry without seeds is compared with each seed of the other.
        return self._number(
            self._points[first] - self._points[second], self._totals[first] - self._totals[second]
        )

    def machines(self, name: str, seed: int = 0) -> Mapping[str, Sequence[float]]:
        """One seed's figures of each machine, means over its sections, in the order of `titles`."""
        values = self.drawn.figures[self.places[name][seed]]  # (sections, figures)
        of = np.array(self.drawn.machines)
        return {str(m): values[of == m].mean(axis=0).tolist() for m in dict.fromkeys(of.tolist())}

    def machine(self, name: str, machine: str, figure: int, other: str) -> Number:
        """One figure of one machine, an entry's first seed minus another's."""
        of = np.array(self.drawn.machines) == machine
        a, b = self.places[name][0], self.places[other][0]
        point = self.drawn.figures[:, of, figure].mean(axis=1)  # (systems,)
        drawn = self.drawn.drawn[:, :, of, figure].mean(axis=2)  # (systems, draws)
        return self._number(point[[a]] - point[[b]], drawn[[a]] - drawn[[b]])

    def _number(self, points: Values, drawn: Values) -> Number:
        """Of (seeds,) points and (seeds, draws) of resampled clips."""
        interval = percentiles(_over_seeds(drawn), CONFIDENCE)
        return Number(float(points.mean()), interval, tuple(points.tolist()))


def figures(
    scores: Mapping[str, Sequence[ScoreTable]], truth: Truth, rule: RuleName | None,
    draws: int = DRAWS,
) -> Figures:  # fmt: skip
    """Evaluate all entries, a table of scores for each seed, on the same draws of clips."""
    places: dict[str, Sequence[int]] = {}
    everyone: list[ScoreTable] = []
    for name, tables in scores.items():
        places[name] = range(len(everyone), len(everyone) + len(tables))
        everyone += tables
    return Figures(places, draw_figures(everyone, truth, draws=draws, seed=SEED, rule=rule))


def _over_seeds(drawn: Values) -> Values:
    """(seeds, draws) → (draws,): in each draw the mean over seeds drawn with replacement.

    One seed less is drawn than there are: so the variance of the mean is s² / n, where n of n
    would give (n − 1) / n of that (Rao and Wu, JASA 83, 1988). With one seed it is unknown.
    """
    count, draws = drawn.shape
    chosen = np.random.default_rng([SEED, 1]).integers(count, size=(draws, max(1, count - 1)))
    mean: Values = drawn[chosen, np.arange(draws)[:, None]].mean(axis=1)
    return mean
