"""A comparison of results as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.metrics.contest import (
    POWER,
    Contest,
    Duel,
    Estimated,
    MachineEstimates,
    Standing,
    contest,
)
from nearfar.metrics.evaluation import FIGURES
from nearfar.scores.scaling import TRANSDUCTIVE
from nearfar.scores.truth import read_truth, shown
from nearfar.scores.verdict import as_csv
from nearfar.study.entrants import (
    Entrant,
    check_clips,
    check_transductive,
    read_entrants,
    rule_for,
    truth_for,
    warn_of_twins,
)
from nearfar.text import aligned, counted, figure
from nearfar.version import versions

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName

SCHEMA = 1  # of the JSON; raised when a program that reads it could err
UNCORRECTED = 3  # comparisons; from here on it is said that some are found by chance
UNITS = "per cent ± standard error: of an AUC DeLong's, else the bootstrap's"
_NAME = 24  # characters of a system's name in a table
_MOST_TIMES = 100  # more clips than this nobody records


@dataclass(frozen=True)
class Standings:
    """Results held beside each other; `text` for people, `as_dict` for programs.

    >>> from nearfar.scores.join import ScoredFile, ScoreTable
    >>> from nearfar.scores.truth import LabelledFile, Truth
    >>> files = [f"{k} {n}" for k in ("normal", "anomaly") for n in range(5)]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, None, f.split()[0]) for f in files))
    >>> a, b = ([ScoreTable(tuple(ScoredFile("fan", "00", f, ord(f[k]) % 7) for f in files))]
    ...         for k in (1, -1))
    >>> found = Standings(contest({"a": a, "b": b}, truth, draws=100))
    >>> print(found.text.splitlines()[3])
             a − b   -50.00 ±20.0  -2.63 ±8.9  -26.32 ±13.4
    """

    contest: Contest
    files: Mapping[str, Sequence[Path]] | None = None  # of each system
    transductive: tuple[str, ...] = ()  # systems whose scores were made with other test clips
    simulated: tuple[str, ...] = ()  # what results say of simulated data

    @property
    def text(self) -> str:
        """What a person reads."""
        parts = [self._machines(), self._systems()]
        parts += ["\n".join(self.told(duel)) for duel in self.contest.duels]
        parts += ["\n".join(notes)] if (notes := self.notes) else []
        return "\n".join(self.simulated) + "\n" * bool(self.simulated) + "\n\n".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; all shares 0–1."""
        found = self.contest
        extra = {TRANSDUCTIVE: list(self.transductive)} if self.transductive else {}
        return {
            "schema": SCHEMA,
            "systems": [self._system(standing) for standing in found.standings],
            "differences": [_difference(duel) for duel in found.duels],
            "rule": found.rule.name,
            **extra,
            "settings": {
                "draws": found.draws, "seed": found.seed, "confidence": found.confidence,
                "holm": found.holm,
                **({"data": "; ".join(self.simulated)} if self.simulated else {}),
            },
            "versions": versions(),
        }  # fmt: skip

    def to_csv(self) -> str:
        """The table of machines as CSV, in shares; a difference has a second system."""
        figures = (*self.contest.rule.figures, "total")
        columns = ["machine", "system", "minus"]
        columns += [column for name in figures for column in (name, f"{name}_error")]
        rows = []
        for machine in self._order():
            # Every pair, not only those of the printed table: a program has no width.
            for first, second, estimates in self._all_rows():
                row: dict[str, Any] = {"machine": machine, "system": first, "minus": second}
                for name in figures:
                    row[name] = estimates[machine][name].value
                    row[f"{name}_error"] = estimates[machine][name].error
                rows.append(row)
        return as_csv(rows, columns)

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the figures of a machine, as tables print them."""
        rule = self.contest.rule
        mean = "hmean" if rule.mean == "harmonic" else "mean"
        return (*(FIGURES[name].title for name in rule.figures), mean)

    def rows(self) -> list[tuple[str, MachineEstimates, bool]]:
        """What tables have of each machine: a name, its estimates, and are they differences?

        Of each with each the differences would outnumber the machines: those to one tell the rest.
        """
        lone = [d for d in self.contest.duels if self._reference in (d.first, d.second)]
        return [
            *((self.called(s.name, _NAME), s.machines, False) for s in self.contest.standings),
            *((self._row_of(d), d.machines, True) for d in lone),
        ]

    # ---- pieces ------------------------------------------------------------------------------

    def _row_of(self, duel: Duel) -> str:
        """A pair in the table; the only one needs no two names where they would break its lines."""
        pair = self.pair(duel, _NAME)
        alone = len(self.contest.duels) == 1 and not self.transductive
        return "difference" if alone and len(pair) > _NAME else pair

    def _order(self) -> tuple[str, ...]:
        return tuple(self.contest.standings[0].machines)

    def _all_rows(self) -> list[tuple[str, str, MachineEstimates]]:
        """(system, the one it is held against or "", estimates), every pair among them."""
        rows: list[tuple[str, str, MachineEstimates]] = [
            (s.name, "", s.machines) for s in self.contest.standings
        ]
        return rows + [(d.first, d.second, d.machines) for d in self.contest.duels]

    def _machines(self) -> str:
        """Each machine: every system, and the differences to one of them."""
        lines = [("machine", "system", *self.titles)]
        for machine in self._order():
            name = shown(machine, _NAME)
            for who, estimates, difference in self.rows():
                cells = (_signed(e) if difference else str(e) for e in estimates[machine].values())
                lines.append((name, who, *cells))
                name = ""  # said once a machine
        return f"{_two_left(lines)}\n{UNITS}"

    @property
    def _reference(self) -> str:
        """The system that all differences of the table are to."""
        duels = self.contest.duels
        if not duels:
            return ""
        # With --against it is in every pair; without, the first is in the first ones.
        common = set.intersection(*({d.first, d.second} for d in duels))
        first = self.contest.standings[0].name
        return first if first in common or not common else sorted(common)[0]

    def _systems(self) -> str:
        found = self.contest
        head = ("system", found.rule.symbol, f"{100 * found.confidence:g} % over clips")
        # Columns about seeds only where somebody gave some.
        several = any(s.spread is not None for s in found.standings)
        lines = [head + (("runs", "over seeds") if several else ())]
        doubts = []
        for s in found.standings:
            row = (self.called(s.name), f"{100 * s.score:.2f}", _bounds(s.interval))
            lines.append(row + ((str(len(s.runs)), over_seeds(s)) if several else ()))
            doubts += [f"{self.called(s.name)}: {s.doubt}"] if s.doubt else []
        rule = "" if found.rule.name == "omega" else f"\nrule of {found.rule.name}"
        return "\n".join([aligned(lines) + rule, *doubts])

    def told(self, duel: Duel) -> list[str]:
        """A pair: the difference, and in words what it is worth."""
        lines = [f"{self.pair(duel)}: {duel.comparison}"]
        if duel.adjusted is not None:
            pairs = counted(len(self.contest.duels), "comparison")
            lines.append(f"  p = {duel.adjusted:.3g} by Holm, among {pairs}")
        if duel.seeds:
            lines.append(
                f"  uncertain by {100 * duel.clips:.2f} points through the clips and "
                f"{100 * duel.seeds:.2f} through the seeds (standard errors), both in the interval"
            )
        return [*lines, f"  {self.words(duel)}"]

    def words(self, duel: Duel) -> str:
        """Is a pair distinguishable, and if not, what would it have taken?"""
        verdict = duel.distinguishable
        if verdict is None:
            return "nobody can tell whether they are distinguishable"
        if verdict:
            better = duel.first if duel.comparison.difference > 0 else duel.second
            return f"distinguishable: {self.called(better)} is better on clips like these"
        least, found = duel.needed(), duel.needed(POWER)
        if not least or found is None:
            return "not distinguishable: they differ in no draw"
        many = len(self.contest.duels)
        company = f" among {many} comparisons" if self.contest.holm and many > 1 else ""
        if replace(duel, adjusted=None).distinguishable:
            return f"not distinguishable{company}; as the only comparison it would be"
        text = (
            f"not distinguishable{company}: on these clips a difference counts from "
            f"{100 * least:.1f} points on, and a true one of {100 * found:.1f} is found "
            f"{100 * POWER:g} % of the time"
        )
        # More clips do not help against seeds.
        return f"{text}; {_more(duel, found)}" if not duel.seeds else text

    @property
    def notes(self) -> list[str]:
        """What is to be borne in mind with all of them."""
        found, notes = self.contest, []
        pairs = len(found.duels)
        if not found.holm and pairs >= UNCORRECTED:
            share = f"{100 * (1 - found.confidence):g} %"
            notes.append(
                f"{pairs} comparisons, each at {share}: with equal systems the chance of one that "
                "looks distinguishable is higher; Holm's correction holds it for all together"
            )
        single = [s.name for s in found.standings if s.spread is None]
        # Nobody shall take the interval of one training for that of a recipe.
        if found.duels and single:
            who = "each system" if len(single) == len(found.standings) else ", ".join(single)
            notes.append(
                f"one run of {who}: what another training seed would change is in no interval "
                "(NAME=A,B,C gives several)"
            )
        return notes

    def pair(self, duel: Duel, most: int = 60) -> str:
        """What a difference is called."""
        return f"{self.called(duel.first, most)} − {self.called(duel.second, most)}"

    def called(self, name: str, most: int = 60) -> str:
        """A system's name; the word goes wherever its numbers go."""
        word = f" ({TRANSDUCTIVE})" if name in self.transductive else ""
        return shown(name, most) + word

    def _system(self, standing: Standing) -> dict[str, Any]:
        return {
            "name": standing.name,
            "files": [str(path) for path in (self.files or {}).get(standing.name, ())],
            "score": standing.score,
            "interval": None if standing.interval is None else list(standing.interval),
            "doubt": standing.doubt,
            "runs": list(standing.runs),
            "sd_over_seeds": standing.spread,
            "machines": _plain(standing.machines),
        }


def compare_files(
    asked: Sequence[str],
    truth: Path | None = None,
    *,
    rule: RuleName | None = None,
    against: str | None = None,
    holm: bool = False,
    transductive: bool = False,
    draws: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Standings:
    """Compare results that files hold.

    Args:
        asked: as in `read_entrants`.
        truth: ground truth; None takes the labels that an evaluation has beside its scores.
        rule: the year's rule; None takes that of the results.
        against: the name of a system; None compares each with each.
        holm: as in `contest`, likewise draws, seed and confidence.
        transductive: take scores that were ranked or scaled within the test set; the word then
            stands beside their numbers.

    Raises:
        SettingError, FormatError, DatasetError: files that cannot be read or do not fit.
    """
    entrants = read_entrants(asked)
    known = truth_for(entrants, None if truth is None else read_truth(truth))
    check_clips(entrants, known)
    marked = check_transductive(entrants, transductive)
    warn_of_twins(entrants)
    found = contest(
        {entrant.name: [run.scores for run in entrant.runs] for entrant in entrants}, known,
        draws=draws, seed=seed, confidence=confidence, rule=rule_for(entrants, rule),
        against=against, holm=holm,
    )  # fmt: skip
    return Standings(found, _files(entrants), marked, _simulated(entrants))


def _files(entrants: Sequence[Entrant]) -> dict[str, list[Path]]:
    return {entrant.name: [run.path for run in entrant.runs] for entrant in entrants}


def _simulated(entrants: Sequence[Entrant]) -> tuple[str, ...]:
    said = (run.simulated for entrant in entrants for run in entrant.runs)
    return tuple(dict.fromkeys(filter(None, said)))


def over_seeds(standing: Standing) -> str:
    """Mean ± standard deviation of a system's runs, in per cent; a dash for one run.

    >>> over_seeds(Standing("s1", (0.62, 0.60, 0.61), None, "", {}))
    '61.00 ± 1.00'
    """
    spread = standing.spread
    return "–" if spread is None else f"{100 * standing.score:.2f} ± {100 * spread:.2f}"


def _difference(duel: Duel) -> dict[str, Any]:
    found = asdict(duel.comparison)
    kept = ("difference", "p", "doubt")
    return {
        "first": duel.first,
        "second": duel.second,
        **{key: found[key] for key in kept},
        "interval": None if found["interval"] is None else list(found["interval"]),
        "p_holm": duel.adjusted,
        "distinguishable": duel.distinguishable,
        "needed": duel.needed(),
        "needed_with_power": duel.needed(POWER),
        "error_of_clips": duel.clips,
        "error_of_seeds": duel.seeds or None,
        "machines": _plain(duel.machines),
    }


def _plain(machines: Mapping[str, Mapping[str, Estimated]]) -> dict[str, Any]:
    return {
        machine: {name: asdict(reading) for name, reading in row.items()}
        for machine, row in machines.items()
    }


def _more(duel: Duel, found: float) -> str:
    """How many clips would show the difference that is seen: its error falls with their root."""
    difference = abs(duel.comparison.difference)
    times = (found / difference) ** 2 if difference else float("inf")
    if times > _MOST_TIMES:
        return f"to find one as small as this takes over {_MOST_TIMES} times the clips"
    return f"to find one of {100 * difference:.2f} as often takes {figure(times)} times the clips"


def _bounds(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.2f}–{100 * interval[1]:.2f}"


def _signed(reading: Estimated) -> str:
    return f"{'+' * (reading.value >= 0)}{reading}"


def _two_left(rows: Sequence[Sequence[str]]) -> str:
    """As `aligned`, the second column to the left too: both are names."""
    width = max(len(row[1]) for row in rows)
    return aligned([(row[0], row[1].ljust(width), *row[2:]) for row in rows])
