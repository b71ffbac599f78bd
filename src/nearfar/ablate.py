"""What Ω does when a part of a system is changed: variants side by side, on the same clips.

All variants are fitted together, as the members of one large ensemble, and then judged one by one:
a clip is read once and embedded once for each chain, and a member that variants share is fitted
once. Each variant is compared with the reference by a paired bootstrap.

An ablation explains a system. Choosing settings by it would be tuning on test labels.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from nearfar.assess import open_test, rule_of, simulated_label, versions
from nearfar.claims import AnySystem, Variant
from nearfar.clips import Clips
from nearfar.errors import DatasetError, NearfarWarning, SettingError
from nearfar.evaluation import RULES, Evaluation
from nearfar.hear import hear, one_thread
from nearfar.metrics import Comparison, compare, evaluate
from nearfar.recipe import to_data
from nearfar.scores import Scores, Verdict
from nearfar.section import Judge
from nearfar.store import Runtime
from nearfar.system import Ensemble, fit
from nearfar.truth import Truth, read_truth

if TYPE_CHECKING:
    from nearfar.audio import ChannelOrder
    from nearfar.metrics import RuleName
    from nearfar.section import Section

SEED = 0  # of the bootstrap
# A measured number in a warning, as in 'lie 5.1 apart', not one in a file's name.
_MEASURED = re.compile(r"(?<= )\d+\.\d+(?=[ ,])")
_PLACE = re.compile(r"members\.\d+\.")  # among the members of all systems together


@dataclass(frozen=True)
class Row:
    """One variant and what came out."""

    variant: Variant
    evaluation: Evaluation
    comparison: Comparison | None  # with the reference; None for the reference itself

    @property
    def machines(self) -> Mapping[str, float]:
        """The year's number of each machine alone: for Ω the harmonic mean of its values, 0–1."""
        return self.evaluation.table["total"].machines


@dataclass(frozen=True)
class Ablation:
    """Variants of a system, the reference first; differences are variant minus reference."""

    rows: tuple[Row, ...]
    claim: str = ""
    sentence: str = ""
    simulated: str = ""  # what simulated data say of themselves

    @property
    def reference(self) -> Row:
        """What every other row is compared with."""
        return self.rows[0]

    def differences(self, row: Row) -> dict[str, float]:
        """How far each machine's number lies above the reference's, 0–1."""
        of = self.reference.machines
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
        lines = [["variant", symbol, interval, f"Δ{symbol}", interval, "p"]]
        for row in self.rows:
            low, high = row.evaluation.interval or (float("nan"),) * 2
            own = [f"{100 * row.evaluation.score:.2f}", f"{100 * low:.2f}–{100 * high:.2f}"]
            lines.append([row.variant.name, *own, *_compared(row.comparison)])
        return aligned(lines)

    def _by_machine(self) -> str:
        machines = list(self.reference.machines)
        rule = RULES[self.reference.evaluation.rule]
        lines = [[f"{'hmean' if rule.mean == 'harmonic' else 'mean'} and difference", *machines]]
        for row in self.rows:
            moved = {} if row.comparison is None else self.differences(row)
            cells = [
                f"{100 * row.machines[m]:.2f}" + (f" {100 * moved[m]:+.2f}" if m in moved else "")
                for m in machines
            ]
            lines.append([row.variant.name, *cells])
        return aligned(lines)

    def _footnote(self) -> str:
        others = len(self.rows) - 1
        return (
            f"reference: {self.reference.variant.name}. Per cent, and points of difference.\n"
            f"Paired bootstrap over clips, {self.reference.evaluation.draws} draws; p of "
            f"{others} comparison{'s' * (others != 1)}, not corrected for their number.\n"
            "This explains a system; to choose settings by it would be tuning on test labels."
        )

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; values 0–1."""
        about = {"claim": self.claim, "sentence": self.sentence} if self.claim else {}
        data = {"data": self.simulated} if self.simulated else {}
        return {
            **about,
            "rule": self.reference.evaluation.rule,
            "reference": self.reference.variant.name,
            "variants": [self._row(row) for row in self.rows],
            "settings": {**data, "bootstrap_seed": SEED},
            "versions": versions(),
        }

    def _row(self, row: Row) -> dict[str, Any]:
        moved = self.differences(row)
        against = row.comparison
        return {
            "name": row.variant.name,
            "score": row.evaluation.score,
            "interval": list(row.evaluation.interval or ()),
            "difference": None if against is None else against.difference,
            "difference_interval": None if against is None else list(against.interval),
            "p": None if against is None else against.p,
            "machines": {
                machine: {"mean": value, "difference": moved[machine]}
                for machine, value in row.machines.items()
            },
            "evaluation": row.evaluation.to_dict(),
            "system": to_data(row.variant.system),
        }


def ablate(
    data: Path,
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
        data: DCASE folder, or CSV with labels.
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
        SettingError: no variants, or two of one name.
        DatasetError: no test clips, no labels, or no training clips for a machine.
        AudioError: a clip that cannot be used.
    """
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names):
        raise SettingError(f"variants {names!r}; give at least one, each with a name of its own")
    test = open_test(data)
    labels = Truth.from_clips(test) if truth is None else read_truth(truth)
    chosen = rule or rule_of(test)
    runtime = runtime or Runtime()
    scores = score_all(data, test, [v.system for v in variants], runtime, order)
    rows = []
    for n, (variant, own) in enumerate(zip(variants, scores, strict=True), start=1):
        found = evaluate(own, labels, rule=chosen, draws=draws, seed=SEED)
        against = None
        if n > 1:
            against = compare(own, scores[0], labels, rule=chosen, draws=draws, seed=SEED)
        rows.append(Row(variant, found, against))
        if runtime.progress is not None:
            runtime.progress("variant", n, len(variants))
    return Ablation(tuple(rows), claim, sentence, simulated_label(data))


def score_all(
    data: Path,
    test: Clips,
    systems: Sequence[AnySystem],
    runtime: Runtime,
    order: ChannelOrder = "near-far",
    *,
    any_frontend: bool = False,
) -> list[Scores]:
    """What each system, fitted on the train split, says about the test clips.

    A clip is read once and embedded once for each chain, a member that systems share is fitted
    once, and a warning that many give is given once. Banks of all systems are held together.

    Args:
        data: DCASE folder or CSV, for its train split.
        test: the clips to score.
        systems: at least one.
        runtime: how to compute; without a cache a temporary one serves all systems.
        order: which channel is near.
        any_frontend: take a trained encoder behind another front end than its own.

    Returns:
        For each system the scores of the test clips, in their order.

    Raises:
        DatasetError: no training clips for a machine.
        AudioError: a clip that cannot be used.
        SettingError: a trained encoder behind another front end than its own.
    """
    plain = all(len(system.members) == 1 for system in systems)
    with _with_cache(runtime) as cached, _said_once(plain):
        return _scored(data, test, systems, cached, order, any_frontend)


def _scored(
    data: Path,
    test: Clips,
    systems: Sequence[AnySystem],
    runtime: Runtime,
    order: ChannelOrder,
    any_frontend: bool,
) -> list[Scores]:
    members = tuple(dict.fromkeys(m for system in systems for m in system.members))
    train = Clips.open(data, split="train", machines=test.machines)
    together = fit(Ensemble(members), train, runtime, order=order, any_frontend=any_frontend)
    sections = dict(together.sections)
    chains = tuple(dict.fromkeys(member.chain for member in members))
    heard, _ = hear(test, chains, runtime, order=order, digest=False)
    groups: dict[tuple[str, str], list[int]] = {}
    for i, clip in enumerate(test):
        groups.setdefault((clip.machine, clip.section), []).append(i)
    verdicts: list[dict[int, Verdict]] = [{} for _ in systems]
    for key, places in groups.items():
        if key not in sections:
            raise DatasetError(f"{key[0]} section {key[1]}: test clips but no training clips")
        section = sections.pop(key)  # its banks are let go when it has been judged
        group = [(test[i], what) for i in places if (what := heard[i]) is not None]
        for system, found in zip(systems, verdicts, strict=True):
            part = _part(section, [members.index(member) for member in system.members])
            with one_thread():
                judged = Judge(system, chains, part, system.false_alarm_rate)(group)
            found.update(zip(places, judged, strict=True))
    return [Scores(found[i] for i in range(len(test))) for found in verdicts]


def _part(section: Section, places: Sequence[int]) -> Section:
    """The section as an ensemble of some of its members would have it."""
    return replace(section, members=tuple(section.members[place] for place in places))


@contextmanager
def _with_cache(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime; with a cache for as long as it is needed if it has none."""
    if runtime.cache is not None:
        yield runtime
        return
    with TemporaryDirectory(prefix="nearfar-", ignore_cleanup_errors=True) as folder:
        yield replace(runtime, cache=Path(folder))


@contextmanager
def _said_once(plain: bool) -> Iterator[None]:
    """Warnings that many variants give, with numbers of their own, are given once.

    They are fitted as one ensemble, so a hint may name a place in it; `plain` systems have none.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", category=NearfarWarning)
        yield
    said = set()
    for warning in caught:
        text = str(warning.message)
        what = _MEASURED.sub("#", _PLACE.sub("", text))
        if what not in said:
            said.add(what)
            there = plain and _PLACE.search(text)
            message = NearfarWarning(_PLACE.sub("", text)) if there else warning.message
            warnings.warn(message, stacklevel=2)


def _compared(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return ["–", "reference", "–"]
    low, high = comparison.interval
    return [
        f"{100 * comparison.difference:+.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        f"{comparison.p:.3g}",
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, columns below one another, the first to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
