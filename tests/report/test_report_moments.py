"""Alarms in time: no clip is counted twice, none is forgotten."""

from datetime import datetime
from pathlib import Path

from nearfar.clips import Clip
from nearfar.report.moments import days, on_wall, recordings, zone_of
from nearfar.scores.verdict import Verdict
from reports import judged, plant


def cut(scores, name="hall/night.wav", seconds=10.0):
    """A long recording in clips; None is one that was not judged."""
    found = []
    for n, score in enumerate(scores):
        clip = Clip(Path(name), start=n * seconds, stop=(n + 1) * seconds, machine="pump")
        if score is None:
            found.append(Verdict.none(clip, 1.0, "silent"))
        else:
            found.append(Verdict(clip, score, 0.5, 1.0, "a.wav"))
    return found


def test_days_hold_all_clips_that_say_their_time():
    run = judged(plant(count=20), scores=[2.0] * 3 + [0.0] * 17, silent=(19,))
    found = days(run.scores)
    assert [d.day.day for d in found] == [15, 16, 17]
    assert sum(d.clips for d in found) == 20
    assert [d.alarms for d in found] == [3, 0, 0]
    assert [d.silent for d in found] == [0, 0, 1]


def test_clips_without_a_time_have_no_day():
    assert days(cut([0.0, 2.0])) == ()


def test_alarms_that_follow_each_other_are_one_run():
    (found,) = recordings(cut([0, 2, 2, 2, 0, 2, 0]))
    assert [(run.start, run.stop, run.clips) for run in found.runs] == [(10, 40, 3), (50, 60, 1)]
    assert found.alarms == 4
    assert found.seconds == 70


def test_a_clip_not_judged_ends_no_run():
    (found,) = recordings(cut([2, None, 2, 0]))
    assert [(run.start, run.stop, run.clips) for run in found.runs] == [(0, 30, 2)]
    assert found.silent == 1


def test_the_worst_minutes_come_first_and_clips_keep_their_minute():
    scores = [0.0] * 360
    scores[100:103] = [3.0, 4.0, 3.0]  # minutes 16 and 17
    scores[200] = 9.0  # minute 33
    (found,) = recordings(cut(scores))
    assert found.minutes[0].start == 960
    assert found.minutes[0].alarms == 2
    assert {m.start for m in found.minutes[:3]} == {960, 1020, 1980}
    assert sum(m.clips for m in found.minutes) == 6 * len(found.minutes)


def test_recordings_with_most_alarms_come_first_whole_ones_are_none():
    whole = Verdict(Clip(Path("hall/one.wav")), 2.0, 0.5, 1.0, "a.wav")
    found = recordings([*cut([0, 0], "a/quiet.wav"), whole, *cut([2, 0], "a/loud.wav")])
    assert [r.name for r in found] == ["a/loud.wav", "a/quiet.wav"]


def test_zones_do_not_stop_a_list_of_days():
    from datetime import UTC

    clips = plant(count=2)
    clips.append(
        Clip(Path("hall/pump/z.wav"), machine="pump", time=datetime(2026, 6, 15, tzinfo=UTC))
    )
    found = days(judged(clips).scores)
    assert sum(d.clips for d in found) == 3


def test_recordings_of_several_zones_are_told_on_one_clock():
    """The night in which clocks go back: 02:30 summer time is before 02:15 winter time."""
    summer, winter = (
        datetime.fromisoformat(t) for t in ("2026-10-25T02:30+02:00", "2026-10-25T02:15+01:00")
    )
    zone = zone_of([winter, summer])
    assert zone == summer.tzinfo
    assert [on_wall(t, zone).strftime("%H:%M") for t in (summer, winter)] == ["02:30", "03:15"]
    naive = datetime(2026, 10, 25, 1)
    assert zone_of([winter, naive]) is None
    assert on_wall(winter, None) == datetime(2026, 10, 25, 2, 15)
    late = datetime.fromisoformat("9999-12-31T23:59+00:00")
    assert on_wall(late, zone).year == 9999
