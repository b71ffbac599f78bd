"""Self-scores of a bank that has grown: nothing that has seen a clip judges it (law 5).

A clip of the fit is judged as the fit did it, by a whitening and a bank made without its fold; rows
of clips learnt lie beside that bank's, so a score changes only where one of them is nearer. A clip
that was learnt is judged by the fit's whitening, which has never seen it, without its own rows and
those of its recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.learning.learnt import NewRows, kept_rows, some
from nearfar.detector.learning.together import held_with
from nearfar.detector.member import Member, NormalRows, Rest, assign_folds, rests
from nearfar.detector.traces import Traces
from nearfar.errors import DatasetError
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import Index, MemoryBank, Rows
from nearfar.scoring.enrich import Following, FromAudio
from nearfar.scoring.rule import judged

if TYPE_CHECKING:
    from nearfar.system.system import System

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scored:
    """What came of it.

    >>> Scored(np.zeros(3), spread=1.0).spread
    1.0
    """

    values: Rows  # (clips,) the fit's that stay, then those learnt
    spread: float  # squared length in whitened units, held out, over that of the fit's; or nan


@dataclass(frozen=True, eq=False)
class HeldAgain:
    """A member whose clips are to be held out once more.

    Args:
        recipe: of the member.
        member: as the fit left it.
        traces: of its clips; None if they were not kept.
        keep: (n,) which of its clips stay.
        new: rows of the m clips learnt.
        learnt: traces of those.
        grown: the member with all rows.

    >>> from dataclasses import fields
    >>> [field.name for field in fields(HeldAgain)][:3]
    ['recipe', 'member', 'traces']
    """

    recipe: System
    member: Member
    traces: Traces | None
    keep: Mask
    new: NewRows
    learnt: Traces
    grown: Member

    @property
    def clips(self) -> int:
        """How many are to be scored."""
        return int(self.keep.sum()) + len(self.learnt)


def scored(asked: HeldAgain) -> Scored:
    """Held-out scores of all clips of a member that has grown.

    Raises:
        DatasetError: fewer rows are left for a clip than the rule's neighbours.
    """
    with one_thread():  # the same bits whatever the number of cores
        if asked.recipe.self_scores == "loo":
            # Whitening has seen the fit's clips: the report's literal reading (§2.4).
            bank, names = asked.grown.bank, asked.grown.origin[: asked.clips]
            real = bank.embeddings[: asked.clips]
            values = judged(asked.recipe.rule, real, bank, leave_out=names)
            return Scored(values, float("nan"))
        return _cross_fitted(asked)


def _cross_fitted(asked: HeldAgain) -> Scored:
    keep, member = asked.keep, asked.member
    table, folds = _table(asked)
    together = held_with(
        folds, asked.recipe.folds, asked.traces, asked.learnt, keep,
        asked.grown.bank.embeddings[: asked.clips],
    )  # fmt: skip
    old, new = np.full(len(keep), np.nan), np.full(len(asked.learnt), np.nan)
    lengths = np.full(len(keep), np.nan)
    for rest in _rests(asked, table, folds):
        mine = together.fold == folds[rest.held][0]  # (m,)
        bank = _fold_bank(asked, rest, ~mine)
        stay = keep[rest.held]
        # All of the fold, as the fit did, then those that stay: so these keep their bits.
        z = rest.scale(table.embeddings[rest.held])[stay]
        if len(z):
            old[rest.held & keep] = judged(asked.recipe.rule, z, bank)
        if mine.any() and asked.new.real is not None:
            z = rest.row_scale(asked.new.real.embeddings[mine])
            new[mine] = judged(asked.recipe.rule, z, bank)
        lengths[rest.held] = _squares(rest.row_scale(table.embeddings[rest.held]))
    _score_alone(asked, together.alone, new)
    values = np.concatenate([old[keep], new])
    return Scored(values, _spread(member, lengths, asked))


def _fold_bank(asked: HeldAgain, rest: Rest, seen: Mask) -> MemoryBank:
    """The bank outside a fold, and beside it the rows of those learnt that may be seen."""
    rows = rest.rows
    stays = kept_rows(asked.member, asked.keep, rows)
    left = some(MemoryBank(rest.scale(rows.embeddings), rows.origin, rows.domain), stays)
    parts = [] if left is None else [left]
    if asked.new.real is not None and seen.any():
        # Moved by the shift that the fold does not know.
        added = (asked.new.real.where(seen), *asked.new.made(rest.table.bank(), seen))
        parts += [MemoryBank(rest.row_scale(a.embeddings), a.origin, a.domain) for a in added]
    if not parts:
        raise DatasetError(
            "all clips that would be left are of one recording or day, so none is left to hold "
            "them against; keep some of another, or fit again"
        )
    bank = parts[0]
    for part in parts[1:]:
        bank = bank.extend(part.embeddings, part.origin, part.domain)
    return bank


def _score_alone(asked: HeldAgain, groups: list[Index], into: Rows) -> None:
    """Those learnt that are held out with no clip of the fit, a recording at a time."""
    if not groups:
        return
    bank, first = asked.grown.bank, int(asked.keep.sum())
    z, names = bank.embeddings[first : asked.clips], asked.grown.origin[first : asked.clips]
    single = np.array([g[0] for g in groups if len(g) == 1], dtype=np.int64)
    # One search for all that are alone: a bank for each would take as long as their number.
    if len(single):
        into[single] = judged(asked.recipe.rule, z[single], bank, leave_out=names[single])
    for group in groups:
        if len(group) > 1:
            rest = bank.where(~np.isin(bank.origin, names[group]))
            into[group] = judged(asked.recipe.rule, z[group], rest)


def _table(asked: HeldAgain) -> tuple[NormalRows, Index]:
    """The fit's clips and their folds; dealt anew where a fit of an older nearfar kept none."""
    member, n = asked.member, len(asked.keep)
    traces, workings = asked.traces, asked.member.workings
    lr_corr = np.zeros(n) if traces is None else traces.column("lr_corr")
    table = NormalRows(member.embeddings[:n], member.origin[:n], member.domain[:n], lr_corr)
    if workings is not None:
        return table, workings.folds
    recipe, names = asked.recipe, [f"alone {i}" for i in range(n)]
    if traces is not None:  # where they lie in recordings and nobody knows it nothing is learnt
        names = [session or name for session, name in zip(traces.session, names, strict=True)]
    blocks = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return table, assign_folds(blocks, table.domain, recipe.folds, recipe.seed)


def _rests(asked: HeldAgain, table: NormalRows, folds: Index) -> Iterator[Rest]:
    """What is left without each fold, enriched as the fit did it."""
    recipe, member, n = asked.recipe, asked.member, len(asked.keep)
    if member.workings is not None:
        pools = member.workings.pools(member.embeddings[n:], member.origin[n:])
        yield from rests(recipe, table, pools, folds)
        return
    # Rows made of audio are those of the bank, as many as there are; others are made anew.
    made = MemoryBank(member.embeddings.astype(np.float64), member.origin, member.domain)
    real_domain = dict(zip(member.origin[:n].tolist(), member.domain[:n].tolist(), strict=True))
    own = np.array([real_domain[o] for o in made.origin.tolist()]) == made.domain
    own[:n] = False
    moving = tuple(
        part for part in recipe.enrichment
        if isinstance(part, Following) and not isinstance(part, FromAudio)
    )  # fmt: skip
    for rest in rests(replace(recipe, enrichment=moving), table, ({},) * len(moving), folds):
        audio = some(made, own & np.isin(made.origin, rest.table.origin))
        rows = rest.rows
        if audio is not None:
            rows = rows.extend(audio.embeddings, audio.origin, audio.domain)
        yield replace(rest, rows=rows)


def _spread(member: Member, lengths: Rows, asked: HeldAgain) -> float:
    """How wide all clips lie in the fit's whitened units, over how wide its own do; nan if unknown.

    Squared lengths, in the middle of the clips that stay and of those learnt, by their shares: one
    odd clip is no drift. All are held out: with few clips for many dimensions those that a
    whitening was fitted on lie far closer than any other.
    """
    if asked.recipe.whitening is None or not np.isfinite(lengths).all():
        return float("nan")
    usual = float(np.median(lengths))
    if not usual > 0:
        return float("nan")
    parts = [lengths[asked.keep]]
    if asked.new.real is not None:
        parts.append(_squares(member.scale(asked.new.real.embeddings)))
    wide = sum(len(part) * float(np.median(part)) for part in parts)
    return wide / usual / asked.clips


def _squares(z: Rows) -> Rows:
    found: Rows = np.einsum("ij,ij->i", z, z)
    return found
