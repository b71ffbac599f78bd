"""An encoder's grid → one row a clip: over time only, so that frequency bands are kept.

A grid is (columns, bands, dim): what an encoder heard in each stretch of time and each band.
Without `Pooled` an encoder makes its row itself, of the mean over both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.contract import (
    Embedder,
    Rows32,
    batch_of,
    check,
    encodes,
    has_grid,
    identity_of,
    is_two_step,
    preparation_of,
)
from nearfar.errors import SettingError
from nearfar.parts.data import TYPES
from nearfar.parts.own import guarded, shown
from nearfar.parts.valid import number
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio

Pooled64 = NDArray[np.float64]  # (bands, dim)


@runtime_checkable
class GridPooling(Protocol):
    """A grid (columns, bands, dim) in, (bands, dim) out, every band by itself.

    >>> isinstance(Bands(), GridPooling), isinstance(RelativeDeviation(), GridPooling)
    (True, True)
    """

    def __call__(self, grid: NDArray[np.floating]) -> Pooled64: ...  # noqa: D102


@dataclass(frozen=True)
class Mean:
    """The embedder's own row, to the bit: of BEATs and YAMNet the mean over columns and bands.

    What it keeps is one band. It is a name for what happens without `Pooled`, to compare with.

    >>> Mean()(np.array([[[1.0], [5.0]], [[3.0], [7.0]]])).tolist()
    [[4.0]]
    """

    def __call__(self, grid: NDArray[np.floating]) -> Pooled64:
        """(columns, bands, dim) → (1, dim)."""
        mean: Pooled64 = np.asarray(grid, np.float64).mean(axis=(0, 1))[None]
        return mean


@dataclass(frozen=True)
class Bands:
    """The mean over time of each band.

    >>> Bands()(np.array([[[1.0], [5.0]], [[3.0], [7.0]]])).tolist()  # two columns, two bands
    [[2.0], [6.0]]
    """

    def __call__(self, grid: NDArray[np.floating]) -> Pooled64:
        """(columns, bands, dim) → (bands, dim)."""
        mean: Pooled64 = np.asarray(grid, np.float64).mean(axis=0)
        return mean


@dataclass(frozen=True)
class RelativeDeviation:
    """A mean over time of each band in which columns far from the mean count more (RDP).

    d(t) = ‖x(t) − μ‖ of a band with mean μ, as a share of the largest of the clip; weights are
    (1 + d)^power, made to sum 1. Power 0 is the mean. A band that never changes has its mean.

    Source:
        arXiv 2608.00447; 4 and 8 are published.

    >>> grid = np.array([0.0, 0.0, 0.0, 4.0]).reshape(4, 1, 1)  # μ = 1, d = ⅓, ⅓, ⅓, 1
    >>> RelativeDeviation(power=1)(grid).tolist()  # 4 · 2 / (3 · 4/3 + 2)
    [[1.3333333333333333]]
    """

    power: float = 8.0  # γ

    def __post_init__(self) -> None:
        number("RelativeDeviation.power", self.power, 0, 100)

    def __call__(self, grid: NDArray[np.floating]) -> Pooled64:
        """(columns, bands, dim) → (bands, dim)."""
        x = np.asarray(grid, np.float64)
        off = x - x.mean(axis=0)
        d = np.sqrt(np.einsum("tfd,tfd->tf", off, off))  # (columns, bands)
        largest = d.max(axis=0)
        weights = (1 + d / np.where(largest > 0, largest, 1.0)) ** self.power
        weights /= weights.sum(axis=0)
        pooled: Pooled64 = np.einsum("tf,tfd->fd", weights, x)
        return pooled


POOLINGS = (Mean, Bands, RelativeDeviation)


@dataclass(frozen=True)
class Pooled:
    """An encoder whose grid is pooled over time; its row is (bands · dim), one band behind another.

    `PerBand` scores each band by a bank of its own.

    Args:
        embedder: with a grid, such as EAT(weights).
        pooling: `Bands()`, `RelativeDeviation(power)`, or `Mean()` for the embedder's own row.

    Raises:
        SettingError: an embedder without a grid, or no pooling.

    >>> from nearfar.embedder.eat import EAT
    >>> Pooled(EAT("a folder"), Bands()).bands, Pooled(EAT("a folder"), Mean()).bands
    (8, 1)
    """

    embedder: Embedder
    pooling: GridPooling = Bands()

    def __post_init__(self) -> None:
        if not has_grid(self.embedder):
            raise SettingError(
                f"Pooled.embedder is {self.embedder!r}, which has no grid of columns and bands; "
                "give one such as EAT(weights)"
            )
        pooling = self.pooling
        # Whatever can be called passes for one, and other parts of ours can.
        other = type(pooling).__name__ in TYPES and not isinstance(pooling, POOLINGS)
        if other or isinstance(pooling, type) or not isinstance(pooling, GridPooling):
            raise SettingError(f"Pooled.pooling is {pooling!r}; give one such as Bands()")

    @property
    def channels(self) -> int:
        """Those of the embedder inside."""
        return self.embedder.channels

    @property
    def bands(self) -> int:
        """How many bands a row keeps apart."""
        inner: Any = self.embedder
        return 1 if self._own else int(inner.grid_bands)

    @property
    def dim(self) -> int:
        """Numbers a clip: those of a band, times the bands."""
        inner: Any = self.embedder
        return self.embedder.dim if self._own else self.bands * int(inner.grid_dim)

    @property
    def fingerprint(self) -> str:
        """The embedder's, and how its grid is pooled."""
        # The 1 rises when the same settings would pool otherwise.
        return f"{self.embedder.fingerprint}, pooled-1 {self.pooling!r}"

    @property
    def identity(self) -> str:
        """The settings, without the place of any weights."""
        inner = f"{type(self.embedder).__name__}({identity_of(self.embedder)})"
        return f"Pooled({inner}, {self.pooling!r})"

    @property
    def preparation(self) -> str:
        """What the embedder inside makes of a clip alone; "" if it is silent."""
        return preparation_of(self.embedder) if is_two_step(self.embedder) else ""

    @property
    def encodes(self) -> bool:
        """Is work left after the first step? It does all of an encoder of one step."""
        return encodes(self.embedder)

    @property
    def batch(self) -> int:
        """As many clips at a time as the embedder inside likes."""
        return batch_of(self.embedder)

    @property
    def grid_source(self) -> Embedder | None:
        """The embedder inside, whose grids are pooled; None with `Mean()`, which pools none."""
        return None if self._own else self.embedder

    @property
    def _own(self) -> bool:
        return isinstance(self.pooling, Mean)

    def check(self, runtime: Runtime) -> None:
        """What the embedder inside refuses is refused."""
        check(self.embedder, runtime)

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(channels, samples) each → (batch, dim)."""
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> Any:
        """What the embedder inside prepares; its row, where it works in one step."""
        inner: Any = self.embedder
        if is_two_step(inner):
            return inner.prepare(audio)
        # Workers take this step, and with it all the work.
        return inner([audio])[0] if self._own else self.row_of(inner.grids([audio], Runtime())[0])

    def encode(self, prepared: Sequence[Any], runtime: Runtime) -> Rows32:
        """Clips as prepared → (clips, dim)."""
        if not is_two_step(self.embedder):
            return np.stack(prepared)
        if self._own:
            return self.embedder.encode(prepared, runtime)
        inner: Any = self.embedder
        return np.stack([self.row_of(grid) for grid in inner.grids(prepared, runtime)])

    def row_of(self, grid: NDArray[np.float32]) -> Rows32:
        """(columns, bands, dim) → (bands · dim,).

        Raises:
            SettingError: a pooling that breaks its promise.
        """
        said = np.asarray(guarded(self.pooling, self.pooling, grid, kind="pooling"))
        # A person's own may break its promise; its rows would be in every score.
        fits = said.shape == grid.shape[1:] and said.dtype.kind in "fiu"
        with np.errstate(over="ignore"):  # to infinity, which is found below
            pooled = said.astype(np.float32) if fits else said
        if not fits or not np.isfinite(pooled).all():
            raise SettingError(
                f"{shown(self.pooling)} gave {said.shape} of a grid {grid.shape}, or numbers that "
                f"are not finite; its contract says {grid.shape[1:]}: mend the pooling"
            )
        row: Rows32 = pooled.ravel()
        return row
