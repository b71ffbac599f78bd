"""How many false alarms a month to expect of a rule: as if clips were independent, and as they are.

Independence is the best case: clips of an hour are alike, so what is above the threshold comes
together, and a rule that counts on chance to part it counts too low. So the self-scores go through
the alarm's own state machine in their order in time as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nearfar.detector.section import FEW_SESSIONS
from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.cusum import FEWEST, Cusum
from nearfar.service.alarms.hysteresis import ABOVE, BELOW, BETWEEN, Hysteresis
from nearfar.service.alarms.normality import Normality, OwnScore
from nearfar.service.alarms.raises import RaiseRate, highest_rate, rate_of
from nearfar.text import called, counted, figure, lasting

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.service.alarms.wishes import AlarmSettings

MONTH = 30 * 86_400.0  # s
BEARABLE = 4.0  # false alarms a month, above which it is said how there would be fewer
_SURE = 0.95


@dataclass(frozen=True)
class InOrder:
    """What the normal clips themselves raise, one after another.

    >>> InOrder(clips=200, alarms=0).interval[0], round(InOrder(200, 0).interval[1], 4)
    (0.0, 0.0184)
    """

    clips: int
    alarms: int

    @property
    def interval(self) -> tuple[float, float]:
        """Alarms a clip, the exact 95 % interval of a Poisson count (Garwood 1936)."""
        from scipy.special import gammaincinv

        tail = (1 - _SURE) / 2
        low = float(gammaincinv(self.alarms, tail)) if self.alarms else 0.0
        return low / self.clips, float(gammaincinv(self.alarms + 1, 1 - tail)) / self.clips


@dataclass(frozen=True, eq=False)
class Promise:
    """What to expect of one machine's alarm, as far as its sounds stay as they were.

    >>> from nearfar.service.alarms.wishes import AlarmSettings
    >>> pump = Normality("pump", "00", n=99, allowed=9, rate=0.1, seconds=10.0)
    >>> told = Promise(pump, AlarmSettings())
    >>> round(told.clips_a_month), round(told.expected), told.measured is None
    (259200, 1299, True)
    """

    normality: Normality
    settings: AlarmSettings

    @property
    def clips_a_month(self) -> float:
        """While the machine runs: by the pace that was told or recorded, else end to end."""
        # What somebody says of the days to come is worth more than how the normals were recorded.
        if self.settings.every is not None:
            return MONTH / self.settings.every
        known = self.normality.clips_a_day
        return MONTH / self.normality.seconds if known is None else 30 * known

    @property
    def clear(self) -> float:
        """p-value of the lower threshold."""
        return self.settings.clear_for(self.normality.rate)

    @cached_property
    def rate(self) -> RaiseRate:
        """False alarms a clip, if clips were independent."""
        n, above = self.normality.n, self.normality.allowed
        return rate_of(self.settings.rule, n, above, self.clear)

    @property
    def expected(self) -> float:
        """False alarms a month, if clips were independent."""
        return self.rate.value * self.clips_a_month

    @cached_property
    def highest(self) -> float:
        """The same, that is not exceeded with 95 % confidence."""
        n, above = self.normality.n, self.normality.allowed
        found = highest_rate(self.settings.rule, n, above, self.clear)
        return found.value * self.clips_a_month

    @cached_property
    def measured(self) -> InOrder | None:
        """What the self-scores raise in their order in time; None where nobody knows that."""
        own = self.normality.own
        return None if not own else InOrder(len(own), self._raised(own))

    @cached_property
    def sessions(self) -> InOrder | None:
        """Days or recordings, and how many of them have an alarm; None where none are known."""
        own = self.normality.own
        if not own or not all(one.session for one in own):
            return None
        parts: dict[str, list[OwnScore]] = {}
        for one in own:
            parts.setdefault(one.session, []).append(one)
        # Each from nothing: an evening's clips are no part of the next morning.
        alarmed = sum(self._raised(part) > 0 for part in parts.values())
        # Of a single one there is no other day to compare with.
        return InOrder(len(parts), alarmed) if len(parts) > 1 else None

    @cached_property
    def drifts(self) -> int | None:
        """Warnings of drift that the self-scores raise in that order; None likewise."""
        scheme, total, count = self._scheme, 0, 0
        if not self.normality.own or scheme is None:
            return None
        for one in self.normality.own:
            total = scheme.after(total, one.p_value)
            if total >= scheme.limit:  # begun anew, as after a person has seen to it
                total, count = 0, count + 1
        return count

    @property
    def _scheme(self) -> Cusum | None:
        return Cusum.of(self.normality.n, self.settings.drift_run)

    def _raised(self, own: Sequence[OwnScore]) -> int:
        latch, count = Hysteresis(self.settings.rule), 0
        for one in own:
            stood = latch.standing
            level = ABOVE if one.above else BETWEEN if one.p_value <= self.clear else BELOW
            count += latch.take(level) and not stood
        return count

    def lines(self) -> tuple[str, ...]:
        """What a person is told."""
        found = [self._told_rule(), self._told_independent(), self._told_measured()]
        if (days := self._told_sessions()) is not None:
            found.append(days)
        found.append(
            "counted is the time that the machine runs: of one that stands half of the month "
            "expect half"
        )
        if self.expected > BEARABLE and (fewer := self._told_fewer()) is not None:
            found.append(fewer)
        return (*found, self._told_drift())

    def _told_rule(self) -> str:
        rule, normal = self.settings.rule, self.normality
        pace = f"one each {lasting(MONTH / self.clips_a_month)}"
        return (
            f"{called(normal.machine, normal.section)}: alarm {rule}, cleared when fewer than "
            f"{rule.least} of the last {rule.of} have a p-value up to {self.clear:g}; "
            f"{lasting(normal.seconds)} clips, {pace}: {self.clips_a_month:,.0f} in 30 days"
        )

    def _told_independent(self) -> str:
        return (
            f"if clips were independent ({self.rate.told}): about {figure(self.expected)} false "
            f"alarms a month; with 95 % confidence up to {figure(self.highest)}, as far as "
            f"{counted(self.normality.n, 'normal clip')} tell"
        )

    def _told_fewer(self) -> str | None:
        """What a stricter rule, and a tenth of the rate of false alarms, would bring; if less."""
        rule, n = self.settings.rule, self.normality.n
        # A rate that n clips cannot keep is kept as far as they can: by the highest of them.
        rate = self.normality.rate / 10
        above = max(int(rate * (n + 1) + 1e-9) - 1, 0)
        lower = rate_of(rule, n, above, self.settings.clear_for(rate)).value
        ways = [(lower, f"with a false-alarm rate of {rate:g}")]
        if rule.least < rule.of:
            strict = AlarmRule(rule.least + 1, rule.of)
            found = rate_of(strict, n, self.normality.allowed, self.clear).value
            ways.append((found, f"with an alarm of {strict}"))
        told = [f"{figure(value * self.clips_a_month)} {how}" for value, how in ways
                if value < 0.9 * self.rate.value]  # fmt: skip
        return f"for fewer: {', '.join(told)}" if told else None

    def _told_measured(self) -> str:
        found = self.measured
        if found is None:
            return (
                "as measured: cannot tell, the detector does not know its clips' order in time; "
                "fit on clips whose names or lists say it"
            )
        # A hundred clips say little of a month's hundred thousand; the interval says how little.
        low, high = (self.clips_a_month * rate for rate in found.interval)
        alone = self.rate.value * found.clips
        together = low > self.expected
        return (
            f"as measured on {counted(found.clips, 'self-score')} in their order in time: "
            f"{counted(found.alarms, 'alarm')} ({figure(alone)} if independent), that is "
            f"{figure(found.alarms / found.clips * self.clips_a_month)} a month, 95 % interval "
            f"{figure(low)} to {figure(high)}"
            + "; clips above the threshold come together: count on this number"
            * together
        )

    def _told_drift(self) -> str:
        if self._scheme is None:
            return f"drift: of fewer than {FEWEST} normal clips nobody can tell"
        said = "" if self.drifts is None else f"; the self-scores in their order: {self.drifts}"
        return f"drift: {self._scheme.told()}{said}"

    def _told_sessions(self) -> str | None:
        found = self.sessions
        if found is None:
            return None
        many = f"{found.alarms} of {found.clips} days or recordings have an alarm"
        if found.clips < FEW_SESSIONS:
            return f"{many}: of fewer than {FEW_SESSIONS} nobody can tell what another day brings"
        low, high = shares(found.alarms, found.clips)
        return f"{many}: {100 * low:.2g} to {100 * high:.2g} % of days to come (95 %)"


def promise(
    detector: Detector, settings: AlarmSettings, machine: str, section: str = "00"
) -> Promise:  # fmt: skip
    """What to expect of the alarm of one machine and section.

    Raises:
        DatasetError: an unknown machine or section.
    """
    return Promise(Normality.of(detector, machine, section), settings)


def shares(hits: int, of: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934).

    >>> [round(float(end), 3) for end in shares(0, 10)]
    [0.0, 0.308]
    """
    from scipy.special import betaincinv

    tail = (1 - _SURE) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, of - hits + 1, tail))
    return low, 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 1 - tail))
