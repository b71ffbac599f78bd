"""AUC, pAUC and Ω exactly as the official evaluator counts them, and how sure they are.

`evaluate` is the front door; `compare` tells whether one system is better than another on the same
clips. Intervals are percentiles of a bootstrap over clips, stratified by machine, section, domain
and label; where there is none, or a too narrow one, `nearfar.metrics.coverage` says so. (The
evaluator's own "ci95" is too narrow by a factor of N − 1 and not reproduced.)

References: the DCASE Task 2 evaluators of 2021 and 2024; B. Efron and R. J. Tibshirani, An
Introduction to the Bootstrap, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfar.errors import DatasetError, SettingError, did_you_mean
from nearfar.metrics.coverage import Cells, interval_of
from nearfar.metrics.evaluation import (
    DOMAINS,
    EPSILON,
    FIGURES,
    RULES,
    Evaluation,
    Figure,
    SectionResult,
    YearRule,
    harmonic,
    summarise,
)
from nearfar.metrics.roc import clips_of, measure, resample
from nearfar.scores.join import LabelledSection, ScoreTable, join
from nearfar.scores.truth import Truth

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nearfar.clips import Clip
    from nearfar.scores.verdict import Scores

    Values = NDArray[np.float64]


RuleName = Literal["omega", "2021", "2020"]
Seed = int | np.random.Generator
MOST_BYTES = 2_000_000_000  # of all draws; 2,000 of thirty systems have ten million
DECIDED = ("precision", "recall", "f1")  # of scores that come with decisions


def omega(values: ArrayLike) -> float:
    """Ω: the harmonic mean of AUC(source), AUC(target) and pAUC of all machines and sections.

    Args:
        values: those numbers, any shape and order, 0–1 or per cent; each is taken as at least the
            float epsilon, as the evaluator does.

    Raises:
        DatasetError: no value, or one that is negative or not finite.

    >>> omega([0.5, 1.0, 1.0])
    0.75
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size or not np.all(numbers >= 0) or not np.all(np.isfinite(numbers)):
        raise DatasetError(f"Ω of {numbers.tolist()}: need finite numbers from 0 up")
    return float(harmonic(numbers))


def evaluate(
    scores: Scores | ScoreTable,
    truth: Sequence[Clip] | Truth | None = None,
    *,
    draws: int = 2000,
    seed: Seed = 0,
    confidence: float = 0.95,
    rule: RuleName | None = None,
) -> Evaluation:
    """Evaluate scores as the official evaluator does, with an interval.

    Args:
        scores: `Scores` of a detector, or a `ScoreTable` (`read_scores`).
        truth: labels of exactly the same clips: labelled clips, or a `Truth` (`read_truth`); None
            takes the labels of the scores' own clips. Joined by machine, section and file.
        draws: bootstrap draws for the interval; 0 is none.
        seed: of the bootstrap; a Generator is used and advanced.
        confidence: of the interval.
        rule: the year's number: "omega" (since 2022), "2021" or "2020"; None is "omega" where
            clips have domains and "2020" where they have none.

    Raises:
        DatasetError: scores and truth do not fit one to one, or a figure of the year's number is
            undefined because a machine and section has no clip of some class.
        SettingError: unknown rule, impossible draws or confidence.
    """
    sections = _sections(scores, truth)
    chosen = _rule(rule, sections)  # refuses an undefined figure before any is measured
    results: dict[str, dict[str, SectionResult]] = {}
    for section in sections:
        results.setdefault(section.machine, {})[section.section] = _result(section)
    summaries, overall, table = summarise(chosen, results)
    # (draws,); the number itself is of the clips as they are, not the mean of these.
    drawn = chosen.total(_bootstrap([sections], chosen, draws, seed)[0], axis=(1, 2))
    interval, doubt = interval_of(drawn, Cells.of(sections), confidence)
    return Evaluation(
        rule=chosen.name,
        score=_point(sections, chosen),
        interval=interval,
        confidence=confidence,
        draws=draws,
        machines=results,
        summaries=summaries,
        overall=overall,
        table=table,
        doubt=doubt,
    )


def bootstrap(
    scores: Scores | ScoreTable,
    truth: Sequence[Clip] | Truth | None = None,
    *,
    draws: int = 2000,
    seed: Seed = 0,
    rule: RuleName | None = None,
) -> Values:
    """The year's number on resampled clips.

    Each draw takes, in every machine, section, domain and label, as many clips as there are, with
    replacement.

    Args:
        scores: as in `evaluate`.
        truth: as in `evaluate`.
        draws: how many.
        seed: or a Generator, which is advanced.
        rule: as in `evaluate`.

    Returns:
        (draws,), 0–1.

    Raises:
        DatasetError, SettingError: as `evaluate`.
    """
    drawn = draw_figures([scores], truth, draws=draws, seed=seed, rule=rule)
    return drawn.rule.total(drawn.drawn[0], axis=(1, 2))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What systems reach in every section, on the clips as they are and on resampled ones.

    >>> from nearfar.scores.join import ScoredFile
    >>> from nearfar.scores.truth import LabelledFile
    >>> files = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()) for f in files))
    >>> table = ScoreTable(tuple(ScoredFile("fan", "00", f, len(f)) for f in files))
    >>> found = draw_figures([table, table], truth, draws=50)
    >>> found.machines, found.figures.shape, found.drawn.shape
    (('fan',), (2, 1, 3), (2, 50, 1, 3))
    """

    rule: YearRule
    machines: tuple[str, ...]  # of each section, in the order of the axis
    figures: Values  # (systems, sections, figures of the rule), 0–1
    drawn: Values  # (systems, draws, sections, figures of the rule), 0–1
    cells: Cells  # what was drawn from


def draw_figures(
    systems: Sequence[Scores | ScoreTable],
    truth: Sequence[Clip] | Truth | None = None,
    *,
    draws: int = 2000,
    seed: Seed = 0,
    rule: RuleName | None = None,
) -> Drawn:
    """The figures behind the year's number, for whoever makes another number of them.

    Args:
        systems: what each said about the same clips, at least one.
        truth: as in `evaluate`; None takes the labels of the first one's clips.
        draws: as in `bootstrap`; a draw takes the same clips for all systems, and the same as
            `evaluate` and `compare` take with this seed.
        seed: or a Generator, which is advanced.
        rule: as in `evaluate`.

    Raises:
        DatasetError, SettingError: as `evaluate`; also if systems judge different clips.
    """
    labels = _labels(systems[0], truth)  # one truth for all of them
    joined = [_sections(scores, labels) for scores in systems]
    chosen = _rule(rule, joined[0])
    return Drawn(
        chosen,
        tuple(section.machine for section in joined[0]),
        np.stack([_figures(sections, chosen) for sections in joined]),
        _bootstrap(joined, chosen, draws, seed),
        Cells.of(joined[0]),
    )


def _labels(scores: Scores | ScoreTable, truth: Sequence[Clip] | Truth | None) -> Truth:
    if isinstance(truth, Truth):
        return truth
    if truth is not None:
        return Truth.from_clips(truth)
    if isinstance(scores, ScoreTable):
        raise DatasetError("score files carry no labels; give the ground truth too")
    # A clip without a score has no place in the truth either: `from_verdicts` names it.
    return Truth.from_clips(verdict.clip for verdict in scores if verdict.judged)


def _sections(
    scores: Scores | ScoreTable, truth: Sequence[Clip] | Truth | None
) -> tuple[LabelledSection, ...]:
    if not isinstance(scores, ScoreTable | Sequence):
        raise SettingError(
            f"scores are wanted, not {type(scores).__name__}: evaluate(detector.score(clips))"
        )
    # Verdicts are made a table, so that clips and files are joined by one rule.
    table = scores if isinstance(scores, ScoreTable) else ScoreTable.from_verdicts(scores)
    return join(table.rows, _labels(scores, truth))


def _rule(name: RuleName | None, sections: Sequence[LabelledSection]) -> YearRule:
    """The rule asked for, or the one that fits the data; refuse sections it is undefined for."""
    if name is None:
        name = "2020" if sections[0].target is None else "omega"
    if name not in RULES:
        raise SettingError(f"rule {name!r}; {did_you_mean(str(name), RULES)}")
    # One section without a figure would leave the mean of all undefined.
    for section in sections:
        for figure in RULES[name].figures:
            if lack := _lack(section, FIGURES[figure]):
                raise DatasetError(
                    f"{section.name}: no {lack}, so {FIGURES[figure].title} is undefined; add such "
                    "clips, leave the section out of scores and truth, or take another rule "
                    f"({', '.join(RULES)})"
                )
    return RULES[name]


def _lack(section: LabelledSection, figure: Figure) -> str:
    """What the section lacks for this figure; empty if nothing."""
    for label, domain in (("normal", figure.normal), ("anomaly", figure.anomaly)):
        if not clips_of(section, label, domain).any():
            kind = "normal clip" if label == "normal" else "anomaly"
            return kind if domain == "all" else f"{kind} of the {domain} domain"
    return ""


def _result(section: LabelledSection) -> SectionResult:
    everyone = np.arange(len(section.files))[None, :]  # (1, clips): a draw that takes each once
    defined = [name for name in FIGURES if not _lack(section, FIGURES[name])]
    measured = measure(section, [FIGURES[name] for name in defined], everyone)[0]
    figures: dict[str, Any] = dict.fromkeys(FIGURES)
    figures |= dict(zip(defined, measured.tolist(), strict=True))
    # Counts of domains that are not there are left out, for 0 would say that none was recorded.
    domains = ("all",) if section.target is None else ("all", *DOMAINS)
    counts = {}
    for domain in ("all", *DOMAINS):
        suffix = "" if domain == "all" else f"_{domain}"
        values = _decided(section, domain)
        figures |= {name + suffix: v for name, v in zip(DECIDED, values, strict=True)}
        for label in ("normal", "anomaly") if domain in domains else ():
            counts[label + suffix] = int(clips_of(section, label, domain).sum())
    return SectionResult(counts=counts, **figures)


def _decided(
    section: LabelledSection, domain: str
) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of the decisions on one domain's clips."""
    normal, anomaly = (clips_of(section, label, domain) for label in ("normal", "anomaly"))
    if section.decisions is None or not normal.any() or not anomaly.any():
        return None, None, None
    hits = float(section.decisions[anomaly].sum())
    false_alarms = float(section.decisions[normal].sum())
    # The evaluator's guards: no alarm at all is a precision of 0, not 0/0.
    precision = hits / max(hits + false_alarms, EPSILON)
    recall = hits / anomaly.sum()
    return precision, float(recall), 2 * precision * recall / max(precision + recall, EPSILON)


def _point(sections: Sequence[LabelledSection], rule: YearRule) -> float:
    """The year's number on the clips as they are."""
    return float(rule.total(_figures(sections, rule)))


def _figures(sections: Sequence[LabelledSection], rule: YearRule) -> Values:
    """The rule's figures on the clips as they are, (sections, figures)."""
    everyone = [np.arange(len(section.files))[None, :] for section in sections]
    figures = [FIGURES[name] for name in rule.figures]
    values = [measure(s, figures, clips) for s, clips in zip(sections, everyone, strict=True)]
    return np.concatenate(values)


def _bootstrap(
    systems: Sequence[Sequence[LabelledSection]], rule: YearRule, draws: int, seed: Seed
) -> Values:
    """(systems, draws, sections, figures of the rule); a draw takes the same clips for all."""
    if draws < 0:
        raise SettingError(f"{draws} draws, need 0 or more")
    shape = (len(systems), draws, len(systems[0]), len(rule.figures))
    if 8 * math.prod(shape) > MOST_BYTES:
        raise SettingError(
            f"{draws:,} draws take {8e-9 * math.prod(shape):.0f} GB; 2,000 are usual"
        )
    rng = np.random.default_rng(seed)
    figures = [FIGURES[name] for name in rule.figures]
    values = np.empty(shape)
    # Drawn by section, not by system or figure: another system or rule has the same draws.
    for k, same_clips in enumerate(zip(*systems, strict=True)):
        # Once for all systems, so that their difference is paired.
        for block, clips in resample(same_clips[0], draws, rng):
            for system, section in enumerate(same_clips):
                values[system, block, k] = measure(section, figures, clips)
    return values
