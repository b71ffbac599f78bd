"""Training clips that a system itself finds far from the others, also where they hide one another.

Self-scores know one bad clip among thirty. Four that share a fault know each other, and whitening
takes them for spread: each is near the other three. So clips that lie apart in robust units, which
a few rows cannot bend, are all held out together and judged by a bank made without any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.detector.member import Member, NormalRows, fit_member
from nearfar.detector.section import Section
from nearfar.embedding.jobs import Heard
from nearfar.health.copies import Sound
from nearfar.health.suspects import Suspect, by_look, by_score
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import Index, Rows
from nearfar.scoring.rule import judged
from nearfar.system.system import System
from nearfar.text import called, named

FAR = 8.0  # MAD above the median, from which a score is far from the others
# Few clips and many features have long tails: simulated normals reach 36 MAD, at 3.6 times the
# median; one bad clip of thirty is at 200 MAD and 16 times.
TIMES = 4.0  # the median
APART = 5.0  # MAD, from which a clip is held out to be looked at: it need only be odd
GROUP = 0.2  # share of the clips up to which those held out are a few; more are a way to be
FEWEST = 12  # clips of a domain that make a MAD; of fewer some are always far from the rest
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Fitted:
    """One member of a system on one machine's clips.

    Args:
        recipe, member: the member, not fitted and fitted.
        table: the rows that it was fitted on.
        folds: (n,) the fold of each clip.
        weight: in the ensemble.

    >>> rows = NormalRows(np.ones((1, 2), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int8),
    ...                   np.zeros(1))
    >>> Fitted(None, None, rows, np.zeros(1, np.int64), 1.0).weight
    1.0
    """

    recipe: System
    member: Member
    table: NormalRows
    folds: Index
    weight: float


def suspects_of(
    heard: Sequence[tuple[Clip, Heard]], members: Sequence[Fitted], fresh: Sequence[bool] | None
) -> list[Suspect]:
    """Clips of one machine and section that a person should look at, by look and by score.

    Args:
        heard: (n,), all different, in the order of the members' rows.
        members, fresh: as in `standouts`.
    """
    looks = [(clip, what.look) for clip, what in heard if what.look is not None]
    return [*by_look(looks), *standouts([clip for clip, _ in heard], members, fresh)]


def sounds_of(heard: Sequence[tuple[Clip, Heard]]) -> list[Sound]:
    """What copies are told by, of clips that were looked at."""
    return [Sound(clip, what.look, what.digest) for clip, what in heard if what.look is not None]


def standouts(
    clips: Sequence[Clip], members: Sequence[Fitted], fresh: Sequence[bool] | None
) -> list[Suspect]:
    """Clips of one machine and section that stand out by score.

    Args:
        clips: (n,), all different, in the order of the members' rows.
        members: one or more.
        fresh: which clips no encoder was trained on; those score higher by nature.

    Returns:
        At most `GROUP` of the clips; none where they are too few to tell.
    """
    # One of weight 0, as a study may have, has no say.
    members = [one for one in members if one.weight > 0]
    groups = _groups(members[0].table, fresh)
    flagged = _far([m.member.self_scores for m in members], members, groups)
    scores = members[0].member.self_scores  # what a person reads is one member's
    apart = _apart(members, groups) | flagged
    if apart.any():
        held = [_held_out(m, apart) for m in members]
        flagged |= apart & _far(held, members, groups, without=apart)
        scores = held[0]
    usual = float(np.median(scores[~apart])) if not apart.all() else float("nan")
    return by_score(clips, flagged, scores, usual)


def newcomers_far(
    clips: Sequence[Clip], members: Sequence[Fitted], scores: Sequence[Rows],
    fresh: Sequence[bool] | None,
) -> list[Suspect]:  # fmt: skip
    """Clips that a detector would find far from all that it knows, were they learnt.

    Args:
        clips: (m,) that it does not know.
        members: of it; their tables have the n clips known, then these.
        scores: of each member, (m,) what it says of these.
        fresh: (n,) which of those known no encoder was trained on; None: nothing was trained.
    """
    m = len(clips)
    both = [
        np.concatenate([one.member.self_scores, said])
        for one, said in zip(members, scores, strict=True)
    ]
    new = np.arange(len(both[0])) >= len(both[0]) - m
    # A clip that nobody was trained on is held against such clips, if there are any.
    kinds = None if fresh is None or not any(fresh) else (*fresh, *([True] * m))
    chosen = [(one, own) for one, own in zip(members, both, strict=True) if one.weight > 0]
    ours, of = [one for one, _ in chosen], [own for _, own in chosen]
    groups = [g for g in _alike(ours[0].table.domain, kinds) if (~new[g]).sum() >= FEWEST]
    flagged = _far(of, ours, groups, without=new)
    usual = float(np.median(of[0][~new]))
    return [
        Suspect(clips[i], "score", f"×{of[0][-m:][i] / usual:.3g}" if usual > 0 else "")
        for i in np.flatnonzero(flagged[-m:]).tolist()
    ]


def _far(
    scores: Sequence[Rows],
    members: Sequence[Fitted],
    groups: Sequence[Index],
    without: Mask | None = None,
) -> Mask:
    """(n,) clips beyond what normal clips reach, by MADs and, on average, by times the median."""
    times = np.zeros(len(scores[0]))
    for own, m in zip(scores, members, strict=True):
        usual = float(np.median(own if without is None or without.all() else own[~without]))
        # A rule's scores may be no distances; below 0 there are no times.
        ratio = np.maximum(own, 0) / usual if usual > 0 else np.full(len(own), TIMES)
        # 1 − cos is half the square of a distance.
        times += m.weight * (np.sqrt(ratio) if m.recipe.rule.metric == "cosine" else ratio)
    times /= sum(m.weight for m in members)
    far: Mask = (_fused(scores, members, groups, without) > FAR) & (times >= TIMES)
    return far


def too_few(sections: Mapping[tuple[str, str], Section]) -> list[str]:
    """A line for all machines of which as many clips of a kind are too few to be judged by score.

    A kind is a domain, and in it what an encoder heard or did not: a large one judges itself alone.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for key, section in sections.items():
        domain = section.members[0].domain[: len(section.clips)]
        for group in _alike(domain, section.fresh):
            if len(group) < FEWEST:
                kind = _kind(section, group)
                found.setdefault((kind, len(group)), []).append(called(*key))
    return [
        f"{named(names)}: too few {kind} to judge by score ({count} of {FEWEST})"
        for (kind, count), names in found.items()
    ]


def few_known(section: Section, domain: str) -> int | None:
    """How many clips would judge a new one of a domain by score; None where they are enough."""
    peers = section.of_domain(domain)
    if section.fresh is not None and any(section.fresh):  # as `newcomers_far` holds them
        peers &= np.array(section.fresh)
    count = int(peers.sum())
    return count if count < FEWEST else None


def _kind(section: Section, group: Index) -> str:
    """What clips of a group are called; nothing is said of what all of the machine have alike."""
    target = section.of_domain("target")
    kind = "clips"
    if target.any():
        kind = "target clips" if target[group[0]] else "source clips"
    if section.fresh is not None and len(set(section.fresh)) > 1:
        kind += " new to the encoder" if section.fresh[group[0]] else " that the encoder heard"
    return kind


def _alike(domain: NDArray[np.int8], fresh: Sequence[bool] | None) -> list[Index]:
    """Places of clips of one domain, all or none known to an encoder."""
    kind = 2 * domain.astype(np.int64) + (0 if fresh is None else np.array(fresh, np.int64))
    return [np.flatnonzero(kind == one) for one in np.unique(kind)]


def _groups(table: NormalRows, fresh: Sequence[bool] | None) -> list[Index]:
    """Those of them that are enough to be compared."""
    return [group for group in _alike(table.domain, fresh) if len(group) >= FEWEST]


def _fused(
    scores: Sequence[Rows],
    members: Sequence[Fitted],
    groups: Sequence[Index],
    without: Mask | None = None,
) -> Rows:
    """(n,) MADs above the median of a clip's own group; −inf for a clip of a group too small."""
    total = np.zeros(len(scores[0]))
    weights = sum(m.weight for m in members)
    for own, m in zip(scores, members, strict=True):
        total += m.weight / weights * _in_mads(own, groups, without)
    return total


def _in_mads(values: Rows, groups: Sequence[Index], without: Mask | None = None) -> Rows:
    """(n,) against the median and MAD of the group, those `without` not counted in either."""
    out = np.full(len(values), -np.inf)
    judges = [g if without is None else g[~without[g]] for g in groups]
    medians = [float(np.median(values[j])) if len(j) else float("nan") for j in judges]
    offs = [np.abs(values[j] - m) for j, m in zip(judges, medians, strict=True)]
    # Ten target clips may lie close together by chance; their spread is not below everybody's.
    pooled = float(np.median(np.concatenate(offs))) if offs else 0.0
    for group, median, off in zip(groups, medians, offs, strict=True):
        if len(off) >= FEWEST // 2:
            mad = max(float(np.median(off)), pooled, 1e-3 * abs(median), 1e-12)
            out[group] = (values[group] - median) / mad
    return out


def _apart(members: Sequence[Fitted], groups: Sequence[Index]) -> Mask:
    """(n,) clips far from the middle of their group, in units that a few of them cannot bend.

    No more than a few, the farthest: of a whole way to be some stay in the bank, and speak for it.
    """
    distances = [_robust_distance(m.table.embeddings.astype(np.float64), groups) for m in members]
    mads = _fused(distances, members, groups)
    few = int(GROUP * len(mads))
    apart = mads > APART
    apart[np.argsort(-mads, kind="stable")[few:]] = False
    return apart


def _robust_distance(rows: Rows, groups: Sequence[Index]) -> Rows:
    """(n,) rms over features of the distance from the group's median, in MADs of all groups."""
    off = np.zeros_like(rows)
    for group in groups:
        off[group] = rows[group] - np.median(rows[group], axis=0)
    inside = np.concatenate(groups) if groups else np.zeros(0, np.int64)
    spread = np.median(np.abs(off[inside]), axis=0) if len(inside) else np.ones(rows.shape[1])
    steady = spread <= 1e-9 * (np.abs(rows).max(axis=0) + 1e-30)  # a constant has no unit
    off[:, steady] = 0.0
    off /= np.where(steady, 1.0, spread)
    # One feature must not outvote all others: 30 MADs are as far as a feature can say.
    distance: Rows = np.sqrt(np.mean(np.minimum(np.abs(off), 30.0) ** 2, axis=1))
    return distance


def _held_out(fitted: Fitted, apart: Mask) -> Rows:
    """(n,) scores by what is made of the others alone; theirs are cross-fitted."""
    # Made rows would only fill the space between the real ones, at the cost of more audio.
    bare = replace(fitted.recipe, enrichment=(), self_scores="cross-fitted")
    rest = fitted.table.where(~apart)
    with one_thread():
        others = fit_member(bare, rest, (), fitted.folds[~apart])
        scores = np.empty(len(apart))
        scores[~apart] = others.self_scores
        z = others.scale(fitted.table.embeddings[apart])
        scores[apart] = judged(bare.rule, z, others.bank)
    return scores
