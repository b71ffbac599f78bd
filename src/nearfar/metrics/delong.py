"""How sure an AUC is, and the difference of two on the same clips: DeLong's standard errors.

An AUC is a mean over anomalies, of the share of normal clips that each scores above, and likewise
a mean over normal clips. How much these shares (placements) differ from clip to clip is how sure
the mean is. Placements of several systems on the same clips may be subtracted and averaged, and
what comes out has an error by the same formula: that is the paired test.

References: E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44(3), 1988; X. Sun and
W. Xu, Fast implementation of DeLong's algorithm, IEEE Signal Processing Letters 21(11), 2014: all
of it from midranks, in O(n log n).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placements:
    """Where each clip lies among those of the other kind.

    >>> placed = Placements.of([1.0, 2.0, 4.0], [3.0, 5.0])
    >>> placed.anomalous.round(3).tolist(), placed.normal.tolist()
    ([0.667, 1.0], [1.0, 1.0, 0.5])
    >>> placed.error
    0.23570226039551584
    """

    normal: Values  # of each normal clip: share of anomalies that score above it, ties one half
    anomalous: Values  # of each anomaly: share of normal clips that score below it, ties one half

    @classmethod
    def of(cls, normal: ArrayLike, anomalous: ArrayLike) -> Placements:
        """From scores, (clips,) each; high is anomalous.

        Raises:
            DatasetError: no clip of one kind, or a score that is not finite.
        """
        n, a = (np.asarray(x, dtype=np.float64).ravel() for x in (normal, anomalous))
        if not n.size or not a.size or not np.isfinite(np.concatenate([n, a])).all():
            raise DatasetError(
                f"{n.size} normal and {a.size} anomalous scores; an AUC needs one of each at "
                "least, all of them finite"
            )
        # Ranks among all less ranks among one's own kind: those of the other kind below.
        ranks = midranks(np.concatenate([n, a]))
        below_normal = ranks[: n.size] - midranks(n)
        below_anomalous = ranks[n.size :] - midranks(a)
        return cls(1 - below_normal / a.size, below_anomalous / n.size)

    @classmethod
    def mean(cls, several: Sequence[Placements]) -> Placements:
        """Of the mean AUC of several systems on the same clips, each in the same order."""
        return cls(
            np.mean([one.normal for one in several], axis=0),
            np.mean([one.anomalous for one in several], axis=0),
        )

    def __sub__(self, other: Placements) -> Placements:
        return Placements(self.normal - other.normal, self.anomalous - other.anomalous)

    @property
    def value(self) -> float:
        """The AUC, or the difference or the mean of AUCs; 0–1."""
        return float(self.anomalous.mean())

    @property
    def error(self) -> float | None:
        """Its standard error, 0–1.

        None with fewer than two clips of a kind, and where no clip differs from the next: of a
        perfect AUC the formula says 0, as if nothing could be otherwise.
        """
        if min(self.normal.size, self.anomalous.size) < 2:
            return None
        # Sample variances, (n − 1): so DeLong, and so the differences of two are unbiased.
        variance = sum(float(x.var(ddof=1)) / x.size for x in (self.normal, self.anomalous))
        return math.sqrt(variance) if variance > 0 else None


def midranks(values: Values) -> Values:
    """Ranks from 1, of ties the mean: (n,) → (n,).

    >>> midranks(np.array([0.3, 0.1, 0.3])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)


def auc_error(normal: ArrayLike, anomalous: ArrayLike) -> float | None:
    """Standard error of an AUC by DeLong.

    Args:
        normal: scores of the normal clips, (clips,).
        anomalous: scores of the anomalies, (clips,).

    Returns:
        0–1; None where the formula has nothing to go by (`Placements.error`).

    Raises:
        DatasetError: no clip of one kind, or a score that is not finite.

    >>> auc_error([1, 2, 4], [3, 5])  # the root of 1/18
    0.23570226039551584
    """
    return Placements.of(normal, anomalous).error


def difference_error(
    a: tuple[ArrayLike, ArrayLike], b: tuple[ArrayLike, ArrayLike]
) -> float | None:
    """Standard error of the difference of two AUCs on the same clips, by DeLong.

    Args:
        a: what one system said: scores of the normal clips and of the anomalies, (clips,) each.
        b: what the other said, of the same clips in the same order.

    Returns:
        As `auc_error`; of correlated systems it is smaller than that of either.

    Raises:
        DatasetError: as `auc_error`, or other numbers of clips.

    >>> difference_error(([1, 2, 4], [3, 5]), ([2, 1, 4], [3, 5])) is None  # no clip is moved
    True
    """
    one, other = Placements.of(*a), Placements.of(*b)
    if one.normal.size != other.normal.size or one.anomalous.size != other.anomalous.size:
        raise DatasetError("two systems with other numbers of clips; a pair needs the same clips")
    return (one - other).error
