"""Rows of normal embeddings with origin and domain, and distance-based scoring against them.

Every row knows the clip it came from (`origin`): leaving a clip out leaves out all rows made of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import DatasetError
from nearfar.text import counted

Rows = NDArray[np.float64]
Index = NDArray[np.int64]
Metric = Literal["cosine", "euclidean"]
Mask = NDArray[np.bool_]

SOURCE, TARGET = 0, 1  # as banks on disk have them
QUERIES = 256  # queries per block, bounds the distance table
PAIRS = 1 << 20  # numbers of pairs at a time, 8 MB
TOGETHER = 8  # columns, of which the least is taken
FEW = 8  # times as many rows as are asked for are few enough to be looked at again


@dataclass(frozen=True, eq=False)
class MemoryBank:
    """What normal sounds like, one row per embedding.

    Args:
        embeddings: (rows, dim) float64, already whitened if the system whitens.
        origin: (rows,) index of the clip each row came from.
        domain: (rows,) 0 source, 1 target.

    >>> rows = np.array([[0.0], [1.0], [5.0]])
    >>> bank = MemoryBank(rows, origin=np.arange(3), domain=np.array([0, 0, 1]))
    >>> bank.neighbours(np.array([[0.75]]), k=2)[1]
    array([[1, 0]])
    >>> bank.neighbours(rows, k=1, leave_out=bank.origin)[0].ravel()  # none finds itself
    array([1., 1., 4.])
    """

    embeddings: Rows
    origin: Index
    domain: NDArray[np.int8]

    def __post_init__(self) -> None:
        rows = {len(self.embeddings), len(self.origin), len(self.domain)}
        if self.embeddings.ndim != 2 or len(rows) != 1 or not len(self.embeddings):
            raise DatasetError(
                f"a memory bank of {self.embeddings.shape} embeddings, {len(self.origin)} origins "
                f"and {len(self.domain)} domains; need as many of each, and at least one"
            )

    def __len__(self) -> int:
        return len(self.embeddings)

    def __repr__(self) -> str:
        return f"<MemoryBank: {counted(len(self), 'row')} × {self.embeddings.shape[1]}>"

    def extend(
        self, embeddings: NDArray[np.floating], origin: Index, domain: NDArray[np.int8]
    ) -> MemoryBank:
        """A new bank with more rows behind the present ones."""
        return MemoryBank(
            np.concatenate([self.embeddings, embeddings]),
            np.concatenate([self.origin, origin]),
            np.concatenate([self.domain, domain]),
        )

    def where(self, keep: Mask) -> MemoryBank:
        """A new bank of some of the rows, (rows,) which."""
        return MemoryBank(self.embeddings[keep], self.origin[keep], self.domain[keep])

    def neighbours(
        self, z: Rows, k: int, metric: Metric = "euclidean", leave_out: Index | None = None
    ) -> tuple[Rows, Index]:
        """The k nearest rows of each query.

        A matrix product finds all rows that rounding lets be among the k nearest; their distances
        are then computed again as sums of squared differences in float64, and sorted (ties: the
        earlier row). So the answer to one query does not depend on the others.

        Args:
            z: (n, dim) queries.
            k: how many.
            metric: "euclidean", or "cosine": 1 − cos, which is ‖u − v‖²/2 of unit vectors. A zero
                vector has no direction; it is ½ away from every other vector.
            leave_out: (n,) origin whose rows query i must not see; −1 for none.

        Returns:
            distances (n, k) ascending and rows (n, k).

        Raises:
            DatasetError: fewer than k rows are left for some query.
        """
        left_out = np.full((len(z), 0), -1) if leave_out is None else leave_out[:, None]
        if len(z):
            self._check_enough(left_out, k)
        return self._search(z, k, metric, left_out, quick=False)

    def around(self, z: Rows, k: int, metric: Metric, left_out: Index) -> tuple[Rows, Index]:
        """The k nearest rows of each query, or as many as it may see.

        Args:
            z: (n, dim) queries that lie among the rows, or not far from them.
            k: how many.
            metric: as in `neighbours`.
            left_out: (n, any) origins whose rows query i must not see.

        Returns:
            distances (n, k) ascending, infinite where there are no more, and rows (n, k).
        """
        return self._search(z, k, metric, left_out, quick=True)

    def _search(
        self, z: Rows, k: int, metric: Metric, left_out: Index, *, quick: bool
    ) -> tuple[Rows, Index]:
        """As `around`; `quick` looks for them in float32 first."""
        unit, queries = self._unit(metric), _unit_rows(z) if metric == "cosine" else z
        squares, rows = np.full((len(z), k), np.inf), np.zeros((len(z), k), dtype=np.int64)
        for first in range(0, len(z), QUERIES):
            part = slice(first, first + QUERIES)
            out = [origins[:, None] == self.origin for origins in left_out[part].T]
            i = j = np.empty(0, dtype=np.int64)
            if quick:
                i, j = _near(*self._coarse(metric).table(queries[part]), k, out)
            # One far row makes all others too near to each other for so few digits.
            if not quick or len(i) > FEW * k * len(queries[part]):
                i, j = _near(*self._table(queries[part], unit), k, out)
            exact = _pairs(queries[part], unit[0], i, j)
            order = np.lexsort((j, exact, i))  # by query, then distance, then row
            i, j, exact = i[order], j[order], exact[order]
            rank = np.arange(len(i)) - np.searchsorted(i, i)  # of a row among its query's
            kept = rank < k
            squares[first + i[kept], rank[kept]] = exact[kept]
            rows[first + i[kept], rank[kept]] = j[kept]
        return (squares / 2 if metric == "cosine" else np.sqrt(squares)), rows

    def least(
        self, z: Rows, metric: Metric, factor: Rows, offset: Rows, leave_out: int = -1
    ) -> tuple[Rows, Index]:
        """The least of `factor · distance − offset` over all rows, for each query.

        Found as `neighbours` are, so that the answer to one query does not depend on the others.

        Args:
            z: (n, dim) queries.
            metric: as in `neighbours`.
            factor: (rows,), above 0.
            offset: (rows,).
            leave_out: origin whose rows no query must see; −1 for none.

        Returns:
            (n,) the least, and (n,) the row that gives it (of equals the earlier).

        Raises:
            DatasetError: no rows are left.
        """
        unit, queries = self._unit(metric), _unit_rows(z) if metric == "cosine" else z
        hidden = self.origin == leave_out
        if hidden.all():
            raise DatasetError("no row of another clip is left to compare with; give more clips")
        # Of a query so far out that its distance is no number, nothing is found.
        best, nearest = np.full(len(z), np.inf), np.zeros(len(z), dtype=np.int64)
        for first in range(0, len(z), QUERIES):
            part = slice(first, first + QUERIES)
            low = self._lowest(queries[part], unit, metric, factor, offset)
            if leave_out >= 0:
                low[:, hidden] = np.inf

            def said(i: Index, j: Index, some: Rows = queries[part]) -> Rows:
                squares = _pairs(some, unit[0], i, j)
                distances = squares / 2 if metric == "cosine" else np.sqrt(squares)
                return distances * factor[j] - offset[j]

            # No row whose lowest is above what one of them really is can be the least.
            one = low.argmin(axis=1)
            found = np.flatnonzero(low <= said(np.arange(len(low)), one)[:, None])
            i, j = found // len(self), found % len(self)
            exact = said(i, j)
            order = np.lexsort((j, exact, i))
            who, firsts = np.unique(i, return_index=True)  # `i` rises, of each the least is first
            best[first + who], nearest[first + who] = exact[order][firsts], j[order][firsts]
        return best, nearest

    def _lowest(
        self, z: Rows, unit: tuple[Rows, Rows], metric: Metric, factor: Rows, offset: Rows
    ) -> Rows:
        """What `factor · distance − offset` is at least, (n, rows); in place, for it is large."""
        table, slack = self._table(z, unit)
        table += (np.einsum("ij,ij->i", z, z) - slack)[:, None]
        if metric == "euclidean":
            np.sqrt(np.maximum(table, 0.0, out=table), out=table)
            table *= factor
        else:  # below 0 is as good: nothing is lower than what it is at least
            table *= factor / 2
        if offset.any():
            table -= offset
        return table

    def _table(self, z: Rows, unit: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
        """Squared distances less ‖z‖² (n, rows), and (n,) what rounding may have moved them by."""
        bank, squares = unit
        own = np.einsum("ij,ij->i", z, z)
        table = (-2.0 * z) @ bank.T
        table += squares
        longest = np.sqrt(own) + np.sqrt(squares.max())
        return table, 4 * np.finfo(np.float64).eps * (z.shape[1] + 8) * longest**2

    def _check_enough(self, left_out: Index, k: int) -> None:
        origins, sizes = self._clips
        place = np.minimum(np.searchsorted(origins, left_out), len(origins) - 1)
        hidden = np.where(origins[place] == left_out, sizes[place], 0)  # rows of what is left out
        left = len(self) - int(hidden.max(initial=0))
        if left < k:
            raise DatasetError(
                f"k = {k} nearest neighbours asked of {left} rows of other clips; "
                "use fewer neighbours or more normal clips"
            )

    @cached_property
    def _clips(self) -> tuple[Index, Index]:
        """The origins, rising, and how many rows each has; every clip that is scored asks."""
        return np.unique(self.origin, return_counts=True)

    def _unit(self, metric: Metric) -> tuple[Rows, Rows]:
        return self._cosine if metric == "cosine" else self._euclidean

    @cached_property
    def made(self) -> dict[Hashable, Any]:
        """What rules have worked out of the rows alone, by a key of their own."""
        return {}

    def _coarse(self, metric: Metric) -> _Coarse:
        found: _Coarse | None = self.made.get(("coarse", metric))
        if found is None:
            found = self.made["coarse", metric] = _Coarse.of(self._unit(metric)[0])
        return found

    # Each made by its first query: a rule has one metric.
    @cached_property
    def _euclidean(self) -> tuple[Rows, Rows]:
        return self.embeddings, np.einsum("ij,ij->i", self.embeddings, self.embeddings)

    @cached_property
    def _cosine(self) -> tuple[Rows, Rows]:
        unit = _unit_rows(self.embeddings)
        return unit, np.einsum("ij,ij->i", unit, unit)


@dataclass(frozen=True, eq=False)
class _Coarse:
    """Rows less their mean, as large as 1, in float32: half the work, and all it must be is near.

    >>> table, slack = _Coarse.of(np.array([[0.0], [4.0]])).table(np.array([[1.0]]))
    >>> table.tolist(), slack < 1e-4
    ([[0.0, 2.0]], array([ True]))
    """

    mean: Rows  # (dim,)
    unit: float
    rows: NDArray[np.float32]  # (rows, dim)
    squares: NDArray[np.float32]  # (rows,)

    @classmethod
    def of(cls, rows: Rows) -> _Coarse:
        mean = rows.mean(axis=0)
        centred = rows - mean
        unit = float(np.sqrt(np.einsum("ij,ij->i", centred, centred).max())) or 1.0
        small = (centred / unit).astype(np.float32)
        return cls(mean, unit, small, np.einsum("ij,ij->i", small, small))

    def table(self, z: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As `MemoryBank._table`, in its own unit; of queries as far away as the rows at most."""
        small = ((z - self.mean) / self.unit).astype(np.float32)
        longest = np.sqrt(np.einsum("ij,ij->i", small, small)) + 1
        small *= -2
        table = small @ self.rows.T
        table += self.squares
        slack = 4 * np.finfo(np.float32).eps * (z.shape[1] + 8) * longest**2
        return table, slack.astype(np.float32)


def _near(
    table: NDArray[np.floating], slack: NDArray[np.floating], k: int, out: Sequence[Mask]
) -> tuple[Index, Index]:
    """Pairs of a query and a row that may be one of its k nearest: two (pairs,), by query."""
    for hidden in out:
        table[hidden] = np.inf
    # The k-th least of the leasts of columns taken together is as large as that of all or larger,
    # hardly ever by much, and costs a tenth.
    many = table.shape[1] // TOGETHER
    least = table
    if many >= TOGETHER * k:
        least = table[:, : many * TOGETHER].reshape(len(table), TOGETHER, many).min(axis=1)
    last = min(k, least.shape[1]) - 1
    kth = least.min(axis=1) if last == 0 else np.partition(least, last, axis=1)[:, last]
    # Where fewer are left, all of them; never those that are left out.
    reach = np.minimum(kth + slack, np.finfo(table.dtype).max)
    found = np.flatnonzero(table <= reach[:, None])  # by query, and much quicker than `nonzero`
    return found // table.shape[1], found % table.shape[1]


def _pairs(z: Rows, bank: Rows, i: Index, j: Index) -> Rows:
    """Squared distances of pairs of rows, (pairs,), each of the same bits whatever the others."""
    exact, many = np.empty(len(i)), max(1, PAIRS // z.shape[1])
    for first in range(0, len(i), many):
        part = slice(first, first + many)
        exact[part] = ((z[i[part]] - bank[j[part]]) ** 2).sum(axis=1)
    return exact


def _unit_rows(z: Rows) -> Rows:
    norms = np.sqrt((z * z).sum(axis=1, keepdims=True))
    unit: Rows = z / np.where(norms > 0, norms, 1.0)
    return unit
