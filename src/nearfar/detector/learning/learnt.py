"""Clips that were learnt after a fit, and the rows that a bank gets from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.member import Member
from nearfar.detector.section import TrainingClip
from nearfar.detector.traces import NUMBERS, Traces
from nearfar.scoring.bank import MemoryBank
from nearfar.scoring.enrich import Following, Pool
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.system.system import System


@dataclass(frozen=True, eq=False)
class LearntRows:
    """What one member has of the clips that were learnt.

    Args:
        embeddings: (n, dim), one row a clip.
        pools: for each enrichment, place of a clip → its residual rows.

    >>> LearntRows(np.zeros((2, 4), np.float32), ()).embeddings.shape
    (2, 4)
    """

    embeddings: NDArray[np.float32]
    pools: tuple[Pool, ...]


@dataclass(frozen=True, eq=False)
class Learnt:
    """Clips that were learnt after a fit, in the order of their digests.

    Args:
        clips: (n,) names and digests.
        domain: (n,).
        traces: of them.
        fresh: which no encoder was trained on; None where nothing was trained.
        rows: of each member.

    >>> nothing = Traces((), (), np.zeros((0, len(NUMBERS))))
    >>> len(Learnt((), np.zeros(0, np.int8), nothing, None, ()))
    0
    """

    clips: tuple[TrainingClip, ...]
    domain: NDArray[np.int8]
    traces: Traces
    fresh: tuple[bool, ...] | None
    rows: tuple[LearntRows, ...]

    def __len__(self) -> int:
        return len(self.clips)

    def __repr__(self) -> str:
        return f"<Learnt: {counted(len(self), 'clip')}>"

    def chosen(self, places: Sequence[int]) -> Learnt:
        """Some of them, in the order given."""
        index = np.array(places, dtype=np.int64)
        # Residual rows go by the place of their clip, which is another now.
        new = {old: place for place, old in enumerate(places)}
        rows = tuple(
            LearntRows(
                one.embeddings[index],
                tuple({new[o]: rows for o, rows in pool.items() if o in new} for pool in one.pools),
            )
            for one in self.rows
        )
        traces = Traces(
            tuple(self.traces.near[i] for i in places),
            tuple(self.traces.session[i] for i in places),
            self.traces.numbers[index],
        )
        fresh = None if self.fresh is None else tuple(self.fresh[i] for i in places)
        return Learnt(tuple(self.clips[i] for i in places), self.domain[index], traces, fresh, rows)

    def ordered(self) -> Learnt:
        """By digest: what is known must not depend on when it was learnt."""
        return self.chosen(sorted(range(len(self)), key=lambda i: self.clips[i].digest))

    def beside(self, others: Learnt) -> Learnt:
        """These and others, as one."""
        count = len(self)
        rows = tuple(
            LearntRows(
                np.concatenate([a.embeddings, b.embeddings]),
                tuple(
                    {**mine, **{count + o: rows for o, rows in theirs.items()}}
                    for mine, theirs in zip(a.pools, b.pools, strict=True)
                ),
            )
            for a, b in zip(self.rows, others.rows, strict=True)
        )
        fresh = None
        if self.fresh is not None and others.fresh is not None:
            fresh = self.fresh + others.fresh
        both = Learnt(
            self.clips + others.clips, np.concatenate([self.domain, others.domain]),
            self.traces.beside(others.traces), fresh, rows,
        )  # fmt: skip
        return both.ordered()

    @classmethod
    def none(cls, widths: Sequence[tuple[int, int]], *, trained: bool) -> Learnt:
        """No clips.

        Args:
            widths: of each member, the numbers in a row and how many enrichments it has.
            trained: was any encoder?
        """
        rows = tuple(
            LearntRows(np.zeros((0, dim), np.float32), ({},) * count) for dim, count in widths
        )
        traces = Traces((), (), np.zeros((0, len(NUMBERS))))
        return cls((), np.zeros(0, np.int8), traces, () if trained else None, rows)


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows that a member gets from clips learnt, none scaled.

    Args:
        recipe: of the member.
        real: one a clip.
        pools: for each enrichment, origin → residual rows.

    >>> from nearfar.system.presets import logmel
    >>> rows = MemoryBank(np.zeros((2, 1)), np.array([7, 8]), np.zeros(2, np.int8))
    >>> len(NewRows(logmel(), rows, ()).made(rows))
    0
    """

    recipe: System
    real: MemoryBank | None  # None of no clips
    pools: tuple[Pool, ...]

    @classmethod
    def of(cls, recipe: System, member: Member, learnt: Learnt, i: int) -> NewRows:
        """Of clips learnt, with origins of their own.

        Args:
            recipe, member: as the fit left it.
            learnt: the clips.
            i: the member's number.
        """
        mine, first = learnt.rows[i], int(member.origin.max()) + 1
        real = None
        if len(learnt):
            # Behind the fit's: its rows keep their origins, and with them their bits.
            origin = first + np.arange(len(learnt))
            real = MemoryBank(mine.embeddings.astype(np.float64), origin, learnt.domain)
        pools = tuple({first + o: rows for o, rows in pool.items()} for pool in mine.pools)
        return cls(recipe, real, pools)

    def made(self, beside: MemoryBank, keep: NDArray[np.bool_] | None = None) -> list[MemoryBank]:
        """What enrichments make of them.

        Args:
            beside: real rows of the fit, or of a part of it.
            keep: which of the clips; None: all.
        """
        new = self.real if keep is None or self.real is None else some(self.real, keep)
        if new is None:
            return []
        found = [
            part.follow(beside, new, pool)
            for part, pool in zip(self.recipe.enrichment, self.pools, strict=False)
            # A person's own part that does not say how makes no rows of what is learnt.
            if isinstance(part, Following)
        ]
        return [one for one in found if one is not None]


def some(bank: MemoryBank, keep: NDArray[np.bool_]) -> MemoryBank | None:
    """Some rows of a bank; None for none."""
    return bank.where(keep) if keep.any() else None


def kept_rows(member: Member, keep: NDArray[np.bool_], rows: MemoryBank) -> NDArray[np.bool_]:
    """Which rows of a bank stay when some of the fit's clips are forgotten.

    A made row goes with its clip. Rows that were moved to a domain go with the last of the fit's
    clips of that domain: by its mean they know of clips that nobody vouches for any more.

    Args:
        member: as the fit left it.
        keep: (n,) which of its clips stay.
        rows: of clips of the fit.
    """
    n = len(keep)
    # The real rows come first, one a clip: by their origins the made ones find theirs.
    names = member.origin[:n]
    order = np.argsort(names, kind="stable")
    own = order[np.searchsorted(names[order], rows.origin)]
    left = [d for d in (0, 1) if (member.domain[:n][keep] == d).any()]
    stays: NDArray[np.bool_] = keep[own] & np.isin(rows.domain, left)
    return stays
