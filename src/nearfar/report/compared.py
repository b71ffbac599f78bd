"""Another result on the same data, held beside this one: paired where clip by clip is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.errors import DatasetError, FormatError
from nearfar.metrics.comparison import Comparison
from nearfar.metrics.coverage import Cells
from nearfar.metrics.official import draw_figures, evaluate
from nearfar.report.evaluated import Evaluated, cells_of, place_of
from nearfar.scores.join import ScoreTable
from nearfar.scores.saved import as_ours, read_json, table_of
from nearfar.scores.scaling import TRANSDUCTIVE, scaled_within
from nearfar.scores.truth import place, stem
from nearfar.scores.verdict import Scores
from nearfar.text import counted


@dataclass(frozen=True)
class Other:
    """What a file says of another system's result, as it stands there.

    >>> Other("other.json").scores is None
    True
    """

    name: str  # what it calls itself
    rule: str = ""
    score: float = float("nan")  # the year's number, 0–1
    interval: tuple[float, float] | None = None
    machines: Mapping[str, float] = field(default_factory=dict)  # each alone, 0–1
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # "fan 00" → clips
    scores: ScoreTable | None = None  # clip by clip, where the file has them

    def agreement(self, ours: Scores) -> AlarmsOfBoth | None:
        """How often both call the same clips anomalous; None where its file tells no verdicts."""
        rows = self.scores.rows if self.scores else ()
        theirs = {
            (r.machine, r.section, stem(r.file)): r.decision for r in rows if r.decision is not None
        }
        both = [(v.anomalous, theirs[place_of(v)]) for v in ours.judged if place_of(v) in theirs]
        if not both:
            return None
        here, there = (sum(flags) for flags in zip(*both, strict=True))
        return AlarmsOfBoth(len(both), here, there, sum(a and b for a, b in both))


@dataclass(frozen=True)
class AlarmsOfBoth:
    """Alarms of two detectors on the same clips; it needs no labels.

    >>> str(AlarmsOfBoth(clips=40, here=3, there=5, both=2))
    'of 40 clips that both judged 3 are anomalous here, 5 there, 2 to both'
    """

    clips: int
    here: int
    there: int
    both: int

    def __str__(self) -> str:
        return (
            f"of {counted(self.clips, 'clip')} that both judged {self.here:,} are anomalous here, "
            f"{self.there:,} there, {self.both:,} to both"
        )


@dataclass(frozen=True)
class Compared:
    """Both results; differences are this one minus the other, 0–1.

    >>> Compared(Other("a"), 0.01, {"fan": 0.02}).paired is None
    True
    """

    other: Other
    difference: float
    machines: Mapping[str, float]  # those that both have
    paired: Comparison | None = None
    paired_machines: Mapping[str, Comparison] = field(default_factory=dict)
    why: str = ""  # nothing is paired; "" if it is


def read_other(path: Path) -> Other:
    """Read what `nearfar evaluate --json` or `nearfar score --json` wrote.

    Raises:
        FormatError: missing, or neither of them.
    """
    data = read_json(path)
    with as_ours(path, "make it with one of these"):
        if isinstance(data.get("table"), dict):
            return _of_evaluation(path, data)
        if isinstance(data["scores"], list):
            return Other(path.stem, scores=table_of(data["scores"], path))
        raise LookupError("scores")


def hold_beside(other: Other, ours: Scores, evaluated: Evaluated) -> Compared:
    """Compare two results on the same data.

    Args:
        other: the other's.
        ours: this detector's scores.
        evaluated: them, held against the labels.

    Raises:
        DatasetError: there is no evaluation, or the two share no machine or no rule.
    """
    evaluation, labels = evaluated.evaluation, evaluated.labels
    if evaluation is None or labels is None:
        raise DatasetError(f"nothing to compare with {other.name}: {evaluated.why}")
    theirs, why = other, "its file has figures, but no scores of clips"
    if other.scores is not None:
        try:
            return _paired(other, _labelled(ours, evaluated), evaluated)
        except DatasetError as error:
            if not theirs.machines:  # scores alone: there are no figures to fall back on
                raise DatasetError(f"{other.name}: {error}") from None
            why = str(error)
    if theirs.rule != evaluation.rule:
        raise DatasetError(
            f"{other.name}: its number is by the rule {other.rule or 'none'}, this one by "
            f"{evaluation.rule}; have both judged by one rule"
        )
    both = {
        m.machine: m.total - theirs.machines[m.machine]
        for m in evaluated.machines
        if m.machine in theirs.machines
    }
    if not both:
        raise DatasetError(f"{other.name}: it has none of these machines; compare the same data")
    return Compared(
        theirs, evaluation.score - theirs.score, both, why=_unlike(other, evaluated) or why
    )


def _paired(other: Other, ours: Scores, evaluated: Evaluated) -> Compared:
    evaluation, labels = evaluated.evaluation, evaluated.labels
    rule: Any = evaluation.rule if evaluation else None
    table = ScoreTable.from_verdicts(ours.judged)
    there = other.scores or ScoreTable(())
    both = draw_figures([table, there], labels, rule=rule)  # refuses other clips
    theirs = evaluate(there, labels, rule=rule)

    def one(mine: Any, cells: Cells) -> Comparison:
        totals = [float(both.rule.total(figures[mine])) for figures in both.figures]
        drawn = both.rule.total(both.drawn[:, :, mine], axis=(2, 3))  # (2, draws)
        return Comparison.of_draws(both.rule, (totals[0], totals[1]), (drawn[0], drawn[1]), cells)

    machines = {
        name: one(np.array([m == name for m in both.machines]), cells_of(list(sections.values())))
        for name, sections in theirs.machines.items()
    }
    whole = one(slice(None), both.cells)
    return Compared(
        Other(other.name, theirs.rule, theirs.score, theirs.interval,
              dict(theirs.table["total"].machines), scores=there),
        whole.difference, {name: c.difference for name, c in machines.items()}, whole, machines,
    )  # fmt: skip


def _labelled(scores: Scores, evaluated: Evaluated) -> Scores:
    return Scores(v for v in scores if v.clip.machine not in evaluated.bare)


def _unlike(other: Other, evaluated: Evaluated) -> str:
    """Why the two results are not of the same clips, as far as counts tell."""
    evaluation = evaluated.evaluation
    machines = evaluation.machines if evaluation else {}
    for name, sections in machines.items():
        for section, result in sections.items():
            there = other.counts.get(f"{name} {section}")
            if there is None:
                return f"it has not judged {name}, section {section}"
            if dict(there) != dict(result.counts):
                return f"it has judged other clips: counts of {name}, section {section}, differ"
    return "" if len(other.counts) <= sum(map(len, machines.values())) else "it has more machines"


def _of_evaluation(path: Path, data: Mapping[str, Any]) -> Other:
    low_high = data["interval"]
    figures = [data["score"], *(low_high or ()), *data["table"]["total"]["machines"].values()]
    if not all(0 <= float(figure) <= 1 for figure in figures):
        raise ValueError("shares of 1")
    settings = data.get("settings") or {}
    name = settings.get("name") or settings.get("scores") or path.stem
    scores = data.get("scores")
    table = table_of(scores, path) if scores else None
    if data.get(TRANSDUCTIVE):
        name = f"{name} ({TRANSDUCTIVE})"  # the word goes wherever the number goes
    elif table is not None and (found := scaled_within(table)):
        raise FormatError(
            f"{place(path)}: has {found}, so each score was made with the other test clips; "
            "make it with nearfar evaluate --scores … --transductive: the word then stands beside "
            "its number"
        )
    return Other(
        str(name), str(data["rule"]), float(data["score"]),
        None if low_high is None else (float(low_high[0]), float(low_high[1])),
        {str(m): float(v) for m, v in data["table"]["total"]["machines"].items()},
        {
            f"{machine} {section}": {str(k): int(n) for k, n in result["counts"].items()}
            for machine, sections in data["machines"].items()
            for section, result in sections.items()
        },
        table,
    )  # fmt: skip
