"""Settings chosen honestly: for each machine the one that is best on all others, or by balance.

A setting chosen on the labels that it is judged by looks better than it is (peeked). Chosen on the
other machines it does not (honest): no label of a machine has a say in the setting it is judged
under. Scores of different machines are never compared, so the figures of each machine may come from
a system of its own, and the year's number over them is an ordinary evaluation.

The choice is random too, as the clips are. The honest interval therefore makes it again in every
bootstrap draw: on the other machines' resampled clips, judged on the left-out machine's clips of
the same draw (B. Efron, Estimation and accuracy after model selection, JASA 109, 2014). By balance
(`nearfar.study.balance`) no label has a say at all; there the normal clips are drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfar.clips import Clips
from nearfar.metrics.evaluation import RULES, Evaluation
from nearfar.metrics.official import draw_figures
from nearfar.parts.data import to_data
from nearfar.runtime.runtime import Runtime
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import Truth
from nearfar.study.ablation import SEED
from nearfar.study.balance import Balance, Distance, balance, held_out
from nearfar.study.choice import (
    Choice,
    by_balance,
    leave_one_out,
    refuse_one,
)
from nearfar.study.claims import Variant
from nearfar.study.data import (
    SCHEMA,
    Given,
    Places,
    described,
    open_test,
    rule_of,
    test_if_any,
)
from nearfar.study.grid import grid
from nearfar.study.labels import key_of, labels_of, refuse_unknown
from nearfar.study.picked import Picked, shown, told
from nearfar.study.scored import judge_all, look_at_all
from nearfar.system.presets import logmel
from nearfar.system.system import AnySystem
from nearfar.text import aligned, named
from nearfar.version import versions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.metrics.official import RuleName
    from nearfar.sound.audio import ChannelOrder

    Values = NDArray[np.float64]


How = Literal["lomo", "balance", "balance-quantiles"]
_DISTANCE: Mapping[str, Distance] = {"balance": "ks", "balance-quantiles": "quantiles"}


# ---- the study -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Study:
    """Candidates, the choice among them, and how it was made.

    >>> from nearfar.scores.truth import LabelledFile
    >>> kinds = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> files = [(machine, kind) for machine in ("fan", "pump") for kind in kinds]
    >>> truth = Truth(tuple(LabelledFile(m, "00", f, *f.split()) for m, f in files))
    >>> wrong, right = (ScoreTable(tuple(ScoredFile(m, "00", f, s * len(f)) for m, f in files))
    ...                 for s in (-1.0, 1.0))  # anomalies have the longer names
    >>> choice = leave_one_out([wrong, right], truth, draws=10)
    >>> candidates = Variant("as given", logmel()), Variant("folds=5", logmel())
    >>> Study(candidates, choice, settings={}).as_dict()["lomo"]["chosen"]
    {'fan': 'folds=5', 'pump': 'folds=5'}
    """

    candidates: tuple[Variant, ...]  # the system as given first
    choice: Choice
    settings: Mapping[str, Any]
    heading: tuple[str, ...] = ()  # above the table
    balance: Balance | None = None  # by which was chosen; None: leave-one-machine-out

    @property
    def text(self) -> str:
        """What a person reads: the honest table, then what it was chosen from."""
        # The number to quote is the first to be read, what it was chosen from the last.
        blocks = [
            "\n".join([*self.heading, str(self.choice.honest)]), self._numbers(), self._choices(),
            self._candidates(), self._footnote(),
        ]  # fmt: skip
        return "\n\n".join(blocks)

    def _numbers(self) -> str:
        choice, names = self.choice, [v.name for v in self.candidates]
        peeked = choice.evaluations[choice.peeked]  # shown to be refused, not to be quoted
        rows = [
            ["default: " + names[0], *_with_bounds(choice.evaluations[0])],
            [f"honest: {self._how}", *_with_bounds(choice.honest)],
            ["peeked: " + names[choice.peeked], *_with_bounds(peeked)],
        ]
        lines = [
            aligned([["", *self._titles()], *rows]),
            f"honest − default: {choice.gain}",
            f"what peeking would have gained, peeked − honest: {choice.optimism}",
        ]
        if choice.floor is not None:
            lines.append(f"floor: logmel {choice.floor.headline}")
            lines.append(f"honest above the floor: {choice.above}")
        return "\n".join(lines)

    @property
    def _how(self) -> str:
        return "chosen on the other machines" if self.balance is None else "chosen by balance"

    def _choices(self) -> str:
        if self.balance is not None:
            return shown(self.balance, [v.name for v in self.candidates])
        rows = [
            f"{machine}: {self.candidates[k].name}" for machine, k in self.choice.machines.items()
        ]
        return "\n".join(["chosen for each machine on the others:", *rows])

    def _candidates(self) -> str:
        chosen = list(self.choice.machines.values())
        rows = [["candidate", *self._titles(), "machines", "in draws"]]
        for k, variant in enumerate(self.candidates):
            # A candidate chosen for all machines but in half of the draws was chosen by luck.
            times = [str(chosen.count(k)), f"{100 * self.choice.shares[k]:.0f} %"]
            rows.append([variant.name, *_with_bounds(self.choice.evaluations[k]), *times])
        return aligned(rows)

    def _titles(self) -> list[str]:
        honest = self.choice.honest
        return [RULES[honest.rule].symbol, f"{100 * honest.confidence:g} %"]

    def _footnote(self) -> str:
        honest = self.choice.honest
        symbol = RULES[honest.rule].symbol
        why = (
            "no machine's labels took part in the choice for it"
            if self.balance is None
            else "no label took part in the choice"
        )
        return (
            f"machines, in draws: for how many machines a candidate was chosen, and its share of "
            f"all choices in {honest.draws} draws.\n"
            f"The {symbol} to quote is the honest one: {why}, and its interval\nmakes the choice "
            "again in every draw. The peeked one was chosen on the labels that it is judged by."
        )

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; values 0–1. The figures outside the choice are the honest ones."""
        choice = self.choice
        # By balance also for machines that nobody can judge yet.
        taken = choice.machines if self.balance is None else self.balance.machines
        chosen = {machine: self.candidates[k].name for machine, k in taken.items()}
        floor = {}  # the key is missing without one, as in a plain evaluation
        if choice.floor is not None and choice.above is not None:
            figures = choice.floor.to_dict()
            floor = {"floor": {"system": "logmel", **figures, "difference": asdict(choice.above)}}
        return {
            "schema": SCHEMA,
            **choice.honest.to_dict(),
            "lomo" if self.balance is None else "balance": {
                "chosen": chosen,
                **(told(self.balance) if self.balance is not None else {}),
                # Narrower: it takes the choice as given, which the data made too.
                "interval_of_fixed_choice": choice.fixed_interval,
                "default": self._candidate(0),
                "peeked": self._candidate(choice.peeked),
                "honest_minus_default": asdict(choice.gain),
                "peeked_minus_honest": asdict(choice.optimism),
                "candidates": [self._candidate(k) for k in range(len(self.candidates))],
            },
            **floor,
            "settings": {**self.settings, "bootstrap_seed": SEED},
            "versions": versions(),
        }

    def _candidate(self, k: int) -> dict[str, Any]:
        evaluation = self.choice.evaluations[k]
        return {
            "name": self.candidates[k].name,
            "score": evaluation.score,
            "interval": evaluation.interval,
            "chosen_for": [m for m, other in self.choice.machines.items() if other == k],
            "share_of_draws": self.choice.shares[k],
            "machines": dict(evaluation.table["total"].machines),
            "system": to_data(self.candidates[k].system),
        }


def study(
    data: Places,
    system: AnySystem,
    vary: Sequence[str],
    runtime: Runtime | None = None,
    *,
    truth: Path | None = None,
    floor: bool = True,
    rule: RuleName | None = None,
    name: str = "system",
    order: ChannelOrder = "near-far",
    any_frontend: bool = False,
    draws: int = 2000,
    choose: How = "lomo",
) -> Study | Picked:
    """Fit and score all combinations of some settings, and choose for each machine.

    Args:
        data: DCASE folder, or CSV with labels; several of them, or a `Given`.
        system: as given; always among the candidates.
        vary: as in `grid`.
        runtime: how to compute; without a cache a temporary one serves all candidates.
        truth: ground truth for test clips whose names carry no label.
        floor: also fit `logmel` and say how far the honest number is above it.
        rule: the year's rule; None finds it in the data.
        name: what the system is called.
        order: which channel is near.
        any_frontend: take a trained encoder behind another front end than its own.
        draws: of the bootstrap, at least 1.
        choose: "lomo", on the other machines' labels; "balance" or "balance-quantiles", by no
            label, see `nearfar.study.balance`.

    Returns:
        What the choice is worth; by balance, of test clips without labels, the choice alone.

    Raises:
        SettingError: as `grid`.
        DatasetError: one machine only or labels that are missing (lomo), no test clips, labels that
            do not fit or leave a figure undefined, or no training clips.
        AudioError: a clip that cannot be used.
    """
    candidates = grid(system, vary)
    settings, heading = described(data, name, system)
    settings |= {"vary": list(vary)} if choose == "lomo" else {"vary": list(vary), "choose": choose}
    systems, runtime = [variant.system for variant in candidates], runtime or Runtime()
    # By balance normals alone choose: no test clips, or none with a label, is no hindrance.
    test = open_test(data) if choose == "lomo" or truth else test_if_any(data)
    labels = None if test is None else labels_of(test, truth)
    if test is None or labels is None or not (choose == "lomo" or labels.known):
        train = Given.of(data).open("train", test.machines if test else None)
        seen = look_at_all(train, systems, runtime, order, any_frontend=any_frontend, look=held_out)
        return Picked(candidates, balance(seen, distance=_DISTANCE[choose]), settings, heading)
    if choose == "lomo":
        refuse_one(test.machines)  # like the labels, before any fit
        refuse_unknown(labels, test)
    if labels.unknown:
        heading += (f"no labels of {named(labels.machines)}: chosen for, not judged",)
    rule = rule or rule_of(test)
    _check_labels(Clips(c for c in test if key_of(c) in labels.known), labels.truth, rule)
    # Heard and fitted with the candidates, but never chosen.
    lowest = [logmel()] if floor and logmel() not in systems else []
    judged = judge_all(
        data, test, [*systems, *lowest], runtime, order, any_frontend=any_frontend, look=held_out
    )
    scores = [labels.judged(one) for one, _ in judged]
    below = scores.pop() if lowest else None
    if choose == "lomo":
        choice = leave_one_out(scores, labels.truth, floor=below, rule=rule, draws=draws)
        return Study(candidates, choice, settings, heading)
    seen = [one for _, one in judged[: len(systems)]]
    picked = balance(seen, distance=_DISTANCE[choose], draws=draws, seed=SEED)
    choice = by_balance(scores, labels.truth, picked, floor=below, rule=rule, draws=draws)
    return Study(candidates, choice, settings, heading, picked)


def _check_labels(test: Clips, labels: Truth, rule: RuleName | None) -> None:
    """Refuse labels that cannot judge these clips before hours of fitting, not after them."""
    # With any scores, here 0: only what the clips can tell is asked.
    rows = (ScoredFile(c.machine, c.section, c.key, 0.0, where=str(c.path)) for c in test)
    draw_figures([ScoreTable(tuple(rows))], labels, draws=0, rule=rule)


def _with_bounds(evaluation: Evaluation) -> list[str]:
    return [f"{100 * evaluation.score:.2f}", evaluation.bounds]
