"""How far what a fit has fixed is from what is known now, and whether a refit is better.

Whitening, adaptation and tiers are fitted on all clips at once: a bank that learns keeps the fit's.
As long as what it learns is like what it was fitted on that costs little. The borders here come
from simulated drift, see docs/learn.md; none of them looks at an anomaly of real data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nearfar.detector.learning.growth import (
    FIT_CLIPS,
    FIT_LR_CORR,
    FORGOTTEN,
    LEARNT,
    SPREAD,
)
from nearfar.detector.member import Member
from nearfar.detector.section import DOMAINS, Judge, Section
from nearfar.scoring.bank import TARGET
from nearfar.scoring.calibrate import AlarmRate
from nearfar.scoring.enrich import Following, FromAudio, ResidualAugmentation
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.system.system import Ensemble, System

WIDER = 1.25  # times the fit's spread, from which a whitening fitted anew is better
FEWEST = 8  # clips learnt that may say so: a few are learnt because they raised an alarm
MORE = 1.0  # clips learnt or forgotten for each of the fit's, from which there is more to fit on


@dataclass(frozen=True)
class Drift:
    """What has become of one machine and section since its fit.

    >>> Drift(20, 3, 1, 1.04, (0.41, 0.40), None, ("whitening",), ()).told
    'whitening is as fitted; what is known spreads 1.04 times as wide (fit again from 1.25)'
    """

    clips: int  # that it was fitted on
    learnt: int
    forgotten: int
    spread: float  # squared length in whitened units over that of the fit's clips; or nan
    lr_corr: tuple[float, float]  # mean of the fit's clips, and of those known now
    alarms: AlarmRate | None  # of clips learnt, held out, above the threshold; None of none
    fixed: tuple[str, ...]  # what only a fit can change
    reasons: tuple[str, ...]  # for a refit

    @property
    def since(self) -> str:
        """What has been learnt and forgotten, in a few words."""
        above = ""
        if self.alarms is not None:
            above = f"; held out, {self.alarms.above} of those learnt are above the threshold"
        return (
            f"fitted on {counted(self.clips, 'clip')}, {self.learnt} learnt and {self.forgotten} "
            f"forgotten since{above}"
        )

    @property
    def told(self) -> str:
        """In a line."""
        if self.reasons:
            return f"fit again when you can: {'; '.join(self.reasons)}"
        if not self.fixed:
            return "nothing but the bank is fitted, so a fit on the same clips would score alike"
        what = " and ".join([*([", ".join(self.fixed[:-1])] if self.fixed[1:] else []),
                             self.fixed[-1]])  # fmt: skip
        fitted = f"{what} {'are' if self.fixed[1:] else 'is'} as fitted"
        if not math.isfinite(self.spread):
            return fitted
        border = f"fit again from {WIDER:g}"
        if self.spread > WIDER and self.learnt < FEWEST:
            border = f"{counted(self.learnt, 'clip')} learnt, of fewer than {FEWEST} no advice"
        return f"{fitted}; what is known spreads {self.spread:.2f} times as wide ({border})"


def alarms_of(judge: Judge) -> AlarmRate | None:
    """How many of the clips learnt are above their threshold, each held out; None of none.

    Few beside many, they hardly draw it: what it keeps for all clips it need not keep for these.
    """
    section = judge.section
    count = int(section.members[0].facts.get(LEARNT, 0))
    if not count:
        return None
    n = len(section.clips)
    of = section.members[0].domain[n - count : n]
    names = {value: name for name, value in DOMAINS.items()}
    limits = np.array([judge.held(names[int(d)]).threshold.value for d in of])
    return AlarmRate(int((judge.own[n - count :] > limits).sum()), count)


def drift_of(
    system: System | Ensemble, section: Section, alarms: AlarmRate | None = None,
    rate: float = 1.0,
) -> Drift | None:  # fmt: skip
    """Of a section; None of one that has learnt and forgotten nothing.

    Args:
        system: that was fitted.
        section: of its detector.
        alarms: as `alarms_of` counts them.
        rate: of false alarms, as asked for.
    """
    facts = section.members[0].facts
    if LEARNT not in facts:
        return None
    spreads = [m.facts.get(SPREAD, math.nan) for m in section.members]
    known = [one for one in spreads if math.isfinite(one)]
    reasons = []
    if alarms is not None and alarms.clips >= FEWEST and alarms.breaks(rate):
        reasons.append(
            f"{alarms.above} of {alarms.clips} clips learnt are above the threshold, each held "
            f"out, far more than the {100 * rate:g} % asked for (unless alarms alone were learnt)"
        )
    reasons += [
        reason
        for recipe, member in zip(system.members, section.members, strict=True)
        for reason in _reasons(recipe, member, len(section.clips))
    ]
    return Drift(
        int(facts[FIT_CLIPS]), int(facts[LEARNT]), int(facts[FORGOTTEN]),
        max(known) if known else math.nan,
        (facts.get(FIT_LR_CORR, math.nan), facts.get("lr_corr", math.nan)),
        alarms, tuple(dict.fromkeys(name for recipe in system.members for name in _fixed(recipe))),
        tuple(dict.fromkeys(reasons)),
    )  # fmt: skip


def _fixed(recipe: System) -> Iterator[str]:
    """What of a member a fit alone can change, beside its bank."""
    if recipe.whitening is not None:
        yield "whitening"
    if recipe.adaptation is not None:
        yield "adaptation"
    if any(isinstance(part, FromAudio) for part in recipe.enrichment):
        yield "tier"
    if any(not isinstance(part, FromAudio) for part in recipe.enrichment):
        yield "the shift of source rows"


def _reasons(recipe: System, member: Member, clips: int) -> Iterator[str]:
    facts = member.facts
    fit, changed = facts[FIT_CLIPS], facts[LEARNT] + facts[FORGOTTEN]
    spread = facts.get(SPREAD, math.nan)
    # One odd clip among a few is their median; nan is not above anything.
    if spread > WIDER and facts[LEARNT] >= FEWEST:
        yield (
            f"what is known spreads {spread:.3g} times as wide as what its whitening was fitted on "
            f"(from {WIDER:g} a refit is better)"
        )
    fits = recipe.whitening is not None or recipe.adaptation is not None
    if fits and changed >= MORE * fit:
        yield f"{changed:.0f} clips learnt or forgotten since, fitted on {fit:.0f}"
    then, now = facts.get(FIT_LR_CORR, math.nan), facts.get("lr_corr", math.nan)
    for part in recipe.enrichment:
        if isinstance(part, ResidualAugmentation) and part.ratio(then) != part.ratio(now):
            yield (
                f"LR_corr {then:.2f} then, {now:.2f} now, is another tier: "
                f"{part.ratio(then):g} residual rows a source clip then, {part.ratio(now):g} now"
            )
        if not isinstance(part, Following):
            yield f"{type(part).__name__} makes no rows of clips that are learnt"
    moving = [part for part in recipe.enrichment if not isinstance(part, FromAudio)]
    real = member.domain[:clips] == TARGET
    made = member.domain[clips:] == TARGET
    if moving and real.any() and (~real).any() and not _moved(member, clips, made):
        yield "the fit had no target clips to move source rows to, there are some now"


def _moved(member: Member, clips: int, made: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> bool:
    """Is there a row of the target domain that was made of a source clip?"""
    sources = member.origin[:clips][member.domain[:clips] != TARGET]
    return bool(np.isin(member.origin[clips:][made], sources).any())
