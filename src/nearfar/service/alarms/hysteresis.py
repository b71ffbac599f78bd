"""Of how many of the last clips an alarm is made, and of how few it is not kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

from nearfar.scores.alarms import AlarmRule

Level = Literal[0, 1, 2]
BELOW, BETWEEN, ABOVE = 0, 1, 2  # the lower threshold; both; the threshold


class Hysteresis:
    """Raised by k of the last n above, kept up by k of n that are not below.

    What raises keeps up as well: so a clip between the two changes nothing, in no order of clips.

    >>> latch = Hysteresis(AlarmRule(2, 3))
    >>> [latch.take(level) for level in (2, 1, 2, 1, 1, 0, 1, 0)]
    [False, False, True, True, True, True, True, False]
    """

    def __init__(
        self, rule: AlarmRule, levels: Iterable[int] = (), *, standing: bool = False
    ) -> None:
        self.rule = rule
        self.standing = standing
        self._last: deque[int] = deque(levels, maxlen=rule.of)

    def take(self, level: int) -> bool:
        """One more clip; does the condition stand, after it?"""
        self._last.append(level)
        if self.standing:
            # What raises it keeps it up too, so that what lies between ends nothing.
            self.standing = len(self._last) - self._last.count(BELOW) >= self.rule.least
        else:
            self.standing = self.above >= self.rule.least
        return self.standing

    @property
    def levels(self) -> tuple[int, ...]:
        """Of the last clips, oldest first."""
        return tuple(self._last)

    @property
    def above(self) -> int:
        """How many of them are above the threshold."""
        return self._last.count(ABOVE)

    @property
    def idle(self) -> bool:
        """Nothing stands, and nothing speaks for it: a new one would behave alike."""
        # Zeros alone are as good as none: they are among the n either way, and k counts others.
        return not self.standing and not any(self._last)
