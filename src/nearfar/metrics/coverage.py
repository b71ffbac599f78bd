"""What an interval is worth: when there is none, and how often one of its size holds the truth.

A bootstrap draws again what was seen. One clip a cell (a section's clips of one domain and label)
is drawn as it is, every time, and a perfect score stays perfect: such an interval has no width, and
would say "surely". With few clips it has some, too little. Neither is mended by another formula:
Ω is a harmonic mean of figures that share their clips, and the limits known for one AUC (R. G.
Newcombe, Statistics in Medicine 25(4), 2006) do not add up to limits of it. So no number is given
where there is none, and what was measured in simulation is said of the others (docs/intervals.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import SettingError
from nearfar.metrics.roc import clips_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.scores.join import LabelledSection

    Values = NDArray[np.float64]

Coverage = Mapping[int, Mapping[int, int]]  # sections → clips a cell → per cent

# Per cent of nominal 95 % intervals that held the truth, by sections and clips a cell, the worst of
# three difficulties: `python -m bench.interval_coverage` measures it again. First of Ω, then of ΔΩ.
COVERAGE: Coverage = {
    1: {2: 81, 3: 86, 5: 86, 7: 84, 10: 85, 20: 91, 30: 91, 50: 92},
    3: {2: 77, 3: 85, 5: 88, 7: 86, 10: 90, 20: 93, 30: 94, 50: 93},
    7: {2: 61, 3: 75, 5: 84, 7: 89, 10: 91, 20: 93, 30: 93, 50: 92},
}
PAIRED: Coverage = {
    1: {2: 90, 3: 89, 5: 90, 7: 93, 10: 92, 20: 93, 30: 93, 50: 94},
    3: {2: 89, 3: 93, 5: 93, 7: 92, 10: 92, 20: 94, 30: 94, 50: 94},
    7: {2: 90, 3: 94, 5: 92, 7: 94, 10: 95, 20: 94, 30: 94, 50: 94},
}
SMALLEST = min(COVERAGE[1])  # clips a cell; below, a cell is the same in every draw
ENOUGH = 90  # per cent; an interval that holds the truth as often goes without a warning


def percentiles(values: Values, confidence: float = 0.95) -> tuple[float, float]:
    """The interval that holds this share of bootstrap draws, as much left out on either side.

    Raises:
        SettingError: `confidence` is no share.
    """
    if not 0 < confidence < 1:  # 95 for 0.95 is the usual slip
        raise SettingError(f"confidence {confidence}, need a share between 0 and 1 like 0.95")
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Cells:
    """How many clips there are to draw from; a cell is a section's clips of one domain and label.

    >>> Cells(sections=7, fewest=50).doubt()
    ''
    >>> Cells(sections=1, fewest=4).doubt()
    'with 4 clips a cell a nominal 95 % interval covered 86 % in simulation'
    """

    sections: int
    fewest: int  # clips in the smallest cell that has any

    @classmethod
    def of(cls, sections: Sequence[LabelledSection]) -> Cells:
        """Count them."""
        domains = ("all",) if sections[0].target is None else ("source", "target")
        counts = (
            int(clips_of(section, label, domain).sum())
            for section in sections
            for label in ("normal", "anomaly")
            for domain in domains
        )
        # A cell without clips takes part in no figure, else the rule would have refused it.
        return cls(len(sections), min(count for count in counts if count))

    def doubt(self, simulated: Coverage = COVERAGE) -> str:
        """What is to be said of an interval from this many clips, as a clause; or nothing.

        Sizes are rounded down to those that were simulated.
        """
        if self.fewest < SMALLEST:
            return "a cell of 1 clip, which no bootstrap can vary: the interval is too narrow"
        measured = simulated[max(n for n in simulated if n <= self.sections)]
        covered = measured[max(n for n in measured if n <= self.fewest)]
        if covered >= ENOUGH:
            return ""
        return (
            f"with {self.fewest} clips a cell a nominal 95 % interval covered {covered} % in "
            "simulation"
        )

    def nothing_drawn(self, draws: int) -> str:
        """Why all draws give one number, as a clause."""
        if draws == 1:
            return "no interval: 1 bootstrap draw has no spread"
        if self.fewest < SMALLEST:
            return f"too few clips for an interval: {self.fewest} in a cell"
        return (
            f"no interval: all {draws} bootstrap draws give this number, which {self.fewest} clips "
            "a cell do not prove"
        )


def interval_of(
    drawn: Values, cells: Cells, confidence: float = 0.95, simulated: Coverage = COVERAGE
) -> tuple[tuple[float, float] | None, str]:
    """The interval of some draws, and what speaks against it.

    Args:
        drawn: the year's number in each draw, (draws,); none of them is no interval and no doubt.
        cells: what was drawn from.
        confidence: of the interval.
        simulated: `COVERAGE`, or `PAIRED` where draws are of a difference.

    Returns:
        (low, high), or None where draws do not differ; a clause, empty if nothing is to be said.

    Raises:
        SettingError: `confidence` is no share.
    """
    if not drawn.size:
        return None, ""
    limits = percentiles(drawn, confidence)
    # By the limits, not by the spread: one draw in 2,000 that differs makes no interval either.
    if not varied(limits):
        return None, cells.nothing_drawn(len(drawn))
    return limits, cells.doubt(simulated)


def varied(limits: tuple[float, float]) -> bool:
    """Do the limits differ by more than the rounding of means?"""
    return limits[1] - limits[0] > 1e-12
