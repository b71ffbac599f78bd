"""What Ω does when a part of a system is changed: variants side by side, on the same clips.

A clip is read once and embedded once for each chain, and a member that variants share is fitted
once. Each variant is compared with the reference by a paired bootstrap.

An ablation explains a system. Choosing settings by it would be tuning on test labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import SettingError
from nearfar.metrics.comparison import Comparison, compare
from nearfar.metrics.evaluation import RULES, Evaluation
from nearfar.metrics.official import evaluate
from nearfar.parts.data import to_data
from nearfar.runtime.runtime import Runtime
from nearfar.scores.truth import Truth, read_truth
from nearfar.study.claims import Variant
from nearfar.study.data import SCHEMA, Places, open_test, rule_of, simulated_label
from nearfar.study.scored import score_all
from nearfar.text import aligned
from nearfar.version import versions

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName
    from nearfar.sound.audio import ChannelOrder

SEED = 0  # of the bootstrap


@dataclass(frozen=True)
class Row:
    """One variant and what came out.

    >>> from nearfar.scores.join import ScoredFile, ScoreTable
    >>> from nearfar.scores.truth import LabelledFile
    >>> from nearfar.system.presets import s4
    >>> files = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()) for f in files))
    >>> scores = ScoreTable(tuple(ScoredFile("fan", "00", f, len(f)) for f in files))
    >>> row = Row(Variant("as it is", s4()), evaluate(scores, truth, draws=0), comparison=None)
    >>> row.machines
    {'fan': 1.0}
    """

    variant: Variant
    evaluation: Evaluation
    comparison: Comparison | None  # with its own reference; None for the first row

    @property
    def machines(self) -> Mapping[str, float]:
        """The year's number of each machine alone: for Ω the harmonic mean of its values, 0–1."""
        return self.evaluation.table["total"].machines


@dataclass(frozen=True)
class Ablation:
    """Variants of a system, the reference first; differences are variant minus reference.

    A variant may name another row that it is compared with.

    >>> from nearfar.scores.join import ScoredFile, ScoreTable
    >>> from nearfar.scores.truth import LabelledFile
    >>> from nearfar.system.presets import logmel, s4
    >>> files = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()) for f in files))
    >>> right, level = (ScoreTable(tuple(ScoredFile("fan", "00", f, s * len(f)) for f in files))
    ...                 for s in (1.0, 0.0))  # anomalies have the longer names
    >>> reference = Row(Variant("DIF", s4()), evaluate(right, truth, draws=9), None)
    >>> against = compare(level, right, truth, draws=9)
    >>> other = Row(Variant("mel", logmel()), evaluate(level, truth, draws=9), against)
    >>> found = Ablation((reference, other))
    >>> {machine: round(by, 2) for machine, by in found.differences(other).items()}
    {'fan': -0.5}
    >>> print(found.text.splitlines()[1].split()[0])
    DIF
    """

    rows: tuple[Row, ...]
    claim: str = ""
    sentence: str = ""
    simulated: str = ""  # what simulated data say of themselves

    @property
    def reference(self) -> Row:
        """What every other row is compared with that names none."""
        return self.rows[0]

    def reference_of(self, row: Row) -> Row:
        """What a row is compared with."""
        name = row.variant.against
        return next((r for r in self.rows if name and r.variant.name == name), self.reference)

    def differences(self, row: Row) -> dict[str, float]:
        """How far each machine's number lies above that of the row it is compared with, 0–1."""
        of = self.reference_of(row).machines  # the same, for all variants judge the same clips
        return {machine: value - of[machine] for machine, value in row.machines.items()}

    @property
    def text(self) -> str:
        """What a person reads."""
        about = f"{self.claim}: {self.sentence}" if self.claim else ""
        blocks = [self._totals(), self._by_machine(), self._footnote()]
        return "\n".join([*filter(None, (self.simulated, about)), "\n\n".join(blocks)])

    def _totals(self) -> str:
        symbol = RULES[self.reference.evaluation.rule].symbol
        interval = f"{100 * self.reference.evaluation.confidence:g} %"
        # Δ with an interval of its own: those of two numbers may overlap though one is better.
        several = any(row.variant.against for row in self.rows)  # then each says its own
        lines = [["variant", symbol, interval, f"Δ{symbol}", interval, "p", *["over"] * several]]
        for row in self.rows:
            own = [f"{100 * row.evaluation.score:.2f}", row.evaluation.bounds]
            over = self.reference_of(row).variant.name if row.comparison else "–"
            lines.append([row.variant.name, *own, *_compared(row.comparison), *[over] * several])
        return aligned(lines)

    def _by_machine(self) -> str:
        machines = list(self.reference.machines)
        rule = RULES[self.reference.evaluation.rule]
        lines = [[f"{'hmean' if rule.mean == 'harmonic' else 'mean'} and difference", *machines]]
        for row in self.rows:
            # The reference has no difference to show, rather than +0.00.
            moved = {} if row.comparison is None else self.differences(row)
            cells = [
                f"{100 * row.machines[m]:.2f}" + (f" {100 * moved[m]:+.2f}" if m in moved else "")
                for m in machines
            ]
            lines.append([row.variant.name, *cells])
        return aligned(lines)

    def _footnote(self) -> str:
        others = len(self.rows) - 1
        doubts = dict.fromkeys(row.evaluation.doubt for row in self.rows if row.evaluation.doubt)
        return (
            f"reference: {self.reference.variant.name}. Per cent, and points of difference.\n"
            + "".join(f"intervals: {doubt}.\n" for doubt in doubts)
            + f"Paired bootstrap over clips, {self.reference.evaluation.draws} draws; p of "
            f"{others} comparison{'s' * (others != 1)}, not corrected for their number.\n"
            "This explains a system; to choose settings by it would be tuning on test labels."
        )

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; values 0–1."""
        about = {"claim": self.claim, "sentence": self.sentence} if self.claim else {}
        data = {"data": self.simulated} if self.simulated else {}
        return {
            "schema": SCHEMA,
            **about,
            "rule": self.reference.evaluation.rule,
            "reference": self.reference.variant.name,
            "variants": [self._row(row) for row in self.rows],
            "settings": {**data, "bootstrap_seed": SEED},
            "versions": versions(),  # last digits may depend on them
        }

    def _row(self, row: Row) -> dict[str, Any]:
        moved = self.differences(row)
        against = row.comparison
        return {
            "name": row.variant.name,
            "score": row.evaluation.score,
            "interval": row.evaluation.interval,
            "compared_with": None if against is None else self.reference_of(row).variant.name,
            "difference": None if against is None else against.difference,
            "difference_interval": None if against is None else against.interval,
            "p": None if against is None else against.p,
            "machines": {
                machine: {"mean": value, "difference": moved[machine]}
                for machine, value in row.machines.items()
            },
            "evaluation": row.evaluation.to_dict(),
            "system": to_data(row.variant.system),  # all settings: a name says one
        }


def ablate(
    data: Places,
    variants: Sequence[Variant],
    runtime: Runtime | None = None,
    *,
    claim: str = "",
    sentence: str = "",
    truth: Path | None = None,
    rule: RuleName | None = None,
    order: ChannelOrder = "near-far",
    draws: int = 2000,
) -> Ablation:
    """Fit, score and evaluate variants of a system, and compare each with the first.

    Args:
        data: DCASE folder, or CSV with labels; several of them, or a `Given`.
        variants: the reference first. A member is the same fit in every variant that has it; where
            one variant needs two channels, the clips of all are told apart by both channels.
        runtime: how to compute; without a cache a temporary one serves all variants.
        claim: what the variants are about.
        sentence: what is claimed.
        truth: ground truth for test clips whose names carry no label.
        rule: the year's rule; None finds it in the data.
        order: which channel is near.
        draws: of the bootstrap, at least 1.

    Raises:
        SettingError: no variants, two of one name, or one that names no row.
        DatasetError: no test clips, no labels, or no training clips for a machine.
        AudioError: a clip that cannot be used.
    """
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names):  # a row is known by its name
        raise SettingError(f"variants {names!r}; give at least one, each with a name of its own")
    for variant in variants:
        if variant.against not in ("", *names):
            raise SettingError(f"no variant {variant.against!r} to compare {variant.name!r} with")
    test = open_test(data)
    # Before hours of fitting, not after them: labels that cannot be read.
    labels = Truth.from_clips(test) if truth is None else read_truth(truth)
    chosen = rule or rule_of(test)
    runtime = runtime or Runtime()
    scores = score_all(data, test, [v.system for v in variants], runtime, order)
    rows = []
    for n, (variant, own) in enumerate(zip(variants, scores, strict=True), start=1):
        found = evaluate(own, labels, rule=chosen, draws=draws, seed=SEED)
        against = None
        if n > 1:  # same seed, same draws: the comparison and both intervals are of one bootstrap
            other = scores[names.index(variant.against or names[0])]
            against = compare(own, other, labels, rule=chosen, draws=draws, seed=SEED)
        rows.append(Row(variant, found, against))
        if runtime.progress is not None:
            runtime.progress("variant", n, len(variants))
    return Ablation(tuple(rows), claim, sentence, simulated_label(data))


def _compared(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["–", "reference", "–"]
    difference = f"{100 * comparison.difference:+.2f}"
    if comparison.interval is None:
        return [difference, "–", "–"]
    low, high = comparison.interval
    return [
        difference,
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        f"{comparison.p:.3g}",
    ]
