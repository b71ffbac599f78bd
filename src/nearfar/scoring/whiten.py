"""Make Euclidean distance a Mahalanobis distance, honestly regularised (report §2.3).

Features are standardised, then their correlation matrix R is shrunk towards the identity,
R_λ = (1 − λ) R + λ I, and rows are multiplied by a square root of its inverse. Distances do not
depend on which root: the bank keeps the symmetric one (ZCA), cross-fitting takes Cholesky's,
which costs a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.parts.valid import is_number

Rows = NDArray[np.float64]
BLOCK = 32  # rows per matrix product, see `Whitening.__call__`
LANES = 8  # its width is a multiple of this
LEAST = 1e-6  # λ; below, R_λ is singular within float64 when clips are few


@dataclass(frozen=True, eq=False)
class Whitening:
    """A fitted whitening: `(z − mean) @ matrix`.

    >>> Whitening(mean=np.array([1.0]), matrix=np.array([[2.0]]))(np.array([[4.0]]))
    array([[6.]])
    """

    mean: Rows  # (dim,)
    matrix: Rows  # (dim, dim)

    def __repr__(self) -> str:
        return f"<Whitening: {len(self.mean)} dimensions>"

    def __call__(self, z: NDArray[np.floating]) -> Rows:
        """Whiten rows.

        The product is taken in blocks of one fixed shape, padded with zeros: a BLAS library may
        round a row differently for another number of rows, and in a width that is no multiple of
        its registers' even by its place, and the score of a clip must not depend on the clips
        scored beside it.

        Args:
            z: (n, dim) embeddings.

        Returns:
            (n, dim) float64; Euclidean distance between rows is Mahalanobis distance in `z`.
        """
        dim = z.shape[1]
        width = -(-dim // LANES) * LANES
        matrix = self.matrix
        if width != dim:
            matrix = np.zeros((width, width))
            matrix[:dim, :dim] = self.matrix
        out = np.empty(z.shape, dtype=np.float64)
        padded = np.zeros((BLOCK, width))
        for first in range(0, len(z), BLOCK):
            part = z[first : first + BLOCK]
            padded[: len(part), :dim] = part
            padded[: len(part), :dim] -= self.mean
            out[first : first + BLOCK] = (padded @ matrix)[: len(part), :dim]
        return out


@runtime_checkable
class Whitener(Protocol):
    """Fitted on the rows of real normal clips it gives a `Whitening`.

    >>> isinstance(ZCA(), Whitener)
    True
    """

    def fit(self, z: NDArray[np.floating], root: Literal["zca", "cholesky"] = "zca") -> Whitening:
        """As `ZCA.fit`; `root` may be ignored, all distances are the same."""
        ...


@dataclass(frozen=True)
class ZCA:
    """Zero-phase component analysis of standardised features (report §2.3).

    `shrinkage` is λ of the shrunk correlation matrix, or `"ledoit-wolf"` for the λ that minimises
    the expected squared error (Ledoit and Wolf, J. Multivariate Analysis 88, 2004). With fewer
    clips than dimensions λ decides how loud the unseen directions are.

    >>> rows = np.random.default_rng(0).standard_normal((200, 3)) * [1.0, 10.0, 100.0]
    >>> whitened = ZCA(shrinkage=1e-6).fit(rows)(rows)
    >>> bool(np.allclose(np.cov(whitened.T, bias=True), np.eye(3), atol=1e-3))
    True
    """

    shrinkage: float | Literal["ledoit-wolf"] = 0.01  # λ, 0.000001 to 1

    def __post_init__(self) -> None:
        value = self.shrinkage
        if value != "ledoit-wolf" and not is_number(value, LEAST, 1):
            raise SettingError(
                f"ZCA.shrinkage is {value!r}; it is 'ledoit-wolf' or {LEAST:f} to 1, as in 0.01"
            )

    def fit(self, z: NDArray[np.floating], root: Literal["zca", "cholesky"] = "zca") -> Whitening:
        """Fit on the rows of real normal clips.

        Args:
            z: (n, dim) embeddings. A feature that is the same in all of them keeps its own unit.
            root: which square root of R_λ⁻¹; all distances are the same.

        Returns:
            The fitted whitening.
        """
        x = np.asarray(z, dtype=np.float64)
        mean = x.mean(axis=0)
        y = x - mean
        scale = units(mean, y)
        y /= scale
        shrunk = y.T @ y / len(y)  # R, (dim, dim)
        amount = ledoit_wolf(y, shrunk) if self.shrinkage == "ledoit-wolf" else self.shrinkage
        shrunk *= 1 - amount
        # (1 − λ) + λ; a constant feature has 0 there, and √λ⁻¹ would be its unit.
        shrunk.flat[:: len(shrunk) + 1] = 1.0
        return Whitening(mean, _inverse_root(shrunk, root) / scale[:, None])


def units(mean: Rows, y: Rows) -> Rows:
    """What each feature is measured in: its standard deviation, or 1 where it is constant.

    Args:
        mean: (dim,) of the rows.
        y: (n, dim) the rows less their mean.

    Returns:
        (dim,), all above 0.
    """
    scale: Rows = np.sqrt(np.einsum("ij,ij->j", y, y) / len(y))
    # A constant feature has no spread to be measured in; rounding makes it almost constant.
    scale[scale <= 1e-9 * np.maximum(np.abs(mean), 1e-3)] = 1.0
    return scale


def ledoit_wolf(y: Rows, covariance: Rows | None = None) -> float:
    """The shrinkage λ that minimises the expected squared error of the covariance matrix.

    Args:
        y: (n, dim) rows with mean zero.
        covariance: (dim, dim) yᵀy / n, if it is known already.

    Returns:
        λ in [0.000001, 1] (never 0: the inverse must exist).

    Source:
        Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices",
        J. Multivariate Analysis 88 (2004), Lemmas 3.2–3.4.
    """
    n, dim = y.shape
    # The smaller of the two Gram matrices serves as well: they share ‖S‖² and tr S.
    gram = (y @ y.T if n < dim else y.T @ y) / n if covariance is None else covariance
    squares = np.einsum("ij,ij->i", y, y)  # (n,) ‖y_i‖²
    mu = squares.sum() / n / dim
    norm = float(np.einsum("ij,ij->", gram, gram))  # ‖S‖²
    spread = norm - dim * mu**2  # d² · dim in the paper's notation
    if spread <= 0:
        return 1.0
    noise = ((squares**2).sum() / n - norm) / n  # b̄² · dim
    return float(np.clip(noise / spread, LEAST, 1.0))


def _inverse_root(matrix: Rows, root: Literal["zca", "cholesky"]) -> Rows:
    """A with A Aᵀ = matrix⁻¹ (so that rows are multiplied from the right)."""
    if root == "cholesky":
        from scipy.linalg import cholesky, lapack

        # Symmetric, so .T is the same matrix in the order that LAPACK takes without a copy.
        lower = cholesky(matrix.T, lower=True, check_finite=False)
        inverse, _ = lapack.dtrtri(lower, lower=1)
        return np.ascontiguousarray(inverse.T)
    values, vectors = np.linalg.eigh(matrix)
    root_matrix: Rows = (vectors / np.sqrt(values)) @ vectors.T
    return root_matrix
