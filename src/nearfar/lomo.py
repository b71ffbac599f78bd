"""Settings chosen leave-one-machine-out: for each machine the one that is best on all others.

A setting chosen on the labels that it is judged by looks better than it is (peeked). Chosen on the
other machines it does not (honest): no label of a machine has a say in the setting it is judged
under. Scores of different machines are never compared, so the figures of each machine may come from
a system of its own, and the year's number over them is an ordinary evaluation.

The choice is random too, as the clips are. The honest interval therefore makes it again in every
bootstrap draw: on the other machines' resampled clips, judged on the left-out machine's clips of
the same draw (B. Efron, Estimation and accuracy after model selection, JASA 109, 2014).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.ablate import SEED, aligned, score_all
from nearfar.assess import described, open_test, rule_of, versions
from nearfar.claims import AnySystem, Variant
from nearfar.errors import DatasetError, SettingError
from nearfar.evaluation import RULES, Evaluation, Rule
from nearfar.grid import grid
from nearfar.metrics import Comparison, Drawn, draw_figures, evaluate, percentiles
from nearfar.presets import logmel
from nearfar.recipe import to_data
from nearfar.scorefiles import ScoredFile, ScoreTable
from nearfar.store import Runtime
from nearfar.truth import Truth, read_truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.audio import ChannelOrder
    from nearfar.clips import Clip, Clips
    from nearfar.metrics import RuleName
    from nearfar.scores import Scores

    Values = NDArray[np.float64]


# ---- the choice ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Choice:
    """What comes out when each machine's candidate is chosen on the other machines.

    Only `honest` and what is compared with it make the choice anew in every draw; the default, the
    peeked and every other candidate are fixed systems, as whoever quotes them has them.
    """

    evaluations: tuple[Evaluation, ...]  # of each candidate, the default first
    machines: Mapping[str, int]  # machine → the candidate chosen for it
    honest: Evaluation  # its interval has the choice's own variance in it
    fixed_interval: tuple[float, float]  # of the honest number, taking the choice as given
    peeked: int  # the candidate that is best on all machines and labels
    gain: Comparison  # honest minus default
    optimism: Comparison  # peeked minus honest
    shares: tuple[float, ...]  # of each candidate among the choices of all draws, 0–1
    floor: Evaluation | None = None
    above: Comparison | None = None  # honest minus floor


def leave_one_out(
    candidates: Sequence[Scores | ScoreTable],
    truth: Sequence[Clip] | Truth,
    *,
    floor: Scores | ScoreTable | None = None,
    rule: RuleName | None = None,
    draws: int = 2000,
    seed: int = SEED,
) -> Choice:
    """Choose a candidate for each machine on the other machines, and judge it there.

    The candidate whose number (Ω, or the rule's own) over the other machines is highest is chosen;
    of equals the first.

    Args:
        candidates: what each said about the same clips, the default first.
        truth: labels of the clips, of two machines at least.
        floor: what the floor said; it is compared with, never chosen.
        rule: the year's rule; None as in `evaluate`.
        draws: bootstrap draws, at least 1; the same clips as `evaluate` takes with this seed.
        seed: of the bootstrap.

    Raises:
        SettingError: no draws.
        DatasetError: one machine only, or as `evaluate`.
    """
    if draws < 1:
        raise SettingError(f"{draws} draws; a comparison needs at least 1")
    labels = truth if isinstance(truth, Truth) else Truth.from_clips(truth)
    everyone = [*candidates, *([] if floor is None else [floor])]
    measured = draw_figures(everyone, labels, draws=draws, seed=seed, rule=rule)
    _refuse_one(measured.machines)
    kind, count = measured.rule, len(candidates)
    drawn = kind.total(measured.drawn, axis=(2, 3))  # (systems, draws)
    evaluations = [
        _with_interval(evaluate(scores, labels, rule=rule, draws=0), own)
        for scores, own in zip(everyone, drawn, strict=True)
    ]
    choice, honest_drawn, fixed_drawn, shares = _choose(measured, count)
    composed = evaluate(compose(candidates, choice), labels, rule=rule, draws=0)
    honest = _with_interval(composed, honest_drawn)
    peeked = int(np.argmax([e.score for e in evaluations[:count]]))

    def minus(k: int) -> Comparison:
        scores = (honest.score, evaluations[k].score)
        return Comparison.of_draws(kind, scores, (honest_drawn, drawn[k]))

    return Choice(
        evaluations=tuple(evaluations[:count]),
        machines=choice,
        honest=honest,
        fixed_interval=percentiles(fixed_drawn),
        peeked=peeked,
        gain=minus(0),
        optimism=Comparison.of_draws(
            kind, (evaluations[peeked].score, honest.score), (drawn[peeked], honest_drawn)
        ),
        shares=shares,
        floor=None if floor is None else evaluations[-1],
        above=None if floor is None else minus(-1),
    )


def _choose(
    measured: Drawn, count: int
) -> tuple[dict[str, int], Values, Values, tuple[float, ...]]:
    """Among the first `count` systems: the choice for each machine; the year's number in each draw,
    (draws,), chosen again and with the choice as it is; each one's share of the draws' choices.
    """
    kind, machines = measured.rule, measured.machines
    chosen = best_elsewhere(measured.figures[:count, None], machines, kind)[0]  # (sections,)
    again = best_elsewhere(measured.drawn[:count], machines, kind)  # (draws, sections)
    both = (again, np.broadcast_to(chosen, again.shape))
    honest, fixed = (kind.total(_picked(measured.drawn, c), axis=(1, 2)) for c in both)
    first = [machines.index(machine) for machine in dict.fromkeys(machines)]  # one section of each
    choices = again[:, first].ravel()
    shares = np.bincount(choices, minlength=count) / choices.size
    choice = {machine: int(k) for machine, k in zip(machines, chosen, strict=True)}
    return choice, honest, fixed, tuple(shares.tolist())


def best_elsewhere(figures: Values, machines: Sequence[str], rule: Rule) -> NDArray[np.intp]:
    """For each draw and section the system that is best on the other machines; of equals the first.

    Args:
        figures: (systems, draws, sections, figures of the rule), 0–1.
        machines: of each section; a machine's sections are left out together.
        rule: whose total says what is best.

    Returns:
        (draws, sections) numbers of systems.
    """
    chosen = np.empty(figures.shape[1:3], dtype=np.intp)
    for machine in dict.fromkeys(machines):
        own = np.array([other == machine for other in machines])
        totals = rule.total(figures[:, :, ~own], axis=(2, 3))  # (systems, draws)
        chosen[:, own] = np.argmax(totals, axis=0)[:, None]
    return chosen


def compose(candidates: Sequence[Scores | ScoreTable], choice: Mapping[str, int]) -> ScoreTable:
    """One system's scores made of several: each machine's clips under the system chosen for it."""
    tables = [c if isinstance(c, ScoreTable) else ScoreTable.from_verdicts(c) for c in candidates]
    return ScoreTable(
        tuple(
            row for k, table in enumerate(tables) for row in table.rows if choice[row.machine] == k
        )
    )


def _picked(figures: Values, chosen: NDArray[np.intp]) -> Values:
    """The figures of the chosen systems, (draws, sections, figures)."""
    picked: Values = np.take_along_axis(figures, chosen[None, :, :, None], axis=0)[0]
    return picked


def _with_interval(evaluation: Evaluation, drawn: Values) -> Evaluation:
    interval = percentiles(drawn, evaluation.confidence)
    return replace(evaluation, interval=interval, draws=len(drawn))


def _refuse_one(machines: Sequence[str]) -> None:
    if len(set(machines)) < 2:
        raise DatasetError(
            f"only one machine, {machines[0]}, so there is no other to choose on; give the data of "
            "several machines, or evaluate without --lomo"
        )


# ---- the study -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Study:
    """Candidates, the choice among them, and how it was made."""

    candidates: tuple[Variant, ...]  # the system as given first
    choice: Choice
    settings: Mapping[str, Any]
    heading: tuple[str, ...] = ()  # above the table

    @property
    def text(self) -> str:
        """What a person reads: the honest table, then what it was chosen from."""
        blocks = [
            "\n".join([*self.heading, str(self.choice.honest)]), self._numbers(), self._choices(),
            self._candidates(), self._footnote(),
        ]  # fmt: skip
        return "\n\n".join(blocks)

    def _numbers(self) -> str:
        choice, names = self.choice, [v.name for v in self.candidates]
        peeked = choice.evaluations[choice.peeked]
        rows = [
            ["default: " + names[0], *_with_bounds(choice.evaluations[0])],
            ["honest: chosen on the other machines", *_with_bounds(choice.honest)],
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

    def _choices(self) -> str:
        rows = [
            f"{machine}: {self.candidates[k].name}" for machine, k in self.choice.machines.items()
        ]
        return "\n".join(["chosen for each machine on the others:", *rows])

    def _candidates(self) -> str:
        chosen = list(self.choice.machines.values())
        rows = [["candidate", *self._titles(), "machines", "in draws"]]
        for k, variant in enumerate(self.candidates):
            times = [str(chosen.count(k)), f"{100 * self.choice.shares[k]:.0f} %"]
            rows.append([variant.name, *_with_bounds(self.choice.evaluations[k]), *times])
        return aligned(rows)

    def _titles(self) -> list[str]:
        honest = self.choice.honest
        return [RULES[honest.rule].symbol, f"{100 * honest.confidence:g} %"]

    def _footnote(self) -> str:
        honest = self.choice.honest
        symbol = RULES[honest.rule].symbol
        return (
            f"machines, in draws: for how many machines a candidate was chosen, and its share of "
            f"all choices in {honest.draws} draws.\n"
            f"The {symbol} to quote is the honest one: no machine's labels took part in the choice "
            "for it, and its interval\nmakes the choice again in every draw. The peeked one was "
            "chosen on the labels that it is judged by."
        )

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; values 0–1. The figures outside "lomo" are the honest ones."""
        choice = self.choice
        chosen = {machine: self.candidates[k].name for machine, k in choice.machines.items()}
        floor = {}
        if choice.floor is not None and choice.above is not None:
            figures = choice.floor.to_dict()
            floor = {"floor": {"system": "logmel", **figures, "difference": asdict(choice.above)}}
        return {
            **choice.honest.to_dict(),
            "lomo": {
                "chosen": chosen,
                "interval_of_fixed_choice": list(choice.fixed_interval),
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
            "interval": list(evaluation.interval or ()),
            "chosen_for": [m for m, other in self.choice.machines.items() if other == k],
            "share_of_draws": self.choice.shares[k],
            "machines": dict(evaluation.table["total"].machines),
            "system": to_data(self.candidates[k].system),
        }


def study(
    data: Path,
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
) -> Study:
    """Fit and score all combinations of some settings, and choose leave-one-machine-out.

    Args:
        data: DCASE folder, or CSV with labels.
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

    Raises:
        SettingError: as `grid`.
        DatasetError: one machine only, no test clips, labels that are missing, do not fit or leave
            a figure undefined, or no training clips.
        AudioError: a clip that cannot be used.
    """
    candidates = grid(system, vary)
    test = open_test(data)
    _refuse_one(test.machines)
    labels = Truth.from_clips(test) if truth is None else read_truth(truth)
    rule = rule or rule_of(test)
    _check_labels(test, labels, rule)
    systems = [variant.system for variant in candidates]
    lowest = [logmel()] if floor and logmel() not in systems else []
    scores = score_all(
        data, test, [*systems, *lowest], runtime or Runtime(), order, any_frontend=any_frontend
    )
    choice = leave_one_out(
        scores[: len(systems)], labels, floor=scores[-1] if lowest else None,
        rule=rule, draws=draws,
    )  # fmt: skip
    settings, heading = described(data, name, system)
    return Study(candidates, choice, {**settings, "vary": list(vary)}, heading)


def _check_labels(test: Clips, labels: Truth, rule: RuleName | None) -> None:
    """Refuse labels that cannot judge these clips before hours of fitting, not after them."""
    rows = (ScoredFile(c.machine, c.section, c.file, 0.0, where=str(c.path)) for c in test)
    draw_figures([ScoreTable(tuple(rows))], labels, draws=0, rule=rule)


def _with_bounds(evaluation: Evaluation) -> list[str]:
    low, high = evaluation.interval or (float("nan"),) * 2
    return [f"{100 * evaluation.score:.2f}", f"{100 * low:.2f}–{100 * high:.2f}"]
