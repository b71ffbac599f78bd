"""Rules that correct a distance for how densely the bank lies around the row it leads to.

A row among many close ones is near to nothing else; one that stands alone is near to everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from nearfar.parts.valid import choice, whole
from nearfar.scoring.bank import Index, MemoryBank, Metric, Rows
from nearfar.scoring.density import NOBODY, Surroundings, floored

Form = Literal["ratio", "difference"]
METRICS = ("cosine", "euclidean")
FORMS = ("ratio", "difference")
# Of a bank without the clip of some origin: what distances to its rows are multiplied by, and what
# is taken off then, (rows,) each.
Terms = Callable[[Surroundings, int], tuple[Rows, Rows]]


@dataclass(frozen=True)
class LocalDensity:
    """The least distance to a row in units of the distances around that row (LDN).

    s = min over rows i of D(z, yᵢ) / ρᵢ, or with `form="difference"` of D(z, yᵢ) − ρᵢ; ρᵢ is the
    mean distance of row i to its k nearest rows of other clips. With fewer rows than k it is the
    mean over those there are; where there is no other clip the score is the distance. A row with a
    twin of another clip has ρ = 0, taken as a billionth of the mean.

    Source:
        Wilkinghoff et al., "Local Density-Based Anomaly Score Normalization for Domain
        Generalization", 2025 (arXiv 2509.10951).

    >>> bank = MemoryBank(np.array([[0.0], [1.0], [9.0]]), np.arange(3), np.zeros(3, np.int8))
    >>> queries = np.array([[3.0], [9.5]])  # 2 from a row that is 1 from its like; ½ from one at 8
    >>> LocalDensity(k=1)(queries, bank)
    array([0.75  , 0.0625])
    >>> LocalDensity(k=1, form="difference")(queries, bank)
    array([-2. , -7.5])
    """

    k: int = 1  # nearest rows of other clips whose mean distance is a density
    form: Form = "ratio"
    metric: Metric = "euclidean"  # of whitened rows; "cosine" of embeddings as they are

    neighbours: ClassVar[int] = 1  # the nearest clip of a verdict is the nearest

    def __post_init__(self) -> None:
        whole("LocalDensity.k", self.k, 1)
        choice("LocalDensity.form", self.form, FORMS)
        choice("LocalDensity.metric", self.metric, METRICS)

    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """Score queries.

        Args:
            z: (n, dim) queries, whitened like the bank.
            bank: rows of normal clips.
            leave_out: (n,) origin that query i must not see, and that no row's density sees for
                it; −1 for none.

        Returns:
            (n,) the least over all rows.

        Raises:
            DatasetError: no row is left.
        """
        return _least(z, Surroundings.of(bank, self.k, self.metric), self._terms, leave_out)

    def _terms(self, around: Surroundings, without: int) -> tuple[Rows, Rows]:
        densities = around.densities(without)
        if self.form == "ratio":
            others = around.bank.origin != without  # rows that nobody sees count for no mean
            return 1.0 / floored(densities, others), np.zeros(len(densities))
        return np.ones(len(densities)), np.nan_to_num(densities, nan=0.0)


@dataclass(frozen=True)
class VarMin:
    """The least distance less α times the density of the row, α such that normals vary least.

    s = min over rows i of D(z, yᵢ) − α·bᵢ; bᵢ is the mean distance of row i to its k nearest rows
    of other clips, as in `LocalDensity`. α = Cov(d, b) / Var(b) over the rows of the bank, d being
    the distance of a row to the nearest row of another clip and b that row's density, which does
    not see the first row's clip. α is not clipped, and 0 where all b are equal.

    Source:
        The variance-minimising rescaling of Matsumoto et al. (DCASE workshop 2025); what it leaves
        open is in docs/decisions.md.

    >>> bank = MemoryBank(np.array([[0.0], [1.0], [9.0]]), np.arange(3), np.zeros(3, np.int8))
    >>> VarMin(k=1, metric="euclidean")(np.array([[3.0]]), bank)  # α −35/38: d 1, 1, 8; b 8, 9, 1
    array([2.92105263])
    """

    k: int = 4  # nearest rows of other clips whose mean distance is a density
    metric: Metric = "cosine"  # the source's; of whitened rows "euclidean"

    neighbours: ClassVar[int] = 1  # the nearest clip of a verdict is the nearest

    def __post_init__(self) -> None:
        whole("VarMin.k", self.k, 1)
        choice("VarMin.metric", self.metric, METRICS)

    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """Score queries.

        Args:
            z: (n, dim) queries, whitened like the bank.
            bank: rows of normal clips.
            leave_out: (n,) origin that query i must not see, and that neither α nor any density
                sees for it; −1 for none.

        Returns:
            (n,) the least over all rows.

        Raises:
            DatasetError: no row is left.
        """
        return _least(z, Surroundings.of(bank, self.k, self.metric), self._terms, leave_out)

    def _terms(self, around: Surroundings, without: int) -> tuple[Rows, Rows]:
        slope = around.slope(without)  # first: what it has to know is more
        densities = np.nan_to_num(around.densities(without), nan=0.0)
        return np.ones(len(densities)), slope * densities


def _least(z: Rows, around: Surroundings, terms: Terms, leave_out: Index | None) -> Rows:
    """The least for each query, of the bank as it is without the clip that is left out."""
    scores = np.empty(len(z))
    origins = np.full(len(z), NOBODY) if leave_out is None else np.asarray(leave_out)
    for out in np.unique(origins):
        mine = origins == out
        factor, offset = terms(around, int(out))
        scores[mine] = around.bank.least(z[mine], around.metric, factor, offset, int(out))[0]
    return scores
