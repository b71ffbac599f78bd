"""Scores that were ranked or scaled within the test set, recognised by what that leaves behind.

Who ranks scores among the test clips, or brings them to a range or a mean there, has used all test
clips for each: what is said of one clip depends on the others (transductive). Such numbers lie
higher, by 2.4 points where it was measured (AAU, DCASE 2026), and no detector that hears one clip
at a time can reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import section_name, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.float64]

TRANSDUCTIVE = "transductive"  # beside every number of such scores
FEWEST = 10  # clips of a machine; fewer may look like anything
RANKS = 10  # different scores that are taken for ranks
DISTINCT = 5  # different scores; two values are evenly spaced whatever they are
_SHARES = 5000  # normal clips at most, or parts of a weighted mean of two shares
_CLOSE = 1e-6  # shares of the range; files may have six digits


def scaled_within(table: ScoreTable) -> str:
    """What was done to scores within the test set, and where, as a clause; "" if nothing is seen.

    Recognised are ranks (whatever their unit; ties of any kind), mean 0 with standard deviation 1,
    0 to 1 by the least and the largest score, and means of several ranks or of several such
    z-scores; within each machine and section, or over all clips together. Ranks and z-scores of one
    machine are enough. The other marks can come by chance, most of all where scores are shares of
    so many normal clips: they must be seen in all machines, and shares are left alone.

    >>> from nearfar.scores.join import ScoredFile
    >>> rows = [ScoredFile("fan", "00", f"{i}.wav", (7 * i % 20 + 1) / 20) for i in range(20)]
    >>> scaled_within(ScoreTable(tuple(rows)))
    'the ranks of fan, section 00'
    """
    sections: dict[tuple[str, str], list[float]] = {}
    for row in table.rows:
        sections.setdefault((row.machine, section_name(row.section)), []).append(row.score)
    parts = {
        f"{shown(machine)}, section {shown(section)}": np.array(scores)
        for (machine, section), scores in sections.items()
    }
    everything = {"all clips together": np.array([row.score for row in table.rows])}
    # Machines first: what is true of each is in part true of all.
    return _seen(parts) or (_seen(everything) if len(parts) > 1 else "")


def _seen(parts: Mapping[str, Values]) -> str:
    enough = {
        name: scores
        for name, scores in parts.items()
        if len(scores) >= FEWEST and len(np.unique(scores)) >= DISTINCT
    }
    for what, looks_so in _SURE.items():
        for name, scores in enough.items():
            if looks_so(scores):
                return f"{what} of {name}"
    for what, (looks_so, machines) in _LIKELY.items():
        if len(enough) >= machines and all(map(looks_so, enough.values())):
            return f"{what} of {', '.join(list(enough)[:1])}" + " and others" * (len(enough) > 1)
    return ""


def _are_ranks(scores: Values) -> bool:
    """Is the score a straight line of its rank, of ties the least, mean, largest or next one?"""
    values, counts = np.unique(scores, return_counts=True)
    # Of few normals, percentiles are evenly spaced by chance, the more so the fewer they are.
    if len(values) < max(RANKS, len(scores) / 2):
        return False
    last = np.cumsum(counts)
    values = values / np.abs(values).max()
    kinds = [last - counts, last - (counts - 1) / 2, last]
    if 10 * len(values) >= 9 * len(scores):  # else all steps of a scale may be there by chance
        kinds.append(np.arange(len(values)))
    span = values[-1] - values[0]
    return any(
        bool(np.all(np.abs((values - values[0]) / span - (k - k[0]) / (k[-1] - k[0])) <= _CLOSE))
        for k in map(np.asarray, kinds)
    )


def _spans_the_unit(scores: Values) -> bool:
    """Exactly one clip at 0 and one at 1, which are the ends, and no shares in between."""
    near = [np.abs(scores - end) <= _CLOSE for end in (0.0, 1.0)]
    inside = scores.min() >= -_CLOSE and scores.max() <= 1 + _CLOSE
    return bool(inside and all(int(one.sum()) == 1 for one in near)) and not _are_shares(scores)


def _are_shares(scores: Values) -> bool:
    """Are all of them so many parts of one number of normal clips?"""
    parts = np.arange(1, _SHARES + 1)[:, None]
    off = np.abs(scores * parts - np.round(scores * parts)).max(axis=1)
    return bool((off <= _CLOSE * parts[:, 0]).any())


def _are_z_scores(scores: Values) -> bool:
    """Mean 0, and standard deviation 1 by either formula."""
    # Wider than for the other marks: two numbers must fit at once.
    if np.abs(scores).max() > len(scores):  # no z-score can be; squares of huge ones overflow
        return False
    spreads = [scores.std(ddof=ddof) for ddof in (0, 1)]
    return bool(abs(scores.mean()) <= 5e-4 and min(abs(s - 1) for s in spreads) <= 5e-4)


def _are_means_of_z_scores(scores: Values) -> bool:
    """Mean 0 to the last digit; a spread of 1 is lost where several are averaged."""
    unit = scores / np.abs(scores).max()  # before it is squared: scores may be huge
    return bool(abs(unit.mean()) <= 1e-9 * unit.std())


def _are_means_of_ranks(scores: Values) -> bool:
    """Within 0 to 1, with the mean that ranks have: (n + 1)/2n, ½ or (n − 1)/2n."""
    n = len(scores)
    if scores.min() < -_CLOSE or scores.max() > 1 + _CLOSE:
        return False
    if len(np.unique(scores)) < max(RANKS, n / 2):  # shares of few normal clips: any mean may be
        return False
    means = ((n + 1) / (2 * n), 0.5, (n - 1) / (2 * n))
    return any(abs(scores.mean() - mean) <= 1e-9 for mean in means)


_SURE: Mapping[str, Callable[[Values], bool]] = {
    "the ranks": _are_ranks,
    "mean 0 and standard deviation 1": _are_z_scores,
}
# With how many machines it must be seen: one mean can be any number.
_LIKELY: Mapping[str, tuple[Callable[[Values], bool], int]] = {
    "0 to 1, by the least and the largest score,": (_spans_the_unit, 1),
    "means of ranks": (_are_means_of_ranks, 2),
    "mean 0": (_are_means_of_z_scores, 2),
}
