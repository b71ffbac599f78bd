"""A comparison of results as people and programs read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.metrics.contest import POWER, Contest, Duel, Estimated, Standing, contest
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
        parts += ["\n".join(self._told(duel)) for duel in self.contest.duels]
        parts += ["\n".join(notes)] if (notes := self._notes()) else []
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
            for first, second, readings in self._rows():
                row: dict[str, Any] = {"machine": machine, "system": first, "minus": second}
                for name in figures:
                    row[name] = readings[machine][name].value
                    row[f"{name}_error"] = readings[machine][name].error
                rows.append(row)
        return as_csv(rows, columns)

    # ---- pieces ------------------------------------------------------------------------------

    def _order(self) -> tuple[str, ...]:
        return tuple(self.contest.standings[0].machines)

    def _rows(self) -> list[tuple[str, str, Any]]:
        """(system, the one it is held against or "", readings), of every block of the table."""
        rows: list[tuple[str, str, Any]] = [
            (s.name, "", s.machines) for s in self.contest.standings
        ]
        return rows + [(d.first, d.second, d.machines) for d in self.contest.duels]

    def _machines(self) -> str:
        """Each machine: every system, and the differences to one of them."""
        rule = self.contest.rule
        figures = (*rule.figures, "total")
        titles = [FIGURES[name].title for name in rule.figures]
        lines = [("machine", "system", *titles, "hmean" if rule.mean == "harmonic" else "mean")]
        # Of each with each the lines would outnumber the machines: those to one tell the rest.
        lone = [d for d in self.contest.duels if self._reference in (d.first, d.second)]
        for machine in self._order():
            name = shown(machine, _NAME)
            for standing in self.contest.standings:
                cells = (str(standing.machines[machine][f]) for f in figures)
                lines.append((name, self._name(standing.name, _NAME), *cells))
                name = ""  # said once a machine
            for duel in lone:
                pair = " − ".join(self._name(n, _NAME) for n in (duel.first, duel.second))
                cells = (_signed(duel.machines[machine][f]) for f in figures)
                lines.append(("", pair, *cells))
        note = "per cent ± standard error: of an AUC DeLong's, else the bootstrap's"
        return f"{_two_left(lines)}\n{note}"

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
        lines = [head + (("runs", "sd over seeds") if several else ())]
        doubts = []
        for s in found.standings:
            spread = "–" if s.spread is None else f"{100 * s.spread:.2f}"
            row = (self._name(s.name), f"{100 * s.score:.2f}", _bounds(s.interval))
            lines.append(row + ((str(len(s.runs)), spread) if several else ()))
            doubts += [f"{self._name(s.name)}: {s.doubt}"] if s.doubt else []
        rule = "" if found.rule.name == "omega" else f"\nrule of {found.rule.name}"
        return "\n".join([aligned(lines) + rule, *doubts])

    def _told(self, duel: Duel) -> list[str]:
        """A pair: the difference, and in words what it is worth."""
        names = f"{self._name(duel.first)} − {self._name(duel.second)}"
        lines = [f"{names}: {duel.comparison}"]
        if duel.adjusted is not None:
            pairs = counted(len(self.contest.duels), "comparison")
            lines.append(f"  p = {duel.adjusted:.3g} by Holm, among {pairs}")
        if duel.seeds:
            lines.append(
                f"  uncertain by {100 * duel.clips:.2f} points through the clips and "
                f"{100 * duel.seeds:.2f} through the seeds (standard errors), both in the interval"
            )
        return [*lines, f"  {self._words(duel)}"]

    def _words(self, duel: Duel) -> str:
        verdict = duel.distinguishable
        if verdict is None:
            return "nobody can tell whether they are distinguishable"
        if verdict:
            better = duel.first if duel.comparison.difference > 0 else duel.second
            return f"distinguishable: {self._name(better)} is better on clips like these"
        # The smallest p meets the hardest bar; what passes it passes in any company.
        pairs = len(self.contest.duels) if self.contest.holm else 1
        least, found = duel.needed(pairs), duel.needed(pairs, POWER)
        if not least or found is None:
            return "not distinguishable: they differ in no draw"
        text = (
            f"not distinguishable: on these clips a difference counts from {100 * least:.1f} "
            f"points on, and a true one of {100 * found:.1f} is found {100 * POWER:g} % of the time"
        )
        # More clips do not help against seeds.
        return f"{text}; {_more(duel, found)}" if not duel.seeds else text

    def _notes(self) -> list[str]:
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

    def _name(self, name: str, most: int = 60) -> str:
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
        "needed_with_power": duel.needed(power=POWER),
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
