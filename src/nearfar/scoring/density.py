"""How densely a bank's rows lie: the distance of each row to its nearest rows of other clips.

A density is a distance here: small where rows lie close together. It is worked out once for a bank.
What must not be seen is named by its origin: a row of the bank never counts those that were made of
its own clip, nor those of a clip that is held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nearfar.scoring.bank import Index, MemoryBank, Metric, Rows

SPARE = 8  # rows known behind the k nearest: most of what is held out is made up for by these
NOBODY = -1  # origin of no clip
EVEN = 1e-9  # times the mean: densities that differ by less differ by rounding


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The rows around each row of a bank, without those of its own clip.

    Args:
        bank: whose rows.
        k: nearest rows that make a density; of fewer clips as many as there are.
        metric: of the distances.

    >>> rows = np.array([[0.0], [1.0], [3.0], [7.0]])
    >>> around = Surroundings(MemoryBank(rows, np.arange(4), np.zeros(4, np.int8)), 1, "euclidean")
    >>> around.densities().tolist(), around.densities(without=0).tolist()[1:]
    ([1.0, 1.0, 2.0, 4.0], [2.0, 2.0, 4.0])
    """

    bank: MemoryBank
    k: int
    metric: Metric

    @classmethod
    def of(cls, bank: MemoryBank, k: int, metric: Metric) -> Surroundings:
        """Those of a bank, made by whoever asks first."""
        made: Surroundings = bank.made.setdefault((cls, k, metric), cls(bank, k, metric))
        return made

    @cached_property
    def alone(self) -> bool:
        """Are all rows of one clip, so that nothing is around any of them?"""
        return len(np.unique(self.bank.origin)) < 2

    def densities(self, without: int = NOBODY) -> Rows:
        """Mean distance of each row to its k nearest rows of other clips.

        Args:
            without: origin of a clip that is held out; its own rows have densities of no use.

        Returns:
            (rows,); NaN where there is no other clip.
        """
        if without == NOBODY:
            return self._densities
        # A row that has it among its k nearest, or has fewer than k, which then stand at 0.
        touched = np.flatnonzero((self.bank.origin[self._close[1]] == without).any(axis=1))
        around = self._densities.copy()
        around[touched] = self._mean(touched, np.full(len(touched), without))
        return around

    def slope(self, without: int = NOBODY) -> float:
        """α = Cov(d, b) / Var(b): how much of a normal clip's distance its neighbour's density is.

        d is the distance of a row to its nearest row of another clip and b the density of that row,
        which does not see the first row's clip.

        Args:
            without: origin of a clip that is held out.

        Returns:
            α, not clipped; 0 where all b are the same.
        """
        if without == NOBODY:
            return self._slope
        return self._fitted_slope(without)

    @cached_property
    def _densities(self) -> Rows:
        # Nothing is held out: rows behind the k nearest are not asked for.
        return _means(self._close[0])

    @cached_property
    def _slope(self) -> float:
        return self._fitted_slope(NOBODY)

    @cached_property
    def _close(self) -> tuple[Rows, Index]:
        """Distances (rows, k), rising, and rows; infinite where there are no more."""
        if "_near" in self.__dict__:  # which has them
            return self._near[0][:, : self.k], self._near[1][:, : self.k]
        out = self.bank.origin[:, None]
        return self.bank.around(self.bank.embeddings, self.k, self.metric, out)

    @cached_property
    def _near(self) -> tuple[Rows, Index]:
        """Distances (rows, k + SPARE), rising, and rows; infinite where there are no more."""
        out = self.bank.origin[:, None]
        return self.bank.around(self.bank.embeddings, self.k + SPARE, self.metric, out)

    def _fitted_slope(self, without: int) -> float:
        mine = np.flatnonzero(self.bank.origin != without)
        left_out = np.full(len(mine), without)
        distances, rows = self._first(mine, left_out, count=1)
        found = np.isfinite(distances[:, 0])
        if not found.any():
            return 0.0
        d, nearest = distances[found, 0], rows[found, 0]  # (rows,) each
        b = self._mean(nearest, left_out[found], self.bank.origin[mine[found]])
        seen = np.isfinite(b)  # of two clips the neighbour has nobody but the one that asks
        d, b = d[seen], b[seen]
        if not len(b) or b.std() <= EVEN * b.mean():
            return 0.0
        return float(((d - d.mean()) * (b - b.mean())).mean() / b.var())

    def _mean(self, rows: Index, *left_out: Index) -> Rows:
        """Density of some rows; each may have more origins that it does not see."""
        return _means(self._first(rows, *left_out, count=self.k)[0])

    def _first(self, rows: Index, *left_out: Index, count: int) -> tuple[Rows, Index]:
        """The nearest rows that some rows may see: distances (n, count) and rows."""
        distances, near = self._near[0][rows], self._near[1][rows]  # (n, k + SPARE)
        ends = ~np.isfinite(distances[:, -1])  # all there are are known
        hidden = ~np.isfinite(distances)
        for out in left_out:
            hidden |= self.bank.origin[near] == out[:, None]
        # Seen ones first, in their order.
        order = np.argsort(hidden, axis=1, kind="stable")[:, :count]
        shown = np.take_along_axis(np.where(hidden, np.inf, distances), order, axis=1)
        who = np.take_along_axis(near, order, axis=1)
        few = np.flatnonzero(((~hidden).sum(axis=1) < count) & ~ends)
        if len(few):  # too many of the nearest are held out: searched again, alike ones once
            asked = np.stack([rows[few], *(out[few] for out in left_out)], axis=1)
            asked, place = np.unique(asked, axis=0, return_inverse=True)
            out = np.concatenate([self.bank.origin[asked[:, :1]], asked[:, 1:]], axis=1)
            z = self.bank.embeddings[asked[:, 0]]
            distances, near = self.bank.around(z, count, self.metric, out)
            shown[few], who[few] = distances[place.ravel()], near[place.ravel()]
        return shown, who


def _means(distances: Rows) -> Rows:
    """Mean of those that are there of (n, k), as (n,)."""
    there = np.isfinite(distances)
    count = there.sum(axis=1)
    total = np.where(there, distances, 0.0).sum(axis=1)
    # Of nobody there is no mean; whoever asks knows what to do without.
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def floored(densities: Rows, seen: NDArray[np.bool_]) -> Rows:
    """Densities that may be divided by.

    A row with a twin of another clip has density 0, and counts for hardly anything but its equals:
    0 is taken as a billionth of the mean. Where all are 0, or there is no other clip, all are 1.

    Args:
        densities: (rows,), NaN of rows without others.
        seen: (rows,) which rows the mean is of.

    >>> everybody = np.ones(3, bool)
    >>> floored(np.array([0.0, 2.0, 4.0]), everybody).tolist(), floored(np.zeros(3), everybody)
    ([2e-09, 2.0, 4.0], array([1., 1., 1.]))
    """
    known = densities[seen & np.isfinite(densities)]
    mean = float(known.mean()) if len(known) else 0.0
    if not mean > 0:
        return np.ones(len(densities))
    floor: Rows = np.maximum(np.where(np.isfinite(densities), densities, mean), EVEN * mean)
    return floor
