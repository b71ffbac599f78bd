"""Verdicts in the order of time, and the alarms among them that last.

One recording above its threshold is no news: a rate of false alarms was asked for. Several of the
last few are. Everything here is a pure function of verdicts, and of those so far alone: what comes
later changes no alarm, so that who watches a folder may ask again with each recording.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import comb
from typing import Any

from nearfar.clips.clip import Clip
from nearfar.errors import SettingError
from nearfar.scores.verdict import Verdict
from nearfar.text import called

_LONGEST = 1000  # recordings that a rule may look back on; more is a mistyped number


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm lasts: `least` of the last `of` judged recordings are above the threshold.

    Raises:
        SettingError: not whole numbers with 1 <= least <= of.

    >>> str(AlarmRule()), AlarmRule.read("2/3")
    ('3/5', AlarmRule(least=2, of=3))
    """

    least: int = 3
    of: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.of <= _LONGEST:
            raise SettingError(
                f"alarm rule {self.least}/{self.of}; it is k/n, at least k of the last n, "
                f"1 <= k <= n <= {_LONGEST}"
            )

    @classmethod
    def read(cls, text: str) -> AlarmRule:
        """The rule that is written k/n.

        Raises:
            SettingError: it is not.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if found is None:
            raise SettingError(f"alarm rule {text!r}; it is k/n, as 3/5: at least 3 of the last 5")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.least}/{self.of}"

    @property
    def told(self) -> str:
        """The rule in words.

        >>> AlarmRule(3, 5).told, AlarmRule(1, 1).told
        ('3 of the last 5 recordings above the threshold', 'a recording above the threshold')
        """
        if self.of == 1:
            return "a recording above the threshold"
        return f"{self.least} of the last {self.of} recordings above the threshold"

    def chance(self, rate: float) -> float:
        """How probable it is that recordings raise an alarm by chance, as far as they are normal.

        Args:
            rate: share of normal recordings above the threshold, 0–1.

        Returns:
            Of any `of` recordings in a row, were they independent, 0–1. Those of an hour often
            are not.

        >>> AlarmRule(1, 1).chance(0.05), round(AlarmRule(3, 5).chance(0.05), 5)
        (0.05, 0.00116)
        """
        counts = range(self.least, self.of + 1)
        return sum(comb(self.of, k) * rate**k * (1 - rate) ** (self.of - k) for k in counts)


@dataclass(frozen=True)
class Spell:
    """An alarm that lasted; places are those of `History.verdicts`.

    >>> Spell(since=3, first=5, last=9, highest=8).since  # three recordings made it one
    3
    """

    since: int  # the earliest recording above the threshold of those that raised it
    first: int  # the recording with which it was raised
    last: int  # the last recording up to which it stood
    highest: int  # the recording with the highest score, from `since` to `last`


@dataclass(frozen=True)
class History:
    """What was said of one machine and section, in order, and which of it lasted.

    >>> from pathlib import Path
    >>> said = [Verdict(Clip(Path(f"{n}.wav")), s, 0.5, 1.0, "") for n, s in enumerate((0, 2, 3))]
    >>> history, = histories(said, AlarmRule(2, 2))
    >>> history.lasting, history.spells, history.timed
    ((False, False, True), (Spell(since=1, first=2, last=2, highest=2),), False)
    """

    machine: str
    section: str
    verdicts: tuple[Verdict, ...]
    timed: bool  # in the order of time; else of names, for some clip says no time
    lasting: tuple[bool, ...]  # does an alarm stand, after each recording
    spells: tuple[Spell, ...]

    @property
    def name(self) -> str:
        """What people call it."""
        return called(self.machine, self.section)

    @property
    def above(self) -> int:
        """How many recordings are above their threshold."""
        return sum(v.anomalous for v in self.verdicts)

    @property
    def silent(self) -> int:
        """How many could not be judged."""
        return sum(not v.judged for v in self.verdicts)

    @property
    def standing(self) -> bool:
        """Does an alarm stand with the last recording?"""
        return bool(self.lasting) and self.lasting[-1]

    def unheard(self, rule: AlarmRule) -> bool:
        """Is any of the last recordings not judged, of as many as a rule looks back on?"""
        return not all(v.judged for v in self.verdicts[-rule.of :])

    def before(self, spell: Spell) -> tuple[int, int]:
        """Of the judged recordings before an alarm began: how many were above, and how many."""
        earlier = [v for v in self.verdicts[: spell.since] if v.judged]
        return sum(v.anomalous for v in earlier), len(earlier)

    def when(self, place: int) -> str:
        """When a recording was made, as people write it; where that is not known its name."""
        clip = self.verdicts[place].clip
        return moment(clip.time) if self.timed and clip.time is not None else clip.file


def moment(time: datetime) -> str:
    """A time for people, to the minute where it has no seconds.

    >>> moment(datetime(2026, 3, 2, 6)), moment(datetime(2026, 3, 2, 6, 0, 5))
    ('2026-03-02 06:00', '2026-03-02 06:00:05')
    """
    whole = not (time.second or time.microsecond)
    return time.isoformat(" ", "minutes" if whole else "auto")


def histories(verdicts: Iterable[Verdict], rule: AlarmRule) -> tuple[History, ...]:
    """Verdicts of any machines, apart and in order, each with its lasting alarms.

    Returns:
        One a machine and section, sorted by them. Where every clip says its time the order is of
        time, else of names, numbers in them by their value.
    """
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.clip.machine, verdict.clip.section), []).append(verdict)
    return tuple(_history(*key, groups[key], rule) for key in sorted(groups))


def _history(machine: str, section: str, found: Sequence[Verdict], rule: AlarmRule) -> History:
    zoned = {v.clip.time is not None and v.clip.time.tzinfo is not None for v in found}
    # A clock with a zone and one without cannot be held against each other.
    timed = all(v.clip.time is not None for v in found) and len(zoned) == 1
    # By name too: recordings of one second keep one order, however they were given.
    ordered = tuple(sorted(found, key=lambda v: (*((v.clip.time,) * timed), _by_name(v.clip))))
    states = tuple(lasting([v.anomalous if v.judged else None for v in ordered], rule))
    return History(machine, section, ordered, timed, states, tuple(_spells(ordered, states, rule)))


def _by_name(clip: Clip) -> tuple[Any, ...]:
    # As people count: 2.wav comes before 10.wav. Texts and numbers take turns, so they compare.
    pieces = re.split(r"([0-9]+)", str(clip.path))
    return [int(p) if n % 2 else p for n, p in enumerate(pieces)], clip.start


def lasting(above: Iterable[bool | None], rule: AlarmRule) -> Iterator[bool]:
    """Does an alarm stand, after each of the recordings?

    Args:
        above: is each above the threshold, in order; None: not judged. That one is stepped over:
            what nobody heard raises no alarm, and ends none.
        rule: how many of how many.

    >>> list(lasting([True, False, None, True, False, False], AlarmRule(2, 3)))
    [False, False, False, True, False, False]
    """
    window: deque[bool] = deque(maxlen=rule.of)
    for state in above:
        if state is not None:
            window.append(state)
        yield sum(window) >= rule.least


def _spells(
    verdicts: Sequence[Verdict], states: Sequence[bool], rule: AlarmRule
) -> Iterator[Spell]:
    first = None
    for place, stands in enumerate([*states, False]):
        if stands and first is None:
            first = place
        elif not stands and first is not None:
            since = _since(verdicts, first, rule)
            highest = max(
                (n for n in range(since, place) if verdicts[n].judged),
                key=lambda n: verdicts[n].score,
            )
            yield Spell(since, first, place - 1, highest)
            first = None


def _since(verdicts: Sequence[Verdict], first: int, rule: AlarmRule) -> int:
    """The earliest of the recordings above the threshold that raised an alarm at `first`."""
    window = [n for n in range(first + 1) if verdicts[n].judged][-rule.of :]
    return next(n for n in window if verdicts[n].anomalous)
