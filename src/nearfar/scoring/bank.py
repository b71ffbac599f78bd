"""Rows of normal embeddings with origin and domain, and distance-based scoring against them.

Every row knows the clip it came from (`origin`): leaving a clip out leaves out all rows made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import DatasetError
from nearfar.text import counted

Rows = NDArray[np.float64]
Index = NDArray[np.int64]
Metric = Literal["cosine", "euclidean"]

SOURCE, TARGET = 0, 1  # as banks on disk have them
QUERIES = 256  # queries per block, bounds the distance table


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
        unit, queries = self._unit(metric), _unit_rows(z) if metric == "cosine" else z
        distances, rows = np.empty((len(z), k)), np.empty((len(z), k), dtype=np.int64)
        for first in range(0, len(z), QUERIES):
            part = slice(first, first + QUERIES)
            out = None if leave_out is None else leave_out[part]
            distances[part], rows[part] = self._nearest(queries[part], k, unit, out)
        # 1 − cos as ‖u − v‖²/2: as a difference it would lose all digits of near neighbours.
        return (distances / 2 if metric == "cosine" else np.sqrt(distances)), rows

    def _nearest(
        self, z: Rows, k: int, unit: tuple[Rows, Rows], leave_out: Index | None
    ) -> tuple[Rows, Index]:
        """Squared distances and rows, (n, k) each, of one block of queries."""
        bank, squares = unit
        table = squares - 2.0 * (z @ bank.T)  # (n, rows) squared distance less ‖z‖²
        if leave_out is not None:
            table[leave_out[:, None] == self.origin] = np.inf  # whatever was made of the clip
        self._check_enough(table, k)
        kth = np.partition(table, k - 1, axis=1)[:, k - 1]  # (n,)
        # Rounding moves no entry, and no sum of squared differences, by more than a quarter of it.
        longest = np.sqrt(np.einsum("ij,ij->i", z, z)) + np.sqrt(squares.max())
        slack = 4 * np.finfo(np.float64).eps * (z.shape[1] + 8) * longest**2
        distances, nearest = np.empty((len(z), k)), np.empty((len(z), k), dtype=np.int64)
        for i, reach in enumerate(kth + slack):
            rows = np.flatnonzero(table[i] <= reach)
            exact = ((z[i] - bank[rows]) ** 2).sum(axis=1)  # no BLAS: the same bits for any n
            order = np.argsort(exact, kind="stable")[:k]
            distances[i], nearest[i] = exact[order], rows[order]
        return distances, nearest

    def _check_enough(self, table: Rows, k: int) -> None:
        left = int(np.isfinite(table).sum(axis=1).min()) if len(table) else k
        if left < k:
            raise DatasetError(
                f"k = {k} nearest neighbours asked of {left} rows of other clips; "
                "use fewer neighbours or more normal clips"
            )

    def _unit(self, metric: Metric) -> tuple[Rows, Rows]:
        return self._cosine if metric == "cosine" else self._euclidean

    # Each made by its first query: a rule has one metric.
    @cached_property
    def _euclidean(self) -> tuple[Rows, Rows]:
        return self.embeddings, np.einsum("ij,ij->i", self.embeddings, self.embeddings)

    @cached_property
    def _cosine(self) -> tuple[Rows, Rows]:
        unit = _unit_rows(self.embeddings)
        return unit, np.einsum("ij,ij->i", unit, unit)


def _unit_rows(z: Rows) -> Rows:
    norms = np.sqrt((z * z).sum(axis=1, keepdims=True))
    unit: Rows = z / np.where(norms > 0, norms, 1.0)
    return unit
