"""One machine and section: from embeddings of normal clips to a bank with honest self-scores.

Nothing fitted on a clip may judge that clip (law 5). Self-scores are cross-fitted: the clips are
dealt into folds; for each fold adaptation, whitening, tier, means and extra rows are made again
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.traces import Workings, workings_of
from nearfar.scoring.adapt import Adapted
from nearfar.scoring.bank import SOURCE, TARGET, Index, MemoryBank, Rows
from nearfar.scoring.enrich import Pool, shift
from nearfar.scoring.rule import judged
from nearfar.scoring.whiten import Whitening
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.system.system import System

SAMPLE = 32  # rows of a bank that tell how a machine rounds; one product's worth

Scale = Callable[[NDArray[np.floating]], Rows]


@dataclass(frozen=True, eq=False)
class NormalRows:
    """Real normal clips of one machine and section, one row each, in an order of their own.

    >>> rows = np.array([[1.0], [2.0], [3.0]], np.float32)
    >>> table = NormalRows(rows, np.arange(3), np.array([0, 0, 1], np.int8), np.zeros(3))
    >>> len(table), len(table.where(table.domain == TARGET))
    (3, 1)
    """

    embeddings: NDArray[np.float32]  # (n, dim); a cache gives back no more digits
    origin: Index  # (n,) clips with the same audio share one
    domain: NDArray[np.int8]  # (n,)
    lr_corr: Rows  # (n,)

    def __len__(self) -> int:
        return len(self.origin)

    def __repr__(self) -> str:
        return f"<NormalRows: {counted(len(self), 'clip')}>"

    def bank(self) -> MemoryBank:
        """The rows as an unwhitened bank."""
        # float64 from here on: sums of squares of features in Hz² would lose digits.
        return MemoryBank(self.embeddings.astype(np.float64), self.origin, self.domain)

    def where(self, keep: NDArray[np.bool_]) -> NormalRows:
        """Some of the rows."""
        return NormalRows(
            self.embeddings[keep], self.origin[keep], self.domain[keep], self.lr_corr[keep]
        )


@dataclass(frozen=True, eq=False)
class Member:
    """One fitted system of one machine and section.

    Args:
        embeddings: (rows, dim), real rows first, neither adapted nor whitened.
        origin, domain: (rows,).
        whitening: None if the system does not whiten.
        self_scores: (real rows,) each clip's score with the clip held out.
        facts: what a person should know of the fit.
        adaptation: None if the system does not adapt.
        scaled: (rows, dim), the rows as the bank has them; None if they were not kept.
        workings: how its clips were held out; None of a detector that was written before it was
            kept, and where an enrichment of a person's own leaves no way to tell.

    >>> rows = np.array([[1.0], [2.0]], np.float32)
    >>> doubling = Whitening(mean=np.zeros(1), matrix=np.array([[2.0]]))
    >>> member = Member(rows, np.arange(2), np.zeros(2, np.int8), doubling, np.ones(2))
    >>> member.bank.embeddings.ravel()
    array([2., 4.])
    """

    embeddings: NDArray[np.float32]
    origin: Index
    domain: NDArray[np.int8]
    whitening: Whitening | None
    self_scores: Rows
    facts: Mapping[str, float] = field(default_factory=dict)
    adaptation: Adapted | None = None
    scaled: Rows | None = None
    workings: Workings | None = None

    def __repr__(self) -> str:
        rows, dim = self.embeddings.shape
        return f"<Member: {counted(rows, 'row')} × {dim}>"

    def __getstate__(self) -> dict[str, Any]:
        """Its fields alone: its bank is as large again, and made of them in no time."""
        return {f.name: self.__dict__[f.name] for f in fields(self)} | {"scaled": None}

    # When first asked for: a detector that only draws thresholds needs none.
    @cached_property
    def bank(self) -> MemoryBank:
        """The bank that queries are compared with."""
        kept = self.scaled if self._scales_alike else None
        rows = self.scale(self.embeddings) if kept is None else kept
        return MemoryBank(rows, self.origin, self.domain)

    @property
    def _scales_alike(self) -> bool:
        """Does this machine round as the one that made the kept rows, by some of them?"""
        if self.scaled is None:
            return False
        # Else the very recording that a row was made of would lie beside it, and not on it.
        some = slice(None, None, -(-len(self.embeddings) // SAMPLE))
        return np.array_equal(self.scale(self.embeddings[some]), self.scaled[some])

    def scale(self, z: NDArray[np.floating]) -> Rows:
        """Adapt and whiten, if the system does."""
        rows = self.adaptation(z) if self.adaptation is not None else z.astype(np.float64)
        return self.whitening(rows) if self.whitening is not None else rows


def fit_member(system: System, table: NormalRows, pools: Sequence[Pool], folds: Index) -> Member:
    """Fit one system on one machine's clips.

    Args:
        system: the recipe.
        table: real normal clips.
        pools: residual rows for each enrichment.
        folds: (n,) the fold of each clip.
    """
    extras = _extras(system, table, pools)
    rows = _with(table.bank(), extras)
    adaptation = _adapted(system, table)
    real = table.embeddings if adaptation is None else adaptation(table.embeddings)
    # Fitted on real rows only: made ones lie where we put them and would bend the space.
    whitening = system.whitening.fit(real) if system.whitening else None
    scores = (
        _cross_fitted(system, table, pools, folds)
        if system.self_scores == "cross-fitted"
        else np.empty(0)
    )
    kept = rows.embeddings.astype(np.float32)  # as it will be found again on disk
    made = [0 if extra is None else len(extra) for extra in extras]
    member = Member(
        kept, rows.origin, rows.domain, whitening, scores, adaptation=adaptation,
        workings=workings_of(folds, made, pools, kept, rows.origin),
    )  # fmt: skip
    if system.self_scores == "loo":
        # Whitening and means have seen the clip: the report's literal reading (§2.4).
        z = member.bank.embeddings[: len(table)]
        scores = judged(system.rule, z, member.bank, leave_out=table.origin)
    return replace(member, self_scores=scores, facts=facts_of(table, rows, member.scale))


def assign_folds(origin: Index, domain: NDArray[np.int8], folds: int, seed: int) -> Index:
    """Deal clips into folds, each domain evenly, clips of one origin together.

    Args:
        origin: (n,) numbered from 0 in an order that does not depend on the clips' order.
        domain: (n,). A clip that is there in both domains counts as target.
        folds: at most this many.
        seed: of the shuffle.

    Returns:
        (n,) fold numbers from 0.
    """
    names, sizes = np.unique(origin, return_counts=True)
    of_name = np.where(np.isin(names, origin[domain == TARGET]), TARGET, SOURCE)
    count = min(folds, len(names))  # with few clips each has a fold of its own
    rng = np.random.default_rng(seed)
    dealt = np.empty(len(names), dtype=np.int64)
    turn = 0  # goes on from the sources to the targets, so that all folds are as large
    for which in (SOURCE, TARGET):
        mine = rng.permutation(np.flatnonzero(of_name == which))
        # Large ones first, each to a fold of its own: two in one would leave nearly nothing.
        mine = mine[np.argsort(-sizes[mine], kind="stable")]
        dealt[mine] = (turn + np.arange(len(mine))) % count
        turn += len(mine)
    return dealt[np.searchsorted(names, origin)]


def pool_sizes(system: System, table: NormalRows, folds: Index) -> list[int]:
    """Residual rows that any fold or the whole needs of each target clip, per enrichment."""
    # A fold has fewer targets to deal to, and may be on the other side of a tier's border.
    parts = [table.where(folds != fold) for fold in np.unique(folds)]
    if system.self_scores == "loo":
        parts = []  # nothing is made again without a clip
    sizes = []
    for enrichment in system.enrichment:
        needs = [
            enrichment.pool_size(
                float(part.lr_corr.mean()),
                int((part.domain == SOURCE).sum()),
                len(np.unique(part.origin[part.domain == TARGET])),
            )
            for part in (table, *parts)
        ]
        sizes.append(max(needs))
    return sizes


def enriched(system: System, table: NormalRows, pools: Sequence[Pool]) -> MemoryBank:
    """Real rows, then the rows that each enrichment makes of them."""
    return _with(table.bank(), _extras(system, table, pools))


def _extras(system: System, table: NormalRows, pools: Sequence[Pool]) -> list[MemoryBank | None]:
    real = table.bank()
    lr_corr = float(table.lr_corr.mean())  # of the clips that are there: a fold has its own tier
    # Of real rows: parts do not enrich each other.
    return [
        enrichment(real, lr_corr, pool)
        for enrichment, pool in zip(system.enrichment, pools, strict=True)
    ]


def _with(rows: MemoryBank, extras: Sequence[MemoryBank | None]) -> MemoryBank:
    for extra in extras:
        if extra is not None:
            rows = rows.extend(extra.embeddings, extra.origin, extra.domain)
    return rows


@dataclass(frozen=True, eq=False)
class Rest:
    """What is made of the clips outside a fold; nothing in it has seen the fold (law 5).

    Args:
        held: (n,) the clips in the fold.
        table: the others.
        rows: theirs and what enrichments make of them, not scaled.
        scale: adapts and whitens, all rows of a kind at once.
        row_scale: the same, each row's bits whatever the others.

    >>> from nearfar.system.presets import logmel
    >>> table = NormalRows(np.eye(3, 128, dtype=np.float32), np.arange(3), np.zeros(3, np.int8),
    ...                    np.zeros(3))
    >>> [len(rest.rows) for rest in rests(logmel(), table, (), np.array([0, 1, 1]))]
    [2, 1]
    """

    held: NDArray[np.bool_]
    table: NormalRows
    rows: MemoryBank
    scale: Scale
    row_scale: Scale


def rests(system: System, table: NormalRows, pools: Sequence[Pool], folds: Index) -> Iterator[Rest]:
    """What is left without each fold, in their order."""
    for fold in np.unique(folds):
        held = folds == fold
        rest = table.where(~held)
        yield Rest(held, rest, enriched(system, rest, pools), *_scales(system, rest))


def _cross_fitted(system: System, table: NormalRows, pools: Sequence[Pool], folds: Index) -> Rows:
    scores = np.empty(len(table))
    for rest in rests(system, table, pools, folds):
        rows = rest.rows
        bank = MemoryBank(rest.scale(rows.embeddings), rows.origin, rows.domain)
        scores[rest.held] = judged(system.rule, rest.scale(table.embeddings[rest.held]), bank)
    return scores


def _scales(system: System, table: NormalRows) -> tuple[Scale, Scale]:
    """Whitening for distances only: any root of the inverse serves, Cholesky's is cheapest."""
    adapt: Scale = _adapted(system, table) or _as_they_are
    if system.whitening is None:
        return adapt, adapt
    fitted = system.whitening.fit(adapt(table.embeddings), root="cholesky")
    # All rows at once, twice as fast as in blocks: a fold's clips are always the same.
    return lambda z: (adapt(z) - fitted.mean) @ fitted.matrix, lambda z: fitted(adapt(z))


def _adapted(system: System, table: NormalRows) -> Adapted | None:
    if system.adaptation is None:
        return None
    return system.adaptation.fit(table.embeddings, table.domain)


def _as_they_are(z: NDArray[np.floating]) -> Rows:
    return z.astype(np.float64)


def facts_of(table: NormalRows, rows: MemoryBank, scale: Scale) -> dict[str, float]:
    """What a person should know of a bank, of whichever clips it is made."""
    apart, spread = shift(table.bank(), scale)  # of real rows, as the report means it (§2.3)
    return {
        "source": float((table.domain == SOURCE).sum()),
        "target": float((table.domain == TARGET).sum()),
        "rows": float(len(rows)),
        "lr_corr": float(table.lr_corr.mean()),
        "shift": apart,
        "spread": spread,
    }
