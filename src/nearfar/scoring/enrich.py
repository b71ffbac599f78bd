"""Extra rows for the target domain, which has only some ten clips (report §2.3).

Both kinds add raw embeddings, before whitening. Every new row keeps the origin of the clip it was
made of, so that leaving out a clip leaves out what was made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError
from nearfar.parts.valid import flag, is_number
from nearfar.scoring.bank import SOURCE, TARGET, MemoryBank

Pool = Mapping[int, NDArray[np.float32]]  # origin of a target clip → (m, dim) residual rows
USUAL_TARGETS = 10  # target clips of a machine in the report's data: what a fit without any awaits


@runtime_checkable
class Enrichment(Protocol):
    """Extra rows made of the real ones, as a bank of their own; None for no rows.

    >>> all(isinstance(part, Enrichment) for part in (ResidualAugmentation(), PseudoTarget()))
    True
    """

    def pool_size(self, lr_corr: float, n_source: int, n_target: int) -> int: ...  # noqa: D102
    def __call__(self, real: MemoryBank, lr_corr: float, pool: Pool) -> MemoryBank | None: ...  # noqa: D102


@runtime_checkable
class FromAudio(Enrichment, Protocol):
    """An enrichment whose rows are made of the clips' audio, as residuals with drawn factors s.

    >>> isinstance(ResidualAugmentation(), FromAudio), isinstance(PseudoTarget(), FromAudio)
    (True, False)
    """

    @property
    def match_levels(self) -> bool: ...  # noqa: D102
    def draw(self, seed: int, digest: str, size: int) -> NDArray[np.float64]: ...  # noqa: D102


@runtime_checkable
class Following(Enrichment, Protocol):
    """An enrichment that knows which rows a clip brings that is learnt after the fit.

    What the fit has made stays as it is: rows are added, none is moved. A part without it lets
    learnt clips bring their own rows alone.

    >>> all(isinstance(part, Following) for part in (ResidualAugmentation(), PseudoTarget()))
    True
    """

    def each(self, lr_corr: float, n_source: int, n_target: int) -> int: ...  # noqa: D102
    def follow(self, real: MemoryBank, new: MemoryBank, pool: Pool) -> MemoryBank | None: ...  # noqa: D102


@dataclass(frozen=True)
class ResidualAugmentation:
    """Target clips again with another far channel, R = (1 − s)·y₀ + s·y₁ (report Eq. 2).

    Only the stereo dimensions change. How many rows depends on the correlation of the two
    channels: `tiers` are (LR_corr above, rows per source clip), first match wins.

    With uncorrelated channels and a near channel far above the far one (ToyCar: +21 dB) R is
    mostly near, and the rows look like mono recordings; `match_levels` mixes y₀ at the far
    channel's level instead. The report mixes literally.

    >>> real = MemoryBank(np.array([[1.0], [9.0]]), np.arange(2), np.array([0, 1]))
    >>> pool = {1: np.array([[8.0]], np.float32)}  # a residual row of the one target clip
    >>> ResidualAugmentation()(real, lr_corr=0.1, pool=pool).embeddings.ravel()
    array([8.])
    """

    # aug_ratio of §2.3: rows per source clip, above so much LR_corr.
    tiers: tuple[tuple[float, float], ...] = ((0.6, 0.0), (0.3, 0.1), (-1.0, 1.0))
    s_range: tuple[float, float] = (0.5, 1.5)  # of s in Eq. 2, uniform
    match_levels: bool = False

    def __post_init__(self) -> None:
        pairs = isinstance(self.tiers, tuple) and all(
            isinstance(t, tuple) and len(t) == 2 and all(is_number(x) for x in t)
            for t in self.tiers
        )
        if not pairs or not self.tiers or any(not 0 <= ratio < 100 for _, ratio in self.tiers):
            raise SettingError(
                f"ResidualAugmentation.tiers is {self.tiers!r}; give (LR_corr above, rows per "
                "source clip) pairs, as in ((0.6, 0.0), (0.3, 0.1), (-1.0, 1.0))"
            )
        span = self.s_range
        if (
            not (isinstance(span, tuple) and len(span) == 2)
            or not all(is_number(x, -100, 100) for x in span)
            or span[0] > span[1]
        ):
            raise SettingError(
                f"ResidualAugmentation.s_range is {span!r}; give two, as in (0.5, 1.5)"
            )
        flag("ResidualAugmentation.match_levels", self.match_levels)

    def ratio(self, lr_corr: float) -> float:
        """Rows per source clip.

        >>> [ResidualAugmentation().ratio(r) for r in (0.86, 0.6, 0.3, -0.2)]
        [0.0, 0.1, 1.0, 1.0]
        """
        return next((ratio for above, ratio in self.tiers if lr_corr > above), self.tiers[-1][1])

    def rows(self, lr_corr: float, n_source: int) -> int:
        """How many rows a bank gets in all."""
        return round(self.ratio(lr_corr) * n_source)

    def pool_size(self, lr_corr: float, n_source: int, n_target: int) -> int:
        """Residual rows needed of each of `n_target` different clips."""
        # Rounded up: dealt out in turn, the first clips may have one row more than the last.
        return -(-self.rows(lr_corr, n_source) // n_target) if n_target else 0

    def each(self, lr_corr: float, n_source: int, n_target: int) -> int:
        """Residual rows of a target clip that is learnt: as many as the fit's first one has.

        >>> [ResidualAugmentation().each(0.1, 990, n) for n in (10, 3, 0)]
        [99, 330, 99]
        """
        return self.pool_size(lr_corr, n_source, n_target or USUAL_TARGETS)

    def follow(self, real: MemoryBank, new: MemoryBank, pool: Pool) -> MemoryBank | None:
        """All residual rows of target clips that are learnt.

        Args:
            real: rows of the fit's clips.
            new: rows of clips that are learnt.
            pool: their residual rows.
        """
        targets = [o for o in np.unique(new.origin[new.domain == TARGET]).tolist() if o in pool]
        origin = np.repeat(np.array(targets, np.int64), [len(pool[o]) for o in targets])
        if not len(origin):
            return None
        rows = np.concatenate([pool[o] for o in targets]).astype(np.float64)
        return MemoryBank(rows, origin, np.full(len(origin), TARGET, dtype=np.int8))

    def draw(self, seed: int, digest: str, size: int) -> NDArray[np.float64]:
        """The s of one clip, (size,): the same in any order, and a longer draw begins the same."""
        # Seeded by the sound itself: neither its name nor the clips beside it change what is drawn.
        words = np.frombuffer(bytes.fromhex(digest), dtype="<u4")
        return np.random.default_rng([seed, *words.tolist()]).uniform(*self.s_range, size=size)

    def __call__(self, real: MemoryBank, lr_corr: float, pool: Pool) -> MemoryBank | None:
        """Residual rows, dealt out to the target clips in turn."""
        targets = np.unique(real.origin[real.domain == TARGET])  # copies of a clip would deal twice
        total = self.rows(lr_corr, int((real.domain == SOURCE).sum()))
        if not len(targets) or not total:
            return None
        origin = targets[np.arange(total) % len(targets)]  # (total,)
        turn = np.arange(total) // len(targets)  # (total,) which of a clip's own rows
        rows = np.stack([pool[int(o)][t] for o, t in zip(origin, turn, strict=True)])
        return MemoryBank(rows.astype(np.float64), origin, np.full(total, TARGET, dtype=np.int8))


@dataclass(frozen=True)
class PseudoTarget:
    """The source rows again, moved by the difference of the domains' means (report §2.3).

    Where the shift is larger than the sources' own spread the moved rows may cover anomalies: the
    report's own caveat, and a warning when a system is fitted.

    >>> real = MemoryBank(np.array([[0.0], [2.0], [11.0]]), np.arange(3), np.array([0, 0, 1]))
    >>> PseudoTarget()(real, lr_corr=0.1, pool={}).embeddings.ravel()
    array([10., 12.])
    """

    def pool_size(self, lr_corr: float, n_source: int, n_target: int) -> int:
        """No residual rows are needed."""
        return 0

    def __call__(self, real: MemoryBank, lr_corr: float, pool: Pool) -> MemoryBank | None:
        """One row for each real source row."""
        return self.follow(real, real, pool)

    def each(self, lr_corr: float, n_source: int, n_target: int) -> int:
        """No residual rows are needed."""
        return 0

    def follow(self, real: MemoryBank, new: MemoryBank, pool: Pool) -> MemoryBank | None:
        """One row for each source row that is learnt, moved by the shift between the fit's means.

        Args:
            real: rows of the fit's clips.
            new: rows of clips that are learnt.
            pool: not used.
        """
        is_source = real.domain == SOURCE
        source, target = real.embeddings[is_source], real.embeddings[~is_source]
        if not len(source) or not len(target):
            return None
        mine = new.domain == SOURCE
        if not mine.any():
            return None
        shift_by = target.mean(axis=0) - source.mean(axis=0)  # bank + (μ_target − μ_source)
        moved = new.embeddings[mine] + shift_by
        domain = np.full(len(moved), TARGET, dtype=np.int8)
        # Of the source clips' origins: a clip held out takes its moved row with it.
        return MemoryBank(moved, new.origin[mine], domain)


def shift(
    real: MemoryBank, whiten: Callable[[NDArray[np.floating]], NDArray[np.float64]]
) -> tuple[float, float]:
    """How far the domains' means lie apart, and how far sources spread, in whitened units.

    Args:
        real: rows of real clips only.
        whiten: (n, dim) → (n, dim).

    Returns:
        ‖μ_target − μ_source‖ and the root mean square distance of source rows from μ_source;
        (nan, nan) without both domains.
    """
    z = whiten(real.embeddings)
    source, target = z[real.domain == SOURCE], z[real.domain == TARGET]
    if not len(source) or not len(target):
        return float("nan"), float("nan")
    centre = source.mean(axis=0)
    spread = np.sqrt(((source - centre) ** 2).sum(axis=1).mean())
    return float(np.linalg.norm(target.mean(axis=0) - centre)), float(spread)
