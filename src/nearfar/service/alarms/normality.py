"""What a machine's normal clips were like, as far as an alarm must know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.detector.section import A_DAY, DOMAINS, LEVEL_MARGIN, NEAR_MARGIN
from nearfar.health.shift import LEAST
from nearfar.health.suspects import CLIPPED, CLIPPED_FROM, FLOOR, RATIO, is_twice
from nearfar.service.alarms.sensors import CHANNELS
from nearfar.sound.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearfar.detector.detector import Detector
    from nearfar.detector.section import Section
    from nearfar.sound.look import Look

Range = tuple[float, float]
STRAY = 0.05  # share of the normals, of which a gap of `NEAR_MARGIN` shows that the machine stood
ENOUGH = 10  # clips, below which none is called astray
# dBFS. No converter is as quiet by itself; it is what rounding leaves of a constant.
DEAD = -120.0
_DATED = 1e7  # s since 1970, above which a trace's moment is a time and no place in a recording


@dataclass(frozen=True, eq=False)
class OwnScore:
    """A normal clip held out: what the alarm would have been given of it.

    >>> OwnScore(above=True, p_value=0.04, session="9f").above
    True
    """

    above: bool  # the threshold
    p_value: float  # among the other normal clips
    session: str  # the day or recording that it is of; "" is not known


@dataclass(frozen=True, eq=False)
class Normality:
    """What a machine's normal clips were like; None is what a detector does not know.

    One that was written before levels and traces were kept judges no gate and no sensor by them,
    and that is no error.

    Args:
        machine, section: whose.
        n: normal clips that judge: those of the threshold.
        allowed: of these how many lie above the threshold at most.
        rate: of false alarms, as asked for, 0–1.
        seconds: a clip's length.
        two: does the system hear both channels?
        gate: dBFS of the near channel, below which the machine is not running.
        ratio: lowest and highest near over far, dB.
        coherence: lowest and highest γ².
        clipped: highest share of clipped samples, of each channel.
        floor: was any channel, near or far, of a normal clip at the noise floor?
        twice: were channels of a normal clip one signal?
        rates: sample rates of their files, Hz.
        own: the self-scores in their order in time; None: nobody knows that order.
        clips_a_day: at which they were recorded.

    >>> normal = Normality("pump", "00", n=100, allowed=9, rate=0.1, seconds=10.0, gate=-52.0)
    >>> normal.is_running(-60.0), normal.is_running(-40.0), normal.unknown
    (False, True, ('moved', 'swapped', 'wrong rate'))
    """

    machine: str
    section: str
    n: int
    allowed: int
    rate: float
    seconds: float
    two: bool = True
    gate: float | None = None
    ratio: Range | None = None
    coherence: Range | None = None
    clipped: tuple[float, float] = (0.0, 0.0)
    floor: tuple[bool, bool] = (False, False)
    twice: bool = False
    rates: tuple[int, ...] = ()
    own: tuple[OwnScore, ...] | None = field(default=None, repr=False)
    clips_a_day: float | None = None

    @classmethod
    def of(
        cls, detector: Detector, machine: str, section: str = "00", *, gate: float | None = None
    ) -> Normality:
        """Of what a detector knows.

        Args:
            detector: fitted, or learnt since.
            machine, section: which.
            gate: dBFS, instead of the one that the normal clips' levels give.

        Raises:
            DatasetError: an unknown machine or section.
        """
        drawn = detector.threshold(machine, section)  # refuses what is not known
        known = detector.sections[(machine, section)]
        own = detector.self_scores(machine, section)
        judging = own[known.judges]
        normal = cls(
            machine, section, n=drawn.clips, allowed=int((judging > drawn.value).sum()),
            rate=detector.false_alarm_rate, seconds=known.seconds,
            two=any(member.frontend.needs > 1 for member in detector.system.members),
            gate=_gate(known), ratio=known.levels, own=_own(detector, machine, section),
            clips_a_day=known.members[0].facts.get(A_DAY),
        )  # fmt: skip
        if known.traces is not None:
            normal = replace(normal, **_seen(known))
        return normal.gated(gate)

    def gated(self, gate: float | None) -> Normality:
        """With another gate; None keeps the one that was learnt."""
        return self if gate is None else replace(self, gate=gate)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What cannot be judged, for the detector does not know it."""
        lacking = [("idle", self.gate is None)]
        if self.two:
            lacking += [("moved", self.ratio is None), ("swapped", self.ratio is None)]
        return tuple(what for what, lacks in [*lacking, ("wrong rate", not self.rates)] if lacks)

    def is_running(self, near_level: float | None) -> bool:
        """Is a clip as loud as the machine makes it, or near that?

        Args:
            near_level: dBFS, rms without the mean; None or nan: nobody knows, and then it is
                judged: what is not known is no reason to pass a clip over.
        """
        if self.gate is None or near_level is None or math.isnan(near_level):
            return True
        return near_level >= self.gate

    def faults(self, look: Look, channels: int | None = None) -> tuple[str, ...]:
        """What keeps us from hearing the machine in one clip that could be read.

        First what holds of any clip: channels, rate, dead, silent. Then the gate; and the rest
        only while the machine runs, see `sensors`. A word is never said of what the normal clips
        had themselves: that is how this machine is recorded.

        Args:
            look: of the clip; of a constant channel the level is −inf.
            channels: of its file, if that is known; else as many as `look` has levels.
        """
        have = len(look.levels) if channels is None else channels
        if have < (2 if self.two else 1) or have > 2:
            return ("wrong channels",)
        found = ["wrong rate"] if look.sample_rate and self._is_rate_odd(look.sample_rate) else []
        found += [
            f"{CHANNELS[place]} {word}"
            for place, level in enumerate(look.levels[: self._heard])
            if (word := self._quiet(place, level))
        ]
        if look.levels and self.is_running(look.levels[0]):
            found += self._while_running(look)
        return tuple(found)

    def blinds(self, faults: Sequence[str]) -> bool:
        """May a clip with these faults not be judged at all?

        A score needs sound in each channel that the system hears; of all else there is one, and it
        stands in the row, though it raises no alarm.
        """
        return any(one.endswith((" dead", " silent")) or one == "wrong channels" for one in faults)

    @property
    def _heard(self) -> int:
        # A far channel that nobody hears may be dead: no score is the worse for it.
        return 2 if self.two else 1

    def _is_rate_odd(self, rate: int) -> bool:
        # Above what a system hears a rate changes no score: a stream of 48 kHz is as good as files
        # of 16. Below it there is nothing in the upper half, or there was nothing in the normals'.
        return bool(self.rates) and min(rate, SAMPLE_RATE) not in {
            min(known, SAMPLE_RATE) for known in self.rates
        }

    def _quiet(self, place: int, level: float) -> str:
        if level <= DEAD:
            return "dead"
        return "silent" if level <= FLOOR and not self.floor[place] else ""

    def _while_running(self, look: Look) -> list[str]:
        found = [
            f"{CHANNELS[place]} clipped"
            for place, (share, level) in enumerate(zip(look.clipped, look.levels, strict=False))
            # Beyond what the normals had by as much again: their loudest is not the loudest.
            if place < self._heard
            and level > CLIPPED_FROM
            and share >= max(CLIPPED, 2 * self.clipped[place])
        ]
        if not self.two or len(look.levels) < 2 or min(look.levels) <= FLOOR:
            return found
        if is_twice(look) and not self.twice:
            return [*found, "identical"]  # its ratio and coherence follow from that
        if self._is_swapped(look.ratio):
            return [*found, "swapped"]
        return [*found, "moved"] if self._is_moved(look) else found

    def _is_swapped(self, ratio: float) -> bool:
        if self.ratio is None or not math.isfinite(ratio):
            return False
        low, high = self.ratio[0] - LEVEL_MARGIN, self.ratio[1] + LEVEL_MARGIN
        # Where a ratio and its mirror image may both be normal nobody can tell.
        return not low <= ratio <= high and low <= -ratio <= high

    def _is_moved(self, look: Look) -> bool:
        if self.coherence is not None and look.coherence < LEAST * self.coherence[0]:
            return True
        if self.ratio is None or not math.isfinite(look.ratio):
            return False
        # Down by a little, up by a lot: a machine that breaks gets louder where it stands, which
        # is nearer to the near microphone, so its own fault must not pass for a moved one. Nor is
        # a coherence judged that rises, for the same reason. Ten dB up are another place.
        return not self.ratio[0] - LEVEL_MARGIN <= look.ratio <= self.ratio[1] + RATIO


def gate_of(levels: NDArray[np.float64]) -> float | None:
    """dBFS below which a machine is not running, of its normal clips' near levels.

    The lowest level less `NEAR_MARGIN`: that far around the normals is no surprise to a verdict
    either, so no clip is both unjudged and unsurprising. A few normals that lie that far below all
    others were recorded while the machine stood, and would lower the gate until nothing is idle:
    they do not count, as long as they are few (`STRAY`). Where they are many the machine is as it
    should be when it is quiet, and its quiet clips are judged.

    >>> gate_of(np.array([-30.0, -31.0, -33.0]))
    -43.0
    >>> gate_of(np.array([-30.0] * 30 + [-71.0]))  # one of 31, with the machine off
    -40.0
    >>> gate_of(np.array([-30.0] * 30 + [-71.0] * 30))  # half: it is quiet by nature
    -81.0
    """
    ordered = np.sort(levels[np.isfinite(levels) & (levels > FLOOR)])
    if not len(ordered):
        return None
    most = max(1, int(STRAY * len(ordered))) if len(ordered) >= ENOUGH else 0
    gaps = np.flatnonzero(np.diff(ordered[: most + 1]) >= NEAR_MARGIN)
    lowest = ordered[int(gaps[-1]) + 1] if len(gaps) else ordered[0]
    return float(lowest) - NEAR_MARGIN


def _gate(known: Section) -> float | None:
    if known.traces is not None:
        return gate_of(known.traces.column("near_dbfs"))
    # Written before traces were kept: the lowest is known, and not whether it is astray.
    return None if known.near is None else known.near[0] - NEAR_MARGIN


def _seen(known: Section) -> dict[str, Any]:
    """What each clip's trace says, as ranges of all of them."""
    traces = known.traces
    if traces is None:
        return {}
    looks = traces.looks()
    gamma = traces.column("coherence")
    gamma = gamma[np.isfinite(gamma)]
    sides = [traces.column(f"{channel}_clipped") for channel in CHANNELS]
    levels = [traces.column(f"{channel}_dbfs") for channel in CHANNELS]
    return {
        "coherence": (float(gamma.min()), float(gamma.max())) if len(gamma) else None,
        # Of no number at all, as of one channel, the largest is none.
        "clipped": tuple(float(np.nanmax(np.append(side, 0.0))) for side in sides),
        "floor": tuple(bool((side <= FLOOR).any()) for side in levels),
        "twice": any(is_twice(look) for look in looks),
        "rates": tuple(sorted({look.sample_rate for look in looks if look.sample_rate})),
    }


def _own(detector: Detector, machine: str, section: str) -> tuple[OwnScore, ...] | None:
    """Self-scores of clips that judge, in the order of time, where that is known."""
    known = detector.sections[(machine, section)]
    if known.traces is None:
        return None
    order = _in_time(known.traces.column("moment"), known.traces.session)
    if order is None:
        return None
    above, p = _judged(detector, machine, section)
    return tuple(
        OwnScore(bool(above[i]), float(p[i]), known.traces.session[i])
        for i in order
        if known.judges[i]
    )


def _in_time(moments: NDArray[np.float64], sessions: Sequence[str]) -> list[int] | None:
    """Places in the order of time; None where neither times nor recordings are known."""
    dated = moments > _DATED
    # Without times, clips of one recording still follow one another, recording after recording.
    if not dated.all() and not all(sessions):
        return None
    keys = [(0.0 if dated.all() else 1.0, "" if dated.all() else s) for s in sessions]
    return sorted(range(len(moments)), key=lambda i: (*keys[i], moments[i]))


def _judged(
    detector: Detector, machine: str, section: str
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of each normal clip: is it above the threshold that it is held against, and its p-value."""
    known = detector.sections[(machine, section)]
    own, judges = detector.self_scores(machine, section), known.judges
    above, p = np.zeros(len(own), dtype=np.bool_), np.ones(len(own))
    parts: list[tuple[str | None, NDArray[np.bool_]]] = [(None, np.ones(len(own), dtype=np.bool_))]
    if detector.threshold_by_domain:
        parts += [(name, known.of_domain(name)) for name in DOMAINS]
    for domain, mine in parts:
        held = mine & judges
        if not held.any():
            continue
        limit = detector.threshold(machine, section, domain).value
        ordered = np.sort(own[held])
        above[mine] = own[mine] > limit
        # A clip that judges is counted among those at or above it already: it is not twice.
        at_least = len(ordered) - np.searchsorted(ordered, own[mine], side="left")
        p[mine] = np.clip(at_least, 1, None) / len(ordered)
    return above, p
