"""When an alarm is to be raised, as far as a person may choose it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nearfar.errors import SettingError
from nearfar.scores.alarms import AlarmRule

WIDEST = 0.5  # p-value, of a lower threshold that nobody chose: above it a clip is quite normal
_SHORTEST, _LONGEST = 50, 10_000_000  # clips between false warnings of drift
_MACHINE, _SENSOR = AlarmRule(3, 5), AlarmRule(2, 3)
_LOWEST = -200.0  # dBFS; below the last bit of 32


@dataclass(frozen=True)
class AlarmSettings:
    """What raises an alarm and what clears it.

    Args:
        rule: of the machine: k of the last n judged clips above the threshold. 3 of 5: a single
            clip is no news, for a rate of false alarms was asked for; at a rate of 10 % three of
            five are above by chance once in some hundred windows, at 1 % once in 100,000; and a
            fault that stays is told with its third clip, half a minute at 10 s.
        clear: p-value; a clip at or below it, or above the threshold, keeps an alarm standing.
            None: twice the detector's rate of false alarms, at most 0.5. Of normal clips that is
            as rare as to end an alarm within a few clips, and far enough from the threshold that a
            score which sways about it gives one alarm, not many.
        sensor_rule: of a sensor fault: 2 of 3, for a cable that is loose is loose again soon, and
            one clip may have been recorded while somebody touched the microphone.
        gate: dBFS of the near channel below which the machine is not running; None: as learnt.
        every: s between clips, for "clips missing" after three times that; None: nobody knows.
        drift_run: clips between false warnings of drift, kept as `cusum.Cusum.of` says: at 10 s
            and day and night 12 days. Ten times fewer would find a drift 6 clips sooner.

    Raises:
        SettingError: a value that can never be meant.

    >>> str(AlarmSettings().rule), AlarmSettings().clear_for(0.1), AlarmSettings().clear_for(0.4)
    ('3/5', 0.2, 0.5)
    """

    rule: AlarmRule = _MACHINE
    clear: float | None = None
    sensor_rule: AlarmRule = _SENSOR
    gate: float | None = None
    every: float | None = None
    drift_run: float = 100_000.0

    def __post_init__(self) -> None:
        _within("lower threshold", self.clear, 0.0, 1.0, "a p-value above 0 and below 1")
        _within("gate", self.gate, _LOWEST, 0.0, f"dBFS above {_LOWEST:.0f} and below 0")
        _within("time between clips", self.every, 0.0, math.inf, "seconds, more than none")
        _within("clips between false warnings of drift", self.drift_run, _SHORTEST, _LONGEST,
                f"a number above {_SHORTEST} and below {_LONGEST:,}")  # fmt: skip

    def clear_for(self, rate: float) -> float:
        """The p-value down to which a clip lets an alarm be cleared.

        Args:
            rate: of false alarms, which the detector was asked for.
        """
        return min(2 * rate, WIDEST) if self.clear is None else self.clear


def _within(what: str, value: float | None, low: float, high: float, wanted: str) -> None:
    # Written so that nan, which no comparison is true of, is refused.
    if value is not None and not low < value < high:
        raise SettingError(f"{what} {value:g}; it is {wanted}")
