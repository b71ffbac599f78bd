"""Alarms in time: by day, along long recordings, and how many follow each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby

from nearfar.scores.verdict import Verdict

WORST = 5  # minutes named of each long recording
MINUTE = 60.0  # s


@dataclass(frozen=True)
class Day:
    """What a day brought.

    >>> Day(date(2026, 6, 15), clips=40, alarms=2, silent=0).alarms
    2
    """

    day: date
    clips: int
    alarms: int
    silent: int  # not judged


@dataclass(frozen=True)
class Stretch:
    """A part of a recording, in seconds from its begin.

    >>> Stretch(60.0, 120.0, clips=6, alarms=3, worst=None).seconds
    60.0
    """

    start: float
    stop: float
    clips: int
    alarms: int
    worst: Verdict  # the highest of them

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.stop - self.start


@dataclass(frozen=True)
class LongRecording:
    """A long recording that was cut into clips.

    >>> LongRecording("a.wav", 3600.0, 360, 0, 0, (), ()).runs
    ()
    """

    name: str  # for people
    seconds: float
    clips: int
    alarms: int
    silent: int  # not judged
    minutes: tuple[Stretch, ...]  # the worst ones, worst first
    runs: tuple[Stretch, ...]  # alarms without a clip between them that is none, longest first


def zone_of(times: Iterable[datetime]) -> tzinfo | None:
    """The zone in which a page tells all of some times: that of the first of them.

    Returns:
        None where any says no zone: each is then told as its own clock showed it.
    """
    found = list(times)
    aware = all(time.tzinfo for time in found)
    return min(found).tzinfo if found and aware else None


def on_wall(time: datetime, zone: tzinfo | None) -> datetime:
    """What a clock on the wall of a zone showed, without its zone.

    >>> from datetime import timezone
    >>> on_wall(datetime.fromisoformat("2026-03-01T10:00+02:00"), timezone.utc).hour
    8
    """
    if zone is None or time.tzinfo is None:
        return time.replace(tzinfo=None)
    try:
        return time.astimezone(zone).replace(tzinfo=None)
    except OverflowError:  # a clock in year 9999, as broken recorders write
        return time.replace(tzinfo=None)


def days(verdicts: Iterable[Verdict]) -> tuple[Day, ...]:
    """Days in their order; clips that do not say their time are in none."""
    known = [(v.clip.time, v) for v in verdicts if v.clip.time is not None]
    zone = zone_of(time for time, _ in known)
    timed: dict[date, list[Verdict]] = {}
    for time, v in known:
        timed.setdefault(on_wall(time, zone).date(), []).append(v)
    return tuple(
        Day(day, len(found), sum(v.anomalous for v in found), sum(not v.judged for v in found))
        for day, found in sorted(timed.items())
    )


def recordings(verdicts: Iterable[Verdict]) -> tuple[LongRecording, ...]:
    """Recordings that were cut into two clips or more, those with most alarms first."""
    parts: dict[str, list[Verdict]] = {}
    for v in verdicts:
        if v.clip.stop is not None:
            parts.setdefault(str(v.clip.path), []).append(v)
    found = [_recording(group) for group in parts.values() if len(group) > 1]
    return tuple(sorted(found, key=lambda one: (-one.alarms, one.name)))


def _recording(parts: Sequence[Verdict]) -> LongRecording:
    ordered = sorted(parts, key=lambda v: v.clip.start)
    judged = [v for v in ordered if v.judged]
    first, last = ordered[0].clip, ordered[-1].clip
    minutes = [
        _stretch(list(group)) for _, group in groupby(judged, lambda v: v.clip.start // MINUTE)
    ]
    return LongRecording(
        "/".join(first.path.parts[-2:]),
        (last.stop or 0.0) - first.start,
        len(ordered),
        sum(v.anomalous for v in judged),
        len(ordered) - len(judged),
        tuple(sorted(minutes, key=lambda m: (m.alarms, m.worst.score), reverse=True)[:WORST]),
        # The longest first: one clip above the threshold is chance soon enough, twenty are not.
        tuple(sorted(_runs(ordered), key=lambda run: (-run.clips, run.start))),
    )


def _runs(ordered: Sequence[Verdict]) -> list[Stretch]:
    runs: list[list[Verdict]] = [[]]
    for v in ordered:
        # A clip not judged ends no run and begins none: nobody knows what it was.
        if v.anomalous:
            runs[-1].append(v)
        elif v.judged and runs[-1]:
            runs.append([])
    return [_stretch(run) for run in runs if run]


def _stretch(verdicts: Sequence[Verdict]) -> Stretch:
    return Stretch(
        verdicts[0].clip.start,
        verdicts[-1].clip.stop or 0.0,
        len(verdicts),
        sum(v.anomalous for v in verdicts),
        max(verdicts, key=lambda v: v.score),
    )
