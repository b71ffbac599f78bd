"""Which features to keep: the report's selection (§2.1.2) as a tool.

The report leaves out candidates "with large source/target distribution difference (Wasserstein
distance > τ)". Distances between few clips are large by chance alone, and the target has ten: so
each is taken in units of the source's spread, and from it is taken what random subsets of the
source, of the target's size, show against the rest of the source. Normal training clips only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfar.embedder.dif.table import CANDIDATES
from nearfar.errors import DatasetError, SettingError
from nearfar.sound.spectral import Float64

REPEATS = 50  # random subsets of the source; their mean is known to 1/√50, 14 %, of their sd


def shift(
    features: ArrayLike,
    domain: Sequence[str],
    machine: Sequence[str],
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Float64:
    """How far each feature moves between the domains, beyond chance.

    Args:
        features: (clips, d) of normal training clips.
        domain: "source" or "target" of each clip.
        machine: which machine each clip is of; machines without both domains do not count.
        repeats: random subsets that chance is judged by.
        seed: of the subsets.

    Returns:
        (d,): 1-Wasserstein distance of source and target, minus its mean over random subsets of
        the source, in standard deviations of the source; averaged over machines. About 0 for a
        feature that does not move, infinite for one that is constant in the source and moves.

    Raises:
        DatasetError: lengths differ, a value is not finite, another domain, or no machine with a
            target clip and at least two source clips more than target clips.
        SettingError: `repeats` is below 1.
    """
    x = np.asarray(features, dtype=np.float64)
    domains, machines = np.asarray(domain), np.asarray(machine)
    _check(x, domains, machines, repeats)
    shifts = []
    for number, name in enumerate(sorted(set(machines.tolist()))):
        rows = machines == name
        source, target = x[rows & (domains == "source")], x[rows & (domains == "target")]
        # What a subset leaves of the source must have two clips: one has no distribution.
        if len(target) and len(source) >= len(target) + 2:
            rng = np.random.default_rng([seed, number])  # whatever the order of the clips
            shifts.append(_shift_of_machine(source, target, repeats, rng))
    if not shifts:
        raise DatasetError(
            "no machine has both domains and at least two source clips more than target clips; "
            "features are chosen by comparing the domains"
        )
    mean: Float64 = np.mean(shifts, axis=0)
    return mean


def select(
    distances: ArrayLike,
    *,
    keep: int | None = None,
    tau: float | None = None,
    names: Sequence[str] = CANDIDATES,
) -> tuple[str, ...]:
    """The features that move least, as `DIF(names=…)` takes them.

    Args:
        distances: (d,) of `shift`.
        keep: how many; or
        tau: the largest distance to keep.
        names: (d,), what the distances belong to.

    Returns:
        Their names, in the order of `names`.

    Raises:
        SettingError: neither or both of `keep` and `tau`, another number of names, or nothing
            left.

    >>> select([0.3, 0.1, 0.2], keep=2, names=("a", "b", "c"))
    ('b', 'c')
    """
    d = np.asarray(distances, dtype=np.float64)
    if d.shape != (len(names),):
        raise SettingError(f"distances of shape {d.shape} for {len(names)} names; give one a name")
    if (keep is None) == (tau is None):
        raise SettingError("give either keep, how many features, or tau, the largest distance")
    if keep is not None and not 1 <= keep <= len(names):
        raise SettingError(f"keep={keep}; there are {len(names)} features, keep 1 to all of them")
    if tau is None:
        chosen = np.sort(np.argsort(d, kind="stable")[:keep])  # of equals the earlier
    else:
        chosen = np.flatnonzero(d <= tau)
    if not len(chosen):
        raise SettingError(f"tau={tau} leaves no feature; the smallest distance is {d.min():.4g}")
    return tuple(names[i] for i in chosen)


def _check(x: Float64, domains: NDArray[np.str_], machines: NDArray[np.str_], repeats: int) -> None:
    if x.ndim != 2 or not len(x) == len(domains) == len(machines):
        raise DatasetError(
            f"features of shape {x.shape}, {len(domains)} domains, {len(machines)} machines; "
            "give one row, domain and machine a clip"
        )
    if not np.isfinite(x).all():
        raise DatasetError(f"clip {np.argwhere(~np.isfinite(x))[0][0]} has a feature that is NaN "
                           "or infinite; leave it out")  # fmt: skip
    if unknown := set(domains.tolist()) - {"source", "target"}:
        raise DatasetError(f"domain {min(unknown)!r}; it is 'source' or 'target'")
    if repeats < 1:
        raise SettingError(f"repeats={repeats}; chance needs at least 1 random subset")


def _shift_of_machine(
    source: Float64, target: Float64, repeats: int, rng: np.random.Generator
) -> Float64:
    moved = wasserstein(source, target)  # (d,)
    chance = np.zeros(source.shape[1])
    for _ in range(repeats):
        order = rng.permutation(len(source))
        subset, rest = order[: len(target)], order[len(target) :]
        chance += wasserstein(source[rest], source[subset]) / repeats
    varies = source.max(axis=0) > source.min(axis=0)
    result: Float64 = np.where(moved > 0, np.inf, 0.0)  # of what is constant in the source
    np.divide(moved - chance, source.std(axis=0), out=result, where=varies)
    return result


def wasserstein(a: Float64, b: Float64) -> Float64:
    """1-Wasserstein distance ∫ |F_a − F_b| of two samples, column by column.

    Args:
        a: (n, d).
        b: (m, d).

    Returns:
        (d,).

    >>> wasserstein(np.array([[0.0], [1.0]]), np.array([[2.0]])).tolist()
    [1.5]
    """
    values = np.concatenate([a, b])
    order = np.argsort(values, axis=0, kind="stable")
    steps = np.where(order < len(a), 1 / len(a), -1 / len(b))  # where F_a − F_b jumps, by how much
    difference = np.abs(np.cumsum(steps, axis=0)[:-1])
    gaps = np.diff(np.take_along_axis(values, order, axis=0), axis=0)
    distance: Float64 = (difference * gaps).sum(axis=0)
    return distance
