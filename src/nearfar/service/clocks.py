"""Two clocks, of which one only rises: where they part, a computer slept or was set."""

from __future__ import annotations

from datetime import datetime

JUMP = 60.0  # s; what a time server corrects by the way is less


class Clocks:
    """The time of the day beside seconds that only rise.

    >>> from datetime import UTC, timedelta
    >>> noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    >>> clocks = Clocks(noon, 0.0)
    >>> clocks.jump(noon + timedelta(seconds=1), 1.0), clocks.jump(noon, 2.0)
    (0.0, 0.0)
    >>> clocks.jump(noon + timedelta(hours=1), 3.0)
    3599.0
    """

    def __init__(self, moment: datetime, seconds: float) -> None:
        self._last = moment, seconds

    def jump(self, moment: datetime, seconds: float) -> float:
        """By how much the day's clock was set since the last look, s; 0.0 where it was not."""
        before, passed = self._last
        self._last = moment, seconds
        found = (moment - before).total_seconds() - (seconds - passed)
        return found if abs(found) > JUMP else 0.0
