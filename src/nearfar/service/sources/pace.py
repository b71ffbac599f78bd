"""At what rate samples really come: a stream that was started with another one sounds wrong."""

from __future__ import annotations

_WINDOW = 30.0  # s; a second's jitter of pipes and of a busy computer is 3 % of it
_OFF = 0.04  # of the rate; 44,100 for 48,000 Hz are 8 %, and no clock of a recorder is so bad
_LIVE = 5.0  # times the rate; what comes faster is a file that is sent, not a microphone


class Pace:
    """Measures a stream's rate where it comes by itself, and says when it is not what was said.

    Only where its reader had to wait for every read: else it is the reader who sets the pace.

    Args:
        rate: that was said, Hz.

    >>> pace = Pace(48_000)
    >>> said = [pace.came(44_100, now=float(second), waited=True) for second in range(40)]
    >>> [rate for rate in said if rate is not None]
    [44100]
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._since: float | None = None
        self._samples = 0
        self._told = False

    def came(self, samples: int, now: float, *, waited: bool) -> int | None:
        """Samples came.

        Args:
            samples: of one channel.
            now: s, of a clock that never goes back.
            waited: nothing was there before them.

        Returns:
            The rate they really have, in Hz, where it begins to differ from what was said.
        """
        if self._since is None or not waited:
            # What lay in the pipe before is not counted: nobody knows when it came.
            self._since, self._samples = (now if waited else None), 0
            return None
        self._samples += samples
        lasted = now - self._since
        if lasted < _WINDOW:
            return None
        measured = self._samples / lasted
        self._since, self._samples = now, 0
        ratio = measured / self._rate
        off = abs(ratio - 1) > _OFF and ratio < _LIVE
        before, self._told = self._told, off
        return round(measured) if off and not before else None
