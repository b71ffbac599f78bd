"""What normal sounds like for one machine, and the verdicts that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.member import Member
from nearfar.detector.traces import Traces
from nearfar.detector.trained import MACHINE_HEARD
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard
from nearfar.scores.verdict import Verdict
from nearfar.scoring.bank import SOURCE, TARGET, Index, Rows
from nearfar.scoring.calibrate import (
    ENOUGH,
    AlarmRate,
    Calibrated,
    Threshold,
    p_values,
    threshold,
    wants_fresh,
)
from nearfar.scoring.rule import judged, judged_beside
from nearfar.text import counted, lasting

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.system.system import Ensemble, System

DOMAINS = {"source": SOURCE, "target": TARGET}
LENGTH_MARGIN = 1.5  # times the normal clips' length, up or down, that is still no surprise
SESSIONS = "sessions"  # the fact of a member that counts them; absent where none are known
DAYS = "days"  # the fact that counts those of them that are days; the others are recordings
LARGEST = "largest_session"  # beside it: clips of the one that has most of them
A_DAY = "clips_a_day"  # the fact of how they were recorded; absent where they do not tell
FEW_SESSIONS = 10  # below, what the next day brings is not to be told from them
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NEAR_MARGIN = 10.0  # dB around the normal clips' near levels that is still no surprise
LEVEL_MARGIN = 3.0  # dB around the bank's near/far level ratios that is still no surprise


@dataclass(frozen=True)
class TrainingClip:
    """A normal clip that the bank was made of.

    >>> TrainingClip("fan/train/0001.wav", digest="9f86").name
    'fan/train/0001.wav'
    """

    name: str  # what a verdict calls the nearest clip
    digest: str  # sha256 of its audio, hexadecimal


@dataclass(frozen=True, eq=False)
class Section:
    """What normal sounds like for one machine and section.

    Args:
        members: one for each system of the ensemble.
        clips: the normal clips, in the order of the members' real rows.
        levels: lowest and highest near/far level ratio of them, dB; None for one channel.
        seconds: their median length.
        fresh: which of the clips no encoder was trained on; None: all, nothing was trained.
        near: lowest and highest level of their near channel, dBFS (rms without the mean); None of
            a detector that was written before it was kept.
        traces: what else is kept of each clip; None likewise.

    >>> rows, domain = np.zeros((2, 1), np.float32), np.zeros(2, np.int8)
    >>> member = Member(rows, np.arange(2), domain, whitening=None, self_scores=np.ones(2))
    >>> clips = TrainingClip("a.wav", "9f"), TrainingClip("b.wav", "86")
    >>> section = Section((member,), clips, (-3.0, 8.0), seconds=10.0, fresh=(False, True))
    >>> section.judges  # an encoder was trained on a.wav
    array([False,  True])
    """

    members: tuple[Member, ...]
    clips: tuple[TrainingClip, ...]
    levels: tuple[float, float] | None
    seconds: float
    fresh: tuple[bool, ...] | None = None
    near: tuple[float, float] | None = None
    traces: Traces | None = None

    def __repr__(self) -> str:
        return f"<Section: {counted(len(self.clips), 'clip')} of {lasting(self.seconds)}>"

    def __getstate__(self) -> dict[str, Any]:
        """Its fields alone; what is worked out from them is made anew."""
        return {f.name: self.__dict__[f.name] for f in fields(self)}

    @property
    def judges(self) -> NDArray[np.bool_]:
        """Clips whose self-scores may draw a threshold: nothing judges what it was fitted on.

        Where an encoder was trained on all of them it is all of them, and a warning was given.
        """
        everybody = np.ones(len(self.clips), dtype=np.bool_)
        if self.fresh is None or not any(self.fresh):
            return everybody
        return np.array(self.fresh)

    def yardstick(self, recipe: System, member: Member) -> Rows:
        """Self-scores that make a member's scores comparable.

        Of a member whose encoder was trained, those of clips that no encoder was trained on, where
        they are enough and its calibration asks for them; else all.
        """
        fresh, trained = self.fresh, MACHINE_HEARD in member.facts
        if (
            not trained
            or fresh is None
            or sum(fresh) < ENOUGH
            or not wants_fresh(recipe.calibration)
        ):
            return member.self_scores
        scores: Rows = member.self_scores[np.array(fresh)]
        return scores

    def of_domain(self, domain: str) -> NDArray[np.bool_]:
        """The clips of a domain; one that did not say its own is in the bank as a source."""
        # Real rows come first, one a clip.
        is_of: NDArray[np.bool_] = self.members[0].domain[: len(self.clips)] == DOMAINS[domain]
        return is_of

    def undrawn(self, domain: str) -> str:
        """Why the clips of a domain draw no threshold."""
        none = not self.of_domain(domain).any()
        return (
            f"no {domain} clip may draw a threshold, "
            f"{'there is none' if none else 'an encoder was trained on each'} among its normal "
            "clips; that of all has domain=None"
        )

    @property
    def caveat(self) -> str:
        """What the threshold's promise does not cover: other days than a few; empty if nothing."""
        facts = self.members[0].facts
        largest = int(facts.get(LARGEST, 0))
        # All alarms asked for may be of the others: of these, and so of another day, twice as many.
        most = facts.get(SESSIONS, 1) > 1 and 2 * largest > len(self.clips)
        if not (most or 1 <= facts.get(SESSIONS, FEW_SESSIONS) < FEW_SESSIONS):
            return ""
        count, days = int(facts[SESSIONS]), facts.get(DAYS)
        # A detector that was written before they were told apart says both.
        kinds = ["recording"] * (days != count) + ["day"] * (days != 0)
        many = "s" * (count > 1)
        these = f"these {NUMBERS[count] if count < FEW_SESSIONS else count}" if many else "this one"
        return (
            f"{len(self.clips)} clips from {count} {' or '.join(kind + many for kind in kinds)}"
            f"{f', {largest} of them from one' * most}: the threshold holds for {these}; "
            "expect more alarms on another day"
        )

    @property
    def held_out(self) -> str:
        """What it does to the threshold that whole days are held out; empty where none are."""
        facts = self.members[0].facts
        # One of more than half of the clips is cut, and with many days a fold is small anyway.
        if not 2 <= facts.get(SESSIONS, 0) < FEW_SESSIONS or 2 * facts.get(LARGEST, 0) > len(
            self.clips
        ):
            return ""
        days = facts.get(DAYS)
        kinds = ["recording"] * (days != facts[SESSIONS]) + ["day"] * (days != 0)
        return (
            f"each {' or '.join(kinds)} was held out whole, judged by the fewer clips of the "
            "others: the threshold is as a rule higher than of the same clips if no "
            f"{'s or '.join(kinds)}s were known; where new ones sound like these expect fewer "
            "alarms than asked for"
        )

    def told(self, drawn: Threshold) -> str:
        """What a threshold of it means for a person, in the pace of its clips."""
        return drawn.explain(self.seconds, self.members[0].facts.get(A_DAY))

    @cached_property
    def names(self) -> dict[int, str]:
        """Origin → name of the first clip with it."""
        names: dict[int, str] = {}
        # Real rows come first, one a clip, so the clips are beside their origins.
        for origin, clip in zip(self.members[0].origin, self.clips, strict=False):
            names.setdefault(int(origin), clip.name)
        return names


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out scores of normal clips, the yardstick of new ones, and the threshold they draw.

    >>> held = Held.of(np.array([0.3, 0.1, 0.2]), false_alarm_rate=0.5)
    >>> held.threshold.value, held.above(0.1)
    (0.2, AlarmRate(above=2, clips=3))
    """

    ordered: Rows  # rising
    threshold: Threshold

    @classmethod
    def of(cls, scores: Rows, false_alarm_rate: float, domain: str | None = None) -> Held:
        """Of (n,) scores in any order."""
        ordered = np.sort(scores)
        return cls(ordered, threshold(ordered, false_alarm_rate, domain))

    def above(self, value: float) -> AlarmRate:
        """How many lie above a value, and what follows for new clips."""
        at_most = int(np.searchsorted(self.ordered, value, side="right"))
        return AlarmRate(len(self.ordered) - at_most, len(self.ordered))


class Judge:
    """One section made ready: banks whitened, calibrations fitted, threshold drawn.

    >>> from nearfar.system.presets import logmel
    >>> member = Member(np.eye(3, 128, dtype=np.float32), np.arange(3), np.zeros(3, np.int8),
    ...                 whitening=None, self_scores=np.array([0.1, 0.2, 0.3]))
    >>> clips = tuple(TrainingClip(f"{name}.wav", "") for name in "abc")
    >>> section = Section((member,), clips, levels=None, seconds=10.0)
    >>> judge = Judge(logmel(), (logmel().chain,), section, false_alarm_rate=0.5)
    >>> judge.threshold().value  # one of three normal clips may be above, and the new one
    0.2
    """

    def __init__(
        self,
        system: System | Ensemble,
        chains: tuple[Chain, ...],
        section: Section,
        false_alarm_rate: float,
        by_domain: bool = False,
    ) -> None:
        self.section = section
        self.members = system.members
        self.weights = np.array(system.weights) / sum(system.weights)  # (members,), sum 1
        self.fusion = system.fusion
        self.chains = chains
        self.calibrated: list[Calibrated] = [
            recipe.calibration.fit(section.yardstick(recipe, member))
            for recipe, member in zip(system.members, section.members, strict=True)
        ]
        # Fused like any clip's, so that a threshold is one of the fused score.
        fused = self._fuse([m.self_scores for m in section.members])
        self.own = fused  # (clips,)
        self._all = Held.of(fused[section.judges], false_alarm_rate)
        # Of a domain without clips that may judge there is nothing to draw from.
        self._domains = {
            name: Held.of(fused[mine], false_alarm_rate, name)
            for name in DOMAINS
            if (mine := section.judges & section.of_domain(name)).any()
        }
        self._by_domain = by_domain

    def threshold(self, domain: str | None = None) -> Threshold | None:
        """What the section's clips, or those of one domain, draw; None where it has none."""
        if domain is None:
            return self._all.threshold
        return self._domains[domain].threshold if domain in self._domains else None

    def held(self, domain: str | None) -> Held:
        """What a clip of this domain is held against."""
        # A clip that does not say its domain may be of either.
        return self._domains.get(domain or "", self._all) if self._by_domain else self._all

    def alarm_rates(self) -> dict[str, AlarmRate]:
        """By domain, how often its normal clips exceed the threshold that they are held against.

        Empty where not both domains have clips that may judge.
        """
        if len(self._domains) < len(DOMAINS):
            return {}
        return {
            name: mine.above(self.held(name).threshold.value)
            for name, mine in self._domains.items()
        }

    def __call__(self, heard: Sequence[tuple[Clip, Heard]]) -> list[Verdict]:
        """One verdict a clip, in order."""
        raw, near, first = [], [], int(np.argmax(self.weights))
        for i, (recipe, member) in enumerate(zip(self.members, self.section.members, strict=True)):
            z = self._rows(i, heard)
            # Whose nearest clip is named: the member that says most of the score, or all of it.
            if i == first or self.fusion == "minimum":
                scores, distances, rows = judged_beside(recipe.rule, z, member.bank)
                near.append((self._named(member, rows), distances))
            else:
                scores = judged(recipe.rule, z, member.bank)
            raw.append(scores)
        fused, verdicts = self._fuse(raw), []
        who = self.deciding(raw) if len(near) > 1 else np.zeros(len(heard), np.int64)
        for i, (clip, what) in enumerate(heard):
            nearest, distances = near[who[i]]
            doubt = self._doubt(what, float(distances[i]))
            verdicts.append(self._verdict(clip, fused[i], nearest[i], doubt))
        return verdicts

    def raw(self, heard: Sequence[tuple[Clip, Heard]]) -> list[Rows]:
        """(members)(clips,) what each member's rule says, before it is calibrated."""
        pairs = enumerate(zip(self.members, self.section.members, strict=True))
        return [judged(one.rule, self._rows(i, heard), member.bank) for i, (one, member) in pairs]

    def _rows(self, i: int, heard: Sequence[tuple[Clip, Heard]]) -> Rows:
        """(clips, dim) as the i-th member compares them with its bank."""
        place = self.chains.index(self.members[i].chain)
        return self.section.members[i].scale(np.stack([what.rows[place] for _, what in heard]))

    def deciding(self, raw: Sequence[Rows]) -> Index:
        """(clips,) the member whose calibrated score is the least; of equals the first."""
        least: Index = np.argmin(self._calibrated(raw), axis=0)
        return least

    def not_judged(self, clip: Clip, reason: str) -> Verdict:
        """The row of a clip that could not be used."""
        return Verdict.none(clip, self.held(clip.domain).threshold.value, reason)

    def _verdict(self, clip: Clip, score: np.float64, nearest: str, warning: str) -> Verdict:
        held = self.held(clip.domain)
        below = np.searchsorted(held.ordered, score, side="right")
        return Verdict(
            clip=clip,
            score=float(score),
            # As a person reads it, whatever the system's own calibration is.
            percentile=float(below / len(held.ordered)),
            threshold=held.threshold.value,
            nearest=nearest,
            warning=warning,
            p_value=float(p_values(held.ordered, np.array([score]))[0]),
        )

    def _fuse(self, raw: Sequence[Rows]) -> Rows:
        said = self._calibrated(raw)
        if self.fusion == "minimum":
            least: Rows = np.min(said, axis=0)
            return least
        fused = np.zeros(len(raw[0]))  # no matrix product: the same bits for any number of clips
        for weight, scores in zip(self.weights, said, strict=True):
            fused += weight * scores
        return fused

    def _calibrated(self, raw: Sequence[Rows]) -> list[Rows]:
        return [one(scores) for one, scores in zip(self.calibrated, raw, strict=True)]

    def _named(self, member: Member, rows: Index) -> list[str]:
        # A made row is called like the clip that it was made of.
        return [self.section.names[int(member.origin[row])] for row in rows]

    def doubts(self, what: Heard, distance: float) -> tuple[str, ...]:
        """What speaks against a verdict, the most telling first.

        Args:
            what: of the clip.
            distance: from the nearest row of the member that says most.
        """
        return tuple(doubt for doubt in self._doubts(what, distance) if doubt)

    def _doubt(self, what: Heard, distance: float) -> str:
        # A verdict has room for one.
        return next((doubt for doubt in self._doubts(what, distance) if doubt), "")

    def _doubts(self, what: Heard, distance: float) -> Iterator[str]:
        if distance == 0:
            yield "this very recording was fitted on or learnt; score new ones"
        if what.identical:
            yield "both channels are identical; is the far microphone connected?"
        usual = self.section.seconds
        if not usual / LENGTH_MARGIN <= what.seconds <= usual * LENGTH_MARGIN:
            # A short one cannot be cut to be longer.
            cut = f", or cut with clip_seconds={float(f'{usual:.4g}'):.10g}"
            yield (
                f"{lasting(what.seconds)} long, normal clips were {lasting(usual)}: scores are not "
                f"comparable; record {lasting(usual)}{cut * (what.seconds > usual)}"
            )
        yield self._odd_ratio(what.level)
        yield self._odd_level(what)

    def _odd_ratio(self, level: float) -> str:
        levels = self.section.levels
        if levels is None or not np.isfinite(level):  # one channel, or one that is silent
            return ""
        low, high = levels
        if low - LEVEL_MARGIN <= level <= high + LEVEL_MARGIN:
            return ""
        return (
            f"near is {level:+.1f} dB over far, normal clips had {low:+.1f} to "
            f"{high:+.1f} dB; were the microphones swapped or moved?"
        )

    def _odd_level(self, what: Heard) -> str:
        near = self.section.near
        if near is None or what.look is None or not np.isfinite(what.look.levels[0]):
            return ""
        (low, high), level = near, what.look.levels[0]
        if low - NEAR_MARGIN <= level <= high + NEAR_MARGIN:
            return ""
        far = f"{low - level:.0f} dB quieter" if level < low else f"{level - high:.0f} dB louder"
        return f"{far} than any normal clip; were gain or distance changed?"
