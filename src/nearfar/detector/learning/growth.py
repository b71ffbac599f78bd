"""A section with clips learnt after its fit, and without some that the fit had.

What is known is a function of three things: what the fit left, the set of clips learnt, and the set
of the fit's clips forgotten. So a clip learnt and forgotten leaves nothing behind, to the byte, in
whatever order. Whitening, adaptation and what enrichments decide stay the fit's: rows are added and
taken away, none is moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.learning.learnt import Learnt, NewRows, kept_rows
from nearfar.detector.learning.selfscores import HeldAgain, Scored, scored
from nearfar.detector.member import Member, NormalRows, facts_of
from nearfar.detector.section import DAYS, LARGEST, SESSIONS, Section
from nearfar.scoring.bank import MemoryBank, Rows

if TYPE_CHECKING:
    from nearfar.system.system import Ensemble, System

# Facts of a member that has learnt or forgotten; absent of any other.
FIT_CLIPS = "fit_clips"  # clips that it was fitted on
FIT_LR_CORR = "fit_lr_corr"  # their mean, which decided a tier
LEARNT = "learnt"  # clips learnt since
FORGOTTEN = "forgotten"  # of the fit's
SPREAD = "spread_now"  # of all clips in the fit's whitened units, 1 of the fit's own


@dataclass(frozen=True, eq=False)
class Grown(Section):
    """A section that has learnt, or forgotten, since its fit; made by `grow`.

    Args:
        fitted: as the fit left it.
        learnt: clips that were learnt since.
        forgotten: digests of the fit's clips that were forgotten, sorted.

    >>> issubclass(Grown, Section)
    True
    """

    fitted: Section | None = None
    learnt: Learnt | None = None
    forgotten: tuple[str, ...] = ()


def parts(section: Section, system: System | Ensemble) -> tuple[Section, Learnt, tuple[str, ...]]:
    """What a section is made of: its fit, clips learnt, and digests forgotten."""
    if isinstance(section, Grown) and section.fitted is not None and section.learnt is not None:
        return section.fitted, section.learnt, section.forgotten
    widths = [
        (member.embeddings.shape[1], len(recipe.enrichment))
        for recipe, member in zip(system.members, section.members, strict=True)
    ]
    return section, Learnt.none(widths, trained=section.fresh is not None), ()


def grow(
    system: System | Ensemble,
    fitted: Section,
    learnt: Learnt,
    forgotten: Sequence[str],
    known: Sequence[tuple[Rows, Mapping[str, float]]] | None = None,
) -> Section:
    """What a section is with clips learnt and forgotten.

    Args:
        system: that was fitted.
        fitted: as the fit left it.
        learnt: clips that it had not.
        forgotten: digests of clips that it had.
        known: self-scores and facts of each member, where they were worked out before.

    Returns:
        The fit's own section where nothing was learnt and nothing forgotten.

    Raises:
        DatasetError: fewer rows are left than the rule's neighbours.
    """
    if not len(learnt) and not forgotten:
        return fitted
    gone = set(forgotten)
    keep = np.array([clip.digest not in gone for clip in fitted.clips], dtype=np.bool_)
    members = []
    for i, (recipe, member) in enumerate(zip(system.members, fitted.members, strict=True)):
        new = NewRows.of(recipe, member, learnt, i)
        grown = _member(member, keep, new)
        if known is None:
            scores = scored(
                HeldAgain(recipe, member, fitted.traces, keep, new, learnt.traces, grown)
            )
            facts = _facts(fitted, learnt, keep, member, grown, scores)
            grown = replace(grown, self_scores=scores.values, facts=facts)
        else:
            grown = replace(grown, self_scores=known[i][0], facts=known[i][1])
        members.append(grown)
    return _section(fitted, learnt, tuple(sorted(gone)), keep, tuple(members))


def _member(member: Member, keep: NDArray[np.bool_], new: NewRows) -> Member:
    """The rows of a member, real ones first; without self-scores and facts of its own."""
    n = len(keep)
    old = MemoryBank(member.embeddings.astype(np.float64), member.origin, member.domain)
    stays = kept_rows(member, keep, old)
    is_real = np.arange(len(stays)) < n
    first, behind = stays & is_real, stays & ~is_real
    # Beside all that the fit had: what it decided stays.
    made = new.made(MemoryBank(old.embeddings[:n], old.origin[:n], old.domain[:n]))
    added = [] if new.real is None else [new.real]
    old_made = [old.where(behind)] if behind.any() else []
    banks = [old.where(first), *added, *old_made, *made]
    rows = [bank.embeddings.astype(np.float32) for bank in banks]
    scaled = None
    if member.scaled is not None:  # a large bank's rows are whitened once
        there = member.bank.embeddings
        scaled = np.concatenate(
            [
                there[first],
                *(member.scale(one.embeddings) for one in added),
                there[behind],
                *(member.scale(one.embeddings.astype(np.float32)) for one in made),
            ]
        )
    return replace(
        member,
        embeddings=np.concatenate(rows),
        origin=np.concatenate([bank.origin for bank in banks]),
        domain=np.concatenate([bank.domain for bank in banks]).astype(np.int8),
        self_scores=np.zeros(0),
        scaled=scaled,
        workings=None,
    )


def _facts(
    fitted: Section, learnt: Learnt, keep: NDArray[np.bool_], member: Member, grown: Member,
    scores: Scored,
) -> dict[str, float]:  # fmt: skip
    """What a person should know of it now, and what the fit knew."""
    clips = int(keep.sum()) + len(learnt)
    # Of an older fit the mean alone is known; it stands for each of its clips.
    lr_corr = np.full(clips, float(member.facts.get("lr_corr", float("nan"))))
    if fitted.traces is not None:
        lr_corr = np.concatenate(
            [fitted.traces.column("lr_corr")[keep], learnt.traces.column("lr_corr")]
        )
    real = NormalRows(grown.embeddings[:clips], grown.origin[:clips], grown.domain[:clips], lr_corr)
    rows = MemoryBank(grown.embeddings.astype(np.float64), grown.origin, grown.domain)
    now = facts_of(real, rows, grown.scale)
    return {
        **member.facts, **now, **_sessions(fitted, learnt, keep),
        FIT_CLIPS: float(len(keep)),
        FIT_LR_CORR: float(member.facts.get("lr_corr", float("nan"))),
        LEARNT: float(len(learnt)), FORGOTTEN: float(len(keep) - keep.sum()),
        SPREAD: scores.spread,
    }  # fmt: skip


def _sessions(fitted: Section, learnt: Learnt, keep: NDArray[np.bool_]) -> dict[str, float]:
    """Facts of the days and recordings, where they are known."""
    if fitted.traces is None:
        return {}
    # How many a day there are stays the fit's word: what is confirmed is no even sample.
    traces = fitted.traces.where(keep).beside(learnt.traces)
    sizes = traces.sessions()
    if not sizes:
        return {}
    return {SESSIONS: float(len(sizes)), LARGEST: float(max(sizes.values())),
            DAYS: float(traces.days())}  # fmt: skip


def _section(
    fitted: Section, learnt: Learnt, forgotten: tuple[str, ...], keep: NDArray[np.bool_],
    members: tuple[Member, ...],
) -> Grown:  # fmt: skip
    """What is known of all its clips together."""
    clips = tuple(clip for clip, stays in zip(fitted.clips, keep, strict=True) if stays)
    fresh = None
    if fitted.fresh is not None:
        mine = tuple(one for one, stays in zip(fitted.fresh, keep, strict=True) if stays)
        fresh = mine + (learnt.fresh or (False,) * len(learnt))
    traces = None if fitted.traces is None else fitted.traces.where(keep).beside(learnt.traces)
    levels, near, seconds = fitted.levels, fitted.near, fitted.seconds
    if traces is not None:
        levels, near = range_of(traces.column("ratio_db")), range_of(traces.column("near_dbfs"))
        seconds = float(np.median(traces.column("seconds")))
    elif len(learnt):
        # What the fit's clips were like one by one was not kept: the range can only grow.
        levels = _wider(levels, learnt.traces.column("ratio_db"))
        near = _wider(near, learnt.traces.column("near_dbfs"))
    return Grown(
        members, clips + learnt.clips, levels, seconds, fresh, near, traces,
        fitted=fitted, learnt=learnt, forgotten=forgotten,
    )  # fmt: skip


def range_of(values: Rows) -> tuple[float, float] | None:
    """Lowest and highest of those that are numbers; None of none.

    >>> range_of(np.array([2.0, float("nan"), -1.0]))
    (-1.0, 2.0)
    """
    heard = values[np.isfinite(values)]  # not of one channel, or a silent one
    return (float(heard.min()), float(heard.max())) if len(heard) else None


def _wider(known: tuple[float, float] | None, values: Rows) -> tuple[float, float] | None:
    return None if known is None else range_of(np.array([*known, *values]))
