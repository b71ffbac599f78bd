"""Which of some settings is chosen for a machine, and what is that worth on its test clips?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError, SettingError
from nearfar.metrics.comparison import Comparison
from nearfar.metrics.coverage import Cells, interval_of
from nearfar.metrics.evaluation import Evaluation, YearRule
from nearfar.metrics.official import Drawn, draw_figures, evaluate
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth
from nearfar.study.ablation import SEED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.clips import Clip
    from nearfar.metrics.official import RuleName
    from nearfar.scores.verdict import Scores
    from nearfar.study.balance import Balance

    Values = NDArray[np.float64]
    Places = NDArray[np.intp]
    # Figures of the first so many systems → the one chosen for each section, (sections,), and in
    # each draw, (draws, sections).
    Pick = Callable[[Drawn, int], tuple[Places, Places]]


# ---- the choice ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Choice:
    """What comes out when each machine's candidate is chosen without that machine's labels.

    Only `honest` and what is compared with it make the choice anew in every draw; the default, the
    peeked and every other candidate are fixed systems, as whoever quotes them has them.

    >>> from nearfar.scores.join import ScoredFile
    >>> from nearfar.scores.truth import LabelledFile
    >>> kinds = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> files = [(machine, kind) for machine in ("fan", "pump") for kind in kinds]
    >>> truth = Truth(tuple(LabelledFile(m, "00", f, *f.split()) for m, f in files))
    >>> wrong, right = (ScoreTable(tuple(ScoredFile(m, "00", f, s * len(f)) for m, f in files))
    ...                 for s in (-1.0, 1.0))  # anomalies have the longer names
    >>> choice = leave_one_out([wrong, right], truth, draws=10)
    >>> choice.machines, choice.honest.score, choice.shares
    ({'fan': 1, 'pump': 1}, 1.0, (0.0, 1.0))
    """

    evaluations: tuple[Evaluation, ...]  # of each candidate, the default first
    machines: Mapping[str, int]  # machine → the candidate chosen for it
    honest: Evaluation  # its interval has the choice's own variance in it
    fixed_interval: tuple[float, float] | None  # of the honest number, taking the choice as given
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

    def pick(measured: Drawn, count: int) -> tuple[Places, Places]:
        refuse_one(measured.machines)  # for callers with scores alone; a study asks before it fits
        machines, kind = measured.machines, measured.rule
        chosen = best_elsewhere(measured.figures[:count, None], machines, kind)[0]
        return chosen, best_elsewhere(measured.drawn[:count], machines, kind)

    return _weighed(candidates, truth, pick, floor, rule, draws, seed)


def by_balance(
    candidates: Sequence[Scores | ScoreTable],
    truth: Sequence[Clip] | Truth,
    balance: Balance,
    *,
    floor: Scores | ScoreTable | None = None,
    rule: RuleName | None = None,
    draws: int = 2000,
    seed: int = SEED,
) -> Choice:
    """Judge the candidates that were taken without any label.

    Args:
        candidates: what each said about the same clips, the default first.
        truth: labels of the clips; they judge and have no say in the choice.
        balance: the choice, made again in as many draws.
        floor, rule, draws, seed: as in `leave_one_out`.

    Raises:
        SettingError: no draws.
        DatasetError: as `evaluate`.
    """

    def pick(measured: Drawn, count: int) -> tuple[Places, Places]:
        chosen = np.array([balance.machines[m] for m in measured.machines], dtype=np.intp)
        return chosen, np.stack([balance.drawn[m] for m in measured.machines], axis=1)

    return _weighed(candidates, truth, pick, floor, rule, draws, seed)


def _weighed(
    candidates: Sequence[Scores | ScoreTable],
    truth: Sequence[Clip] | Truth,
    pick: Pick,
    floor: Scores | ScoreTable | None,
    rule: RuleName | None,
    draws: int,
    seed: int,
) -> Choice:
    """The candidates, and the system that is made of those picked, on the same draws."""
    if draws < 1:
        raise SettingError(f"{draws} draws; a comparison needs at least 1")
    labels = truth if isinstance(truth, Truth) else Truth.from_clips(truth)
    everyone = [*candidates, *([] if floor is None else [floor])]
    measured = draw_figures(everyone, labels, draws=draws, seed=seed, rule=rule)
    kind, count = measured.rule, len(candidates)
    drawn = kind.total(measured.drawn, axis=(2, 3))  # (systems, draws)
    evaluations = [
        _with_interval(evaluate(scores, labels, rule=rule, draws=0), own, measured.cells)
        for scores, own in zip(everyone, drawn, strict=True)
    ]
    # The composed scores are an ordinary system's, for machines are never compared by score.
    choice, honest_drawn, fixed_drawn, shares = _choose(measured, count, pick)
    composed = evaluate(compose(candidates, choice), labels, rule=rule, draws=0)
    honest = _with_interval(composed, honest_drawn, measured.cells)
    peeked = int(np.argmax([e.score for e in evaluations[:count]]))

    def minus(k: int) -> Comparison:
        scores = (honest.score, evaluations[k].score)
        return Comparison.of_draws(kind, scores, (honest_drawn, drawn[k]), measured.cells)

    return Choice(
        evaluations=tuple(evaluations[:count]),
        machines=choice,
        honest=honest,
        fixed_interval=interval_of(fixed_drawn, measured.cells)[0],
        peeked=peeked,
        gain=minus(0),
        optimism=Comparison.of_draws(
            kind,
            (evaluations[peeked].score, honest.score),
            (drawn[peeked], honest_drawn),
            measured.cells,
        ),
        shares=shares,
        floor=None if floor is None else evaluations[-1],
        above=None if floor is None else minus(-1),
    )


def _choose(
    measured: Drawn, count: int, pick: Pick
) -> tuple[dict[str, int], Values, Values, tuple[float, ...]]:
    """Among the first `count` systems: the choice for each machine; the year's number in each draw,
    (draws,), chosen again and with the choice as it is; each one's share of the draws' choices.
    """
    kind, machines = measured.rule, measured.machines
    chosen, again = pick(measured, count)  # (sections,) and (draws, sections)
    both = (again, np.broadcast_to(chosen, again.shape))
    honest, fixed = (kind.total(_picked(measured.drawn, c), axis=(1, 2)) for c in both)
    first = [machines.index(machine) for machine in dict.fromkeys(machines)]  # one section of each
    choices = again[:, first].ravel()
    shares = np.bincount(choices, minlength=count) / choices.size
    choice = {machine: int(k) for machine, k in zip(machines, chosen, strict=True)}
    return choice, honest, fixed, tuple(shares.tolist())


def best_elsewhere(figures: Values, machines: Sequence[str], rule: YearRule) -> NDArray[np.intp]:
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


def _with_interval(evaluation: Evaluation, drawn: Values, cells: Cells) -> Evaluation:
    interval, doubt = interval_of(drawn, cells, evaluation.confidence)
    return replace(evaluation, interval=interval, draws=len(drawn), doubt=doubt)


def refuse_one(machines: Sequence[str]) -> None:
    """Refuse a data set of one machine: nothing can be chosen on the others.

    Raises:
        DatasetError: only one machine.
    """
    if len(set(machines)) < 2:
        raise DatasetError(
            f"only one machine, {machines[0]}, so there is no other to choose on; give the data of "
            "several machines, or evaluate one system, without a choice"
        )
