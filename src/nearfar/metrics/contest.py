"""Several systems on the same clips, each with one run or with several seeds, pair by pair.

Two things make a difference uncertain. The clips are a sample: a paired bootstrap draws them again,
the same for all systems. A trained system is one of many that other seeds would have given: of k
runs the mean is uncertain by s/√k, s being their standard deviation, and since s itself is known
from k runs only, by a Student t of k − 1 degrees of freedom. Both are added draw by draw; of single
runs on either side what is left is the paired bootstrap of `compare`, to the bit.

References: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993; S. Holm, A simple
sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6(2), 1979.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError, SettingError, did_you_mean
from nearfar.metrics.comparison import Comparison
from nearfar.metrics.coverage import interval_of
from nearfar.metrics.delong import Placements
from nearfar.metrics.evaluation import FIGURES, YearRule
from nearfar.metrics.official import Drawn, RuleName, draw_figures
from nearfar.metrics.roc import clips_of
from nearfar.scores.join import LabelledSection, ScoreTable, join
from nearfar.scores.truth import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

ALL = "all"  # the row of all machines
POWER = 0.8  # how often a difference is to be found, where it is said how large one must be


@dataclass(frozen=True)
class Estimated:
    """A figure and its standard error, 0–1.

    >>> str(Estimated(0.612, 0.041)), str(Estimated(1.0, None))
    ('61.20 ±4.1', '100.00')
    """

    value: float
    error: float | None  # DeLong's of an AUC, else the bootstrap's; None: there is none

    def __str__(self) -> str:
        error = "" if self.error is None else f" ±{100 * self.error:.1f}"
        return f"{100 * self.value:.2f}{error}"


MachineEstimates = Mapping[str, Mapping[str, Estimated]]  # machine or "all" → figure or "total"


@dataclass(frozen=True)
class Standing:
    """What one system reaches; of several runs, their mean.

    >>> Standing("s1", (0.62, 0.60, 0.61), None, "", {}).spread
    0.010000000000000009
    """

    name: str
    runs: tuple[float, ...]  # the year's number of each, 0–1
    interval: tuple[float, float] | None  # of the mean of these runs; over clips alone
    doubt: str
    machines: MachineEstimates

    @property
    def score(self) -> float:
        """The year's number, 0–1."""
        return float(np.mean(self.runs))

    @property
    def spread(self) -> float | None:
        """Standard deviation over runs (k − 1), 0–1; None of one run."""
        return float(np.std(self.runs, ddof=1)) if len(self.runs) > 1 else None


@dataclass(frozen=True)
class Duel:
    """Two systems, first minus second.

    >>> from nearfar.metrics.coverage import Cells
    >>> from nearfar.metrics.evaluation import RULES
    >>> drawn = np.linspace(0.58, 0.64, 500), np.full(500, 0.60)
    >>> found = Comparison.of_draws(RULES["omega"], (0.61, 0.60), drawn, Cells(7, fewest=50))
    >>> duel = Duel("s4", "logmel", found, clips=0.02, seeds=0.0, machines={})
    >>> duel.distinguishable, round(duel.needed(), 4)
    (False, 0.0285)
    """

    first: str
    second: str
    comparison: Comparison
    clips: float  # standard deviation of the difference over draws of clips, 0–1
    seeds: float  # standard error of it over runs, √(s²/k + s²/k), 0–1; 0 of single runs
    machines: MachineEstimates  # differences
    adjusted: float | None = None  # p by Holm among all pairs; None if not asked for

    @property
    def p(self) -> float | None:
        """What counts: p by Holm where that was asked for; None without an interval."""
        return self.comparison.p if self.adjusted is None else self.adjusted

    @property
    def distinguishable(self) -> bool | None:
        """Is the difference more than chance, at the confidence asked for? None: nobody can tell.

        Both must say so, the interval and p: at the edge they may differ by one draw.
        """
        found = self.comparison
        if self.p is None or found.interval is None:
            return None
        low, high = found.interval
        # 1e-12: 1 − 0.95 is 0.05000000000000004, 1 − 0.9 is less than 0.1.
        return (low > 0 or high < 0) and self.p <= 1 - found.confidence + 1e-12

    def needed(self, power: float = 0.5) -> float | None:
        """How large a true difference must be to be distinguishable here with this probability.

        By the interval on the side of 0, the pair taken alone, and the normal distribution.

        Args:
            power: how often it is to be found; ½ is where an observed difference begins to count.

        Returns:
            0–1; None without an interval.
        """
        found, normal = self.comparison, NormalDist()
        if found.interval is None:
            return None
        low, high = found.interval
        # Towards 0, so that what is not distinguishable is never said to be large enough.
        reach = found.difference - low if found.difference > 0 else high - found.difference
        usual = normal.inv_cdf((1 + found.confidence) / 2)
        return max(reach, 0.0) * (usual + normal.inv_cdf(power)) / usual


@dataclass(frozen=True)
class Contest:
    """Systems and their differences on the same clips; see `contest`.

    >>> from nearfar.scores.join import ScoredFile
    >>> from nearfar.scores.truth import LabelledFile
    >>> files = [f"{d} {k} {n}" for d in ("source", "target") for k in ("normal", "anomaly")
    ...          for n in range(4)]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()[:2]) for f in files))
    >>> a, b = (ScoreTable(tuple(ScoredFile("fan", "00", f, ord(f[-k]) % 7) for f in files))
    ...         for k in (1, 3))
    >>> found = contest({"a": [a], "b": [b]}, truth, draws=100)
    >>> [s.name for s in found.standings], [(d.first, d.second) for d in found.duels]
    (['a', 'b'], [('a', 'b')])
    """

    rule: YearRule
    standings: tuple[Standing, ...]
    duels: tuple[Duel, ...]
    draws: int
    confidence: float
    seed: int
    holm: bool


def contest(
    systems: Mapping[str, Sequence[ScoreTable]],
    truth: Truth,
    *,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    rule: RuleName | None = None,
    against: str | None = None,
    holm: bool = False,
) -> Contest:
    """Which systems differ? Paired: every draw takes the same clips for all of them.

    Args:
        systems: name → scores, of one run or of several with other seeds.
        truth: labels of exactly the same clips.
        draws: of the bootstrap, at least 2.
        seed: of the bootstrap; draws are those of `evaluate` and `compare`.
        confidence: of intervals, and of what is called distinguishable.
        rule: as in `evaluate`.
        against: compare all others with this system; None compares each with each.
        holm: raise each p for the number of comparisons.

    Raises:
        SettingError: no system, fewer than 2 draws, no such system to compare with.
        DatasetError: as `evaluate`; also systems that judge different clips, or a machine that is
            called "all".
    """
    if draws < 2:  # of one there is neither a spread nor an interval
        raise SettingError(f"{draws} draws; a comparison needs at least 2")
    if not systems or not all(systems.values()):
        raise SettingError("a system without scores; give each one run at least")
    if against is not None and against not in systems:
        raise SettingError(
            f"no system {against!r} to compare with; {did_you_mean(against, systems)}"
        )
    # Decisions take no part, and of some only there would be a warning a run.
    tables = [
        ScoreTable(tuple(replace(row, decision=None) for row in table.rows))
        for runs in systems.values()
        for table in runs
    ]
    drawn = draw_figures(tables, truth, draws=draws, seed=seed, rule=rule)
    if ALL in drawn.machines:
        raise DatasetError(f"a machine is called {ALL!r}, as is the row of all of them; rename it")
    sides = _sides(systems, tables, truth, drawn)
    standings = tuple(_standing(side, drawn, confidence) for side in sides)
    noise = [_of_seeds(one, draws, (seed, n)) for n, one in enumerate(standings)]
    duels = [
        _duel(
            (sides[a], sides[b]), (standings[a], standings[b]), (noise[a], noise[b]), drawn,
            confidence,
        )
        for a, b in _pairs([side.name for side in sides], against)
    ]  # fmt: skip
    told = tuple(_adjusted(duels) if holm else duels)
    return Contest(drawn.rule, standings, told, draws, confidence, seed, holm)


def _pairs(names: Sequence[str], against: str | None) -> list[tuple[int, int]]:
    """Places of the systems of each comparison."""
    pairs = combinations(range(len(names)), 2)
    if against is None:
        return list(pairs)
    # A reference comes second: what is told is what the other gains over it.
    place = list(names).index(against)
    return [(a if b == place else b, place) for a, b in pairs if place in (a, b)]


def _adjusted(duels: Sequence[Duel]) -> list[Duel]:
    # A pair without p is no test that was made.
    steps = iter(adjust([duel.p for duel in duels if duel.p is not None]))
    return [d if d.p is None else replace(d, adjusted=next(steps)) for d in duels]


def adjust(p: Sequence[float]) -> list[float]:
    """p of several tests by Holm: at most this share of all sets of tests has a false alarm.

    Step down: the smallest times their number, the next times one less, and so on; none is smaller
    than the one before it, and none above 1.

    >>> [round(one, 3) for one in adjust([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, largest = [0.0] * len(p), 0.0
    for step, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[index]))
        adjusted[index] = largest
    return adjusted


@dataclass(frozen=True, eq=False)
class _Side:
    """One system: the means of its runs, on the clips as they are and in each draw."""

    name: str
    runs: tuple[float, ...]  # the year's number of each
    drawn: Values  # (draws,), of the year's number
    figures: Mapping[tuple[str, str], tuple[float, Values]]  # machine, figure → and (draws,)
    # Of each AUC of the rule, in each section: where clips lie.
    placements: Mapping[tuple[str, int], Placements]


def _sides(
    systems: Mapping[str, Sequence[ScoreTable]],
    tables: Sequence[ScoreTable],
    truth: Truth,
    drawn: Drawn,
) -> list[_Side]:
    rule, sides, first = drawn.rule, [], 0
    for name, runs in systems.items():
        part = slice(first, first + len(runs))
        first = part.stop
        own = replace(drawn, figures=drawn.figures[part], drawn=drawn.drawn[part])
        joined = [join(table.rows, truth) for table in tables[part]]
        placements = {
            (figure, k): Placements.mean([_placements(section, figure) for section in sections])
            for k, sections in enumerate(zip(*joined, strict=True))
            for figure in rule.figures
            if FIGURES[figure].curve == "auc"
        }
        numbers = tuple(float(rule.total(figures)) for figures in own.figures)
        total = rule.total(own.drawn, axis=(2, 3)).mean(axis=0)
        sides.append(_Side(name, numbers, total, _figures(own), placements))
    return sides


def _figures(own: Drawn) -> dict[tuple[str, str], tuple[float, Values]]:
    """Of one system's runs, their mean: machine, figure → value, draws."""
    rule, found = own.rule, {}
    for machine in (*dict.fromkeys(own.machines), ALL):
        mine = [k for k, name in enumerate(own.machines) if machine in (name, ALL)]
        figures, draws = own.figures[:, mine], own.drawn[:, :, mine]
        for column, name in enumerate(rule.figures):
            values, many = figures[..., column], draws[..., column]
            # As tables have it: over a machine's sections the plain mean, over all the rule's.
            whole = machine == ALL
            value = rule.total(values, axis=1) if whole else values.mean(axis=1)
            spread = rule.total(many, axis=2) if whole else many.mean(axis=2)
            found[machine, name] = float(value.mean()), spread.mean(axis=0)
        value, spread = rule.total(figures, axis=(1, 2)), rule.total(draws, axis=(2, 3))
        found[machine, "total"] = float(value.mean()), spread.mean(axis=0)
    return found


def _placements(section: LabelledSection, figure: str) -> Placements:
    kind = FIGURES[figure]
    return Placements.of(
        section.scores[clips_of(section, "normal", kind.normal)],
        section.scores[clips_of(section, "anomaly", kind.anomaly)],
    )


def _standing(side: _Side, drawn: Drawn, confidence: float) -> Standing:
    interval, doubt = interval_of(side.drawn, drawn.cells, confidence)
    estimates = _estimates(side.figures, side.placements, drawn)
    return Standing(side.name, side.runs, interval, doubt, estimates)


def _of_seeds(standing: Standing, draws: int, seed: tuple[int, int]) -> Values:
    """What other seeds might have done to the mean of the runs, (draws,); 0 of one run."""
    if standing.spread is None:
        return np.zeros(draws)
    # Draws of its own: those of clips stay what they are in `evaluate`.
    rng = np.random.default_rng([*seed, 1])
    k = len(standing.runs)
    return standing.spread / math.sqrt(k) * rng.standard_t(k - 1, size=draws)


def _duel(
    sides: tuple[_Side, _Side],
    standings: tuple[Standing, Standing],
    noise: tuple[Values, Values],
    drawn: Drawn,
    confidence: float,
) -> Duel:
    one, other = sides
    a, b = one.drawn, other.drawn
    scores = (standings[0].score, standings[1].score)
    found = Comparison.of_draws(drawn.rule, scores, (a, b), drawn.cells, confidence)
    errors = [(s.spread or 0.0) / math.sqrt(len(s.runs)) for s in standings]
    # Where clips tell nothing, seeds alone make no interval.
    if found.interval is not None and any(errors):
        both = (a + noise[0], b + noise[1])
        found = Comparison.of_draws(drawn.rule, scores, both, drawn.cells, confidence)
    figures = {
        key: (value - other.figures[key][0], draws - other.figures[key][1])
        for key, (value, draws) in one.figures.items()
    }
    placements = {key: mine - other.placements[key] for key, mine in one.placements.items()}
    return Duel(
        one.name, other.name, found, clips=float(np.std(a - b, ddof=1)),
        seeds=math.hypot(*errors), machines=_estimates(figures, placements, drawn),
    )  # fmt: skip


def _estimates(
    figures: Mapping[tuple[str, str], tuple[float, Values]],
    placements: Mapping[tuple[str, int], Placements],
    drawn: Drawn,
) -> dict[str, dict[str, Estimated]]:
    """Values with their errors, by machine and figure."""
    found: dict[str, dict[str, Estimated]] = {}
    for (machine, name), (value, draws) in figures.items():
        mine = [k for k, known in enumerate(drawn.machines) if known == machine]
        if mine and (name, mine[0]) in placements:
            error = _combined([placements[name, k].error for k in mine])
        else:
            spread = float(np.std(draws, ddof=1))
            error = spread if spread > 1e-12 else None  # the rounding of means
        found.setdefault(machine, {})[name] = Estimated(value, error)
    return found


def _combined(errors: Sequence[float | None]) -> float | None:
    """Of the mean over sections, whose clips are others; None if nothing is known of one."""
    known = [error for error in errors if error is not None]
    return math.hypot(*known) / len(known) if len(known) == len(errors) else None
