"""Which clips that were learnt are held out together, and with which of the fit's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.traces import Traces
from nearfar.scoring.bank import Index, Rows

NONE = -1  # the fold of a clip that has nothing to do with any of the fit's


@dataclass(frozen=True, eq=False)
class Together:
    """How m clips that were learnt are held out.

    >>> Together(np.array([2, -1]), [np.array([1])]).alone[0].tolist()
    [1]
    """

    fold: Index  # (m,) the fold of the fit that each is held out with; `NONE`
    alone: list[Index]  # the others, a group for each that is held out together


def held_with(
    folds: Index, count: int, traces: Traces | None, learnt: Traces, keep: NDArray[np.bool_],
    rows: Rows,
) -> Together:  # fmt: skip
    """Hold clips of one recording or day out together, and those of one near channel.

    A recording of more than half of all clips is cut into consecutive parts, as a fit does it. Of
    one that the fit has cut, a part goes with the fold of the clip that it sounds most like.

    Args:
        folds: (n,) of the fit's clips.
        count: of folds.
        traces: of the fit's clips; None if they were not kept.
        learnt: of the m others.
        keep: (n,) which of the fit's stay.
        rows: (those that stay + m, dim) as the bank has them.
    """
    fold = np.full(len(learnt), NONE, dtype=np.int64)
    alone = []
    stays = int(keep.sum())
    for group in _groups(learnt):
        for part in _cut(group, learnt, stays + len(learnt), count):
            # Also with one that is forgotten: the whitening has seen it.
            tied = _tied(part, learnt, traces) if traces is not None else np.zeros_like(keep)
            if not tied.any():
                alone.append(part)
                continue
            of = folds[tied]
            if len(np.unique(of)) > 1 and (tied & keep).any():
                mine, theirs = rows[stays + part], rows[np.flatnonzero(tied[keep])]
                apart = [float(((mine - one) ** 2).sum(axis=1).min()) for one in theirs]
                of = folds[tied & keep][[int(np.argmin(apart))]]
            fold[part] = of[0]
    return Together(fold, alone)


def _groups(learnt: Traces) -> list[Index]:
    """Clips of one session or near channel, also by way of others."""
    group = np.arange(len(learnt))
    for names in (learnt.session, learnt.near):
        first: dict[str, int] = {}
        for i, name in enumerate(names):
            if name and (other := first.setdefault(name, i)) != i:
                group[group == group[i]] = group[other]
    return [np.flatnonzero(group == one) for one in dict.fromkeys(group.tolist())]


def _cut(group: Index, learnt: Traces, clips: int, count: int) -> list[Index]:
    """A group, or where most clips are in it its parts in the order of time."""
    if 2 * len(group) <= clips or len(group) < 2:
        return [group]
    # Else too little is left to be held against.
    order = np.argsort(learnt.column("moment")[group], kind="stable")
    return list(np.array_split(group[order], min(count, len(group))))


def _tied(part: Index, learnt: Traces, traces: Traces) -> NDArray[np.bool_]:
    """(n,) the fit's clips of the same session or near channel."""
    sessions = {learnt.session[i] for i in part} - {""}
    nears = {learnt.near[i] for i in part} - {""}
    return np.array(
        [
            session in sessions or near in nears
            for session, near in zip(traces.session, traces.near, strict=True)
        ],
        dtype=np.bool_,
    )
