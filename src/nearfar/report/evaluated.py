"""Scores held against labels, machine by machine, each with its interval; or why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError
from nearfar.metrics.coverage import Cells, interval_of
from nearfar.metrics.evaluation import FIGURES, RULES, Evaluation, SectionResult
from nearfar.metrics.official import draw_figures, evaluate
from nearfar.scores.truth import LabelledFile, Truth, section_name, stem
from nearfar.scores.verdict import Scores
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.metrics.official import Drawn, RuleName
    from nearfar.scores.verdict import Verdict

Place = tuple[str, str, str]  # machine, section, clip


@dataclass(frozen=True)
class MachineFigures:
    """One machine's figures, 0–1.

    >>> MachineFigures("fan", {"AUC": 0.9}, 0.9, None, "one draw").doubt
    'one draw'
    """

    machine: str
    figures: Mapping[str, float]  # title → mean over its sections
    total: float  # the year's number of this machine alone
    interval: tuple[float, float] | None
    doubt: str = ""  # why there is none, or why it is too narrow


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An evaluation with what its tables need.

    >>> Evaluated(None, why="no labels").labelled
    False
    """

    evaluation: Evaluation | None
    labels: Truth | None = None  # of the clips that were judged
    machines: tuple[MachineFigures, ...] = ()
    why: str = ""  # there is no evaluation; "" if there is
    bare: tuple[str, ...] = ()  # machines without labels, where others have them

    @property
    def labelled(self) -> bool:
        """Is there an evaluation?"""
        return self.evaluation is not None

    def of(self, machine: str) -> MachineFigures | None:
        """The figures of a machine, if it has any."""
        return next((m for m in self.machines if m.machine == machine), None)


def assess(scores: Scores, truth: Truth | None = None, rule: RuleName | None = None) -> Evaluated:
    """Hold scores against labels, as `nearfar evaluate` does: same figures, same draws.

    Args:
        scores: of a run; those not judged have no part in it.
        truth: labels, for clips whose names tell none.
        rule: the year's; None finds it in the data.

    Returns:
        Without an evaluation, and with the reason, where labels are missing or a figure is not
        defined: recordings of a plant have no labels, and that is no error.

    Raises:
        FormatError, DatasetError: a truth that was given and does not fit the clips.
    """
    judged = scores.judged
    if truth is not None:
        return _evaluated(judged, _heard_of(truth, scores), rule)
    # A development and an evaluation set side by side: machines of the one have labels.
    bare = {v.clip.machine for v in judged} - {v.clip.machine for v in judged if v.clip.label}
    known = Scores(v for v in judged if v.clip.machine not in bare)
    if not len(known):
        return Evaluated(None, why="the clips have no labels")
    if unlabelled := sum(v.clip.label is None for v in known):
        of = f"{unlabelled:,} of {counted(len(known), 'clip')} have no label"
        return Evaluated(None, why=f"{of}; give the ground truth of all with --truth FILE")
    labels = Truth.from_clips(v.clip for v in known)
    try:
        return replace(_evaluated(known, labels, rule), bare=tuple(sorted(bare)))
    except DatasetError as error:
        return Evaluated(None, labels, why=str(error))


def _evaluated(judged: Scores, labels: Truth, rule: RuleName | None) -> Evaluated:
    plain = evaluate(judged, labels, rule=rule, draws=0)
    drawn = draw_figures([judged], labels, rule=rule)
    # The draws that `evaluate` would make, made once for the whole and for each machine: they are
    # what takes the time.
    totals = drawn.rule.total(drawn.drawn[0], axis=(1, 2))
    interval, doubt = interval_of(totals, drawn.cells, plain.confidence)
    evaluation = replace(plain, interval=interval, doubt=doubt, draws=len(totals))
    machines = tuple(_machine(name, evaluation, drawn) for name in evaluation.machines)
    return Evaluated(evaluation, labels, machines)


def _machine(name: str, evaluation: Evaluation, drawn: Drawn) -> MachineFigures:
    rule = RULES[evaluation.rule]
    mine = np.array([machine == name for machine in drawn.machines])
    # Draws of the whole, this machine's part of them: intervals of a row and of all agree.
    totals = rule.total(drawn.drawn[0][:, mine], axis=(1, 2))  # (draws,)
    sections = evaluation.machines[name]
    interval, doubt = interval_of(totals, cells_of(list(sections.values())), evaluation.confidence)
    figures = {FIGURES[f].title: evaluation.table[f].machines[name] for f in rule.figures}
    return MachineFigures(name, figures, evaluation.table["total"].machines[name], interval, doubt)


def cells_of(sections: Sequence[SectionResult]) -> Cells:
    """What a machine's draws are from, as `Cells.of` counts it."""
    counts = [
        count
        for section in sections
        for kind, count in section.counts.items()
        # Where there are domains a cell is a domain's.
        if "_" in kind or "normal_source" not in section.counts
    ]
    return Cells(len(sections), min((count for count in counts if count), default=0))


def _heard_of(truth: Truth, scores: Scores) -> Truth:
    """The labels without those of clips that were not judged, which a warning has named."""
    silent = {place_of(v) for v in scores if not v.judged}
    return Truth(
        tuple(r for r in truth.rows if not silent & {_place(r, r.file), _place(r, r.alias)})
    )


def by_clip(truth: Truth | None) -> dict[Place, LabelledFile]:
    """Labels by the clip they are of, under both its names; see `place_of`."""
    rows = truth.rows if truth else ()
    return {_place(row, name): row for row in rows for name in (row.alias, row.file) if name}


def place_of(verdict: Verdict) -> Place:
    """What a verdict's label is found by, as scores and labels are joined everywhere."""
    clip = verdict.clip
    return clip.machine, section_name(clip.section), stem(clip.key)


def _place(row: LabelledFile, name: str) -> Place:
    return row.machine, section_name(row.section), stem(name)
