"""Domain adaptation at the embedding level: mean shift, unit length, z-score (report §3.4).

The report names the three, says that none helped, and gives no formula: the formulas here are
ours. Each is one function of a row, the same for a row of the bank and for a query, whose domain
nobody knows: so a clip lies where its copy in the bank lies. All are fitted on real normal clips
and applied on use, before whitening; the bank on disk keeps the embeddings as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.scoring.bank import SOURCE, TARGET
from nearfar.scoring.whiten import units

Rows = NDArray[np.float64]
Learned = Mapping[str, Rows]  # name → (dim,) or (any, dim), saved with the detector


@runtime_checkable
class Adaptation(Protocol):
    """What moves embeddings of two domains together: `fit` learns, `apply` uses what was learned.

    `apply` takes (n, dim) float64 rows and gives as many; a row must not depend on the others.

    >>> isinstance(UnitLength(), Adaptation)
    True
    """

    def fit(self, embeddings: NDArray[np.floating], domain: NDArray[np.int8]) -> Adapted: ...  # noqa: D102
    def apply(self, z: Rows, learned: Learned) -> Rows: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Adapted:
    """A fitted adaptation.

    Args:
        part: what was fitted.
        learned: what it learned; a detector's folder keeps it by name.

    >>> shifted = MeanShift().fit(np.array([[0.0], [4.0]]), np.array([0, 1], np.int8))
    >>> sorted(shifted.learned)
    ['centre', 'means', 'sd']
    >>> shifted(np.array([[1.0], [5.0]])).tolist()
    [[3.0], [3.0]]
    """

    part: Adaptation
    learned: Learned

    def __call__(self, z: NDArray[np.floating]) -> Rows:
        """Adapt rows.

        Args:
            z: (n, dim) embeddings.

        Returns:
            (n, dim) float64.

        Raises:
            SettingError: a part that breaks its contract.
        """
        # In C order, so that a sum along a row is taken in the same order for any number of rows.
        rows = self.part.apply(np.ascontiguousarray(z, dtype=np.float64), self.learned)
        # A person's own part may break its promise; a NaN in the bank would be in every score.
        if rows.shape != z.shape or not np.isfinite(rows).all():
            raise SettingError(
                f"{self.part!r} made {rows.shape} of {z.shape} embeddings, or numbers that are not "
                "finite; mend the part"
            )
        return rows


@dataclass(frozen=True)
class MeanShift:
    """Both domains are moved onto the mean of all (report §3.4; the formula is ours).

    A row loses the mean of the domain it lies nearer to and gains the mean of all real rows;
    distances to the means are taken in units of each dimension's standard deviation, because
    features have different units. As near to both: source. With one domain nothing moves.
    Pseudo-target rows fall back onto the source rows that they were made of: beside `PseudoTarget`
    this part asks what is left without it, with each source row there twice.

    >>> rows, domain = np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1], np.int8)
    >>> MeanShift().fit(rows, domain)(rows).ravel().tolist()
    [5.0, 7.0, 5.0, 7.0]
    """

    def fit(self, embeddings: NDArray[np.floating], domain: NDArray[np.int8]) -> Adapted:
        """Learn the means.

        Args:
            embeddings: (n, dim) rows of real normal clips.
            domain: (n,) 0 source, 1 target.
        """
        x = np.ascontiguousarray(embeddings, dtype=np.float64)
        centre = x.mean(axis=0)  # (dim,) of all clips alike: the many sources decide it
        # One domain alone has one mean, which is the centre: nothing moves.
        means = [x[domain == d].mean(axis=0) for d in (SOURCE, TARGET) if (domain == d).any()]
        return Adapted(
            self,
            # One sd around the common centre: with one for each domain a row would be nearer to
            # the domain that spreads more.
            {"centre": centre, "means": np.stack(means), "sd": units(centre, x - centre)},
        )

    def apply(self, z: Rows, learned: Learned) -> Rows:
        """(n, dim) rows, each moved with its domain."""
        means = learned["means"]  # (domains, dim)
        apart = [(((z - mean) / learned["sd"]) ** 2).sum(axis=1) for mean in means]
        nearest = np.argmin(apart, axis=0)  # (n,); the first of equals
        moved: Rows = z + (learned["centre"] - means)[nearest]
        return moved


@dataclass(frozen=True)
class UnitLength:
    """Every row is divided by its Euclidean length (L2 normalisation, report §3.4).

    A row of zeros has no direction and stays as it is. Cosine scoring without whitening does this
    anyway, so nothing changes there.

    >>> rows = np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> UnitLength().fit(rows, np.zeros(2, np.int8))(rows).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """

    def fit(self, embeddings: NDArray[np.floating], domain: NDArray[np.int8]) -> Adapted:
        """There is nothing to learn."""
        return Adapted(self, {})

    def apply(self, z: Rows, learned: Learned) -> Rows:
        """(n, dim) rows of length 1."""
        length = np.sqrt((z * z).sum(axis=1, keepdims=True))
        rows: Rows = z / np.where(length > 0, length, 1.0)
        return rows


@dataclass(frozen=True)
class Standardise:
    """Every dimension has mean 0 and standard deviation 1 over the real clips (report §3.4).

    One mean and one standard deviation for both domains, as a query's domain is not known. A
    dimension that is the same in all clips keeps its own unit. `ZCA` does this anyway, so before
    it nothing changes.

    >>> rows = np.array([[1.0, 7.0], [3.0, 7.0]])
    >>> Standardise().fit(rows, np.zeros(2, np.int8))(rows).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def fit(self, embeddings: NDArray[np.floating], domain: NDArray[np.int8]) -> Adapted:
        """Learn mean and standard deviation.

        Args:
            embeddings: (n, dim) rows of real normal clips.
            domain: (n,), not used.
        """
        x = np.asarray(embeddings, dtype=np.float64)
        mean = x.mean(axis=0)
        return Adapted(self, {"mean": mean, "sd": units(mean, x - mean)})

    def apply(self, z: Rows, learned: Learned) -> Rows:
        """(n, dim) rows in standard deviations from the mean."""
        rows: Rows = (z - learned["mean"]) / learned["sd"]
        return rows
