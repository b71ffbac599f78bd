"""A choice that needs no label: how alike are the normal clips of both domains to a system?

A system to which new target clips sound stranger than new source clips calls the domain an anomaly.
So of several candidates the one is taken, for each machine, whose held-out self-scores of source
clips and of target clips are distributed most alike. No test clip and no label has a say.

The distance is Kolmogorov's and Smirnov's, the largest difference of the two distribution
functions: it does not change when scores are scaled or bent by any rising function, so candidates
whose scores have different units (a distance, a ratio, a percentile) can be compared; it is between
0 and 1; and ten target clips, of which there are no more, need no bins and no density.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nearfar.detector.section import DOMAINS
from nearfar.errors import SettingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.detector.detector import Detector

    Values = NDArray[np.float64]
    Places = NDArray[np.intp]

Key = tuple[str, str]  # machine, section
Distance = Literal["ks", "quantiles"]
DISTANCES: Mapping[str, str] = {
    "ks": "Kolmogorov–Smirnov distance",
    "quantiles": "mean difference of the three quartiles, in interquartile ranges of the source",
}
FEWEST = 5  # held-out clips of a domain; with fewer there is no distribution to compare
_QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Self-scores of one section, each of a clip that was held out, by domain.

    >>> scores = HeldOut(source=np.arange(10.0), target=np.arange(4.0))
    >>> scores.enough
    False
    """

    source: Values  # (source clips,)
    target: Values  # (target clips,)

    @property
    def enough(self) -> bool:
        """Are there enough clips of both domains to be compared?"""
        return min(len(self.source), len(self.target)) >= FEWEST


@dataclass(frozen=True, eq=False)
class Balance:
    """How far apart the domains are to each candidate, and which one is taken.

    >>> alike, apart = (HeldOut(np.arange(10.0), np.arange(5.0) * 2 + off) for off in (0, 20))
    >>> found = balance([{("fan", "00"): apart}, {("fan", "00"): alike}])
    >>> found.machines, [round(d, 3) for d in found.distances["fan"]]
    ({'fan': 1}, [1.0, 0.1])
    """

    distance: Distance
    machines: Mapping[str, int]  # machine → the candidate taken
    distances: Mapping[str, tuple[float, ...]]  # machine → of each candidate; () where too few
    counts: Mapping[str, tuple[int, int]]  # machine → held-out clips, source and target
    drawn: Mapping[str, Places]  # machine → (draws,) taken on clips drawn again


def held_out(detector: Detector) -> dict[Key, HeldOut]:
    """The self-scores of a detector by domain, of clips that no encoder was trained on."""
    found = {}
    for key, section in detector.sections.items():
        own = detector.self_scores(*key)
        parts = {name: own[section.judges & section.of_domain(name)] for name in DOMAINS}
        found[key] = HeldOut(**parts)
    return found


def balance(
    candidates: Sequence[Mapping[Key, HeldOut]],
    *,
    distance: Distance = "ks",
    draws: int = 0,
    seed: int = 0,
) -> Balance:
    """Take for each machine the candidate to which its domains sound most alike.

    Of equals the first is taken, the system as given. So it is where a machine has fewer than
    `FEWEST` held-out clips of a domain: what ten clips say of a distribution is little, what two
    say is nothing. Of several sections the mean distance counts.

    Args:
        candidates: self-scores of each, of the same machines and sections.
        distance: "ks", or "quantiles".
        draws: how often to choose again on clips drawn with replacement, the same for all.
        seed: of these draws.

    Raises:
        SettingError: no candidate, or another distance.
    """
    if not candidates or distance not in DISTANCES:
        raise SettingError(
            f"{len(candidates)} candidates by distance {distance!r}; give at least one, and one "
            f"of {', '.join(DISTANCES)}"
        )
    taken: dict[str, int] = {}
    distances: dict[str, tuple[float, ...]] = {}
    counts: dict[str, tuple[int, int]] = {}
    again: dict[str, Places] = {}
    for machine in dict.fromkeys(machine for machine, _ in candidates[0]):
        keys = [key for key in candidates[0] if key[0] == machine]
        sections = [[one[key] for one in candidates] for key in keys]
        counts[machine] = (
            sum(len(of_section[0].source) for of_section in sections),
            sum(len(of_section[0].target) for of_section in sections),
        )
        known = [s for s in sections if all(one.enough for one in s)]
        if not known:
            taken[machine], distances[machine] = 0, ()
            again[machine] = np.zeros(draws, dtype=np.intp)
            continue
        found = np.array([[apart(one, distance) for one in s] for s in known]).mean(axis=0)
        distances[machine] = tuple(found.tolist())
        taken[machine] = int(np.argmin(found))
        again[machine] = _again(known, distance, draws, seed)
    return Balance(distance, taken, distances, counts, again)


def apart(scores: HeldOut, distance: Distance = "ks") -> float:
    """The distance of the two domains' self-scores; 0 where they are distributed alike.

    >>> apart(HeldOut(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.5, 3.5])))
    0.5
    """
    everyone = np.arange(len(scores.source))[None], np.arange(len(scores.target))[None]
    return float(_distances(scores, everyone, distance)[0])


def _again(
    sections: Sequence[Sequence[HeldOut]], distance: Distance, draws: int, seed: int
) -> Places:
    """(draws,) the candidate taken on clips drawn again, the same clips for every candidate."""
    total = np.zeros((len(sections[0]), draws))
    for number, of_section in enumerate(sections):
        for k, one in enumerate(of_section):
            rng = np.random.default_rng((seed, number))  # anew: as many clips, the same draws
            some = (
                rng.integers(0, len(one.source), (draws, len(one.source))),
                rng.integers(0, len(one.target), (draws, len(one.target))),
            )
            total[k] += _distances(one, some, distance)
    chosen: Places = np.argmin(total, axis=0)
    return chosen


def _distances(scores: HeldOut, some: tuple[Places, Places], distance: Distance) -> Values:
    """(draws,) of clips by their places, (draws, clips) of source and of target."""
    if distance == "quantiles":
        return _by_quartiles(scores.source[some[0]], scores.target[some[1]])
    n, m = len(scores.source), len(scores.target)
    values = np.concatenate([scores.source, scores.target])
    order = np.argsort(values, kind="stable")
    # Only behind the last of equal values are both distribution functions what they are.
    ends = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    # In whole numbers, n·m times too large, so that equal distances are equal to the bit.
    steps = np.concatenate([m * _times(some[0], n), -n * _times(some[1], m)], axis=1)[:, order]
    largest: Values = np.abs(np.cumsum(steps, axis=1)[:, ends]).max(axis=1) / (n * m)
    return largest


def _times(places: Places, count: int) -> NDArray[np.int64]:
    """(draws, count) how often each clip was drawn."""
    times = np.zeros((len(places), count), dtype=np.int64)
    np.add.at(times, (np.arange(len(places))[:, None], places), 1)
    return times


def _by_quartiles(source: Values, target: Values) -> Values:
    """(draws,) in units of the source's spread, so that a factor on all scores is none here."""
    of_source, of_target = (np.quantile(x, _QUARTILES, axis=1) for x in (source, target))
    differences: Values = np.abs(of_target - of_source).mean(axis=0)
    spread = of_source[2] - of_source[0]
    # Sources that are all equal have no spread: any difference is then as far as can be.
    far = np.where(differences > 0, np.inf, 0.0)
    distances: Values = np.divide(differences, spread, out=far, where=spread > 0)
    return distances
