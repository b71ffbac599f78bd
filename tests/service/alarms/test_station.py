"""A machine's alarms: clips, notices, time and people in, events out."""

import json
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from heard_clips import at, deed, heard, normal, station, verbs
from nearfar.errors import FormatError
from nearfar.scores.alarms import AlarmRule
from nearfar.service.alarms.point import Numbering
from nearfar.service.alarms.sensors import names
from nearfar.service.alarms.wishes import AlarmSettings
from nearfar.service.incoming import Notice

FAULTS = ("near dead", "far silent", "near clipped", "identical", "swapped", "moved", "wrong rate")
clips = st.one_of(
    st.sampled_from([0.01, 0.05, 0.15, 0.3, 0.6, 1.0]).map(lambda p: ("judged", p, ())),
    st.just(("idle", 1.0, ())),
    st.lists(st.sampled_from(FAULTS), max_size=2, unique=True).map(
        lambda found: ("unjudged", 1.0, tuple(found))
    ),
    st.sampled_from(FAULTS[2:]).map(lambda fault: ("judged", 0.01, (fault,))),
)
happenings = st.one_of(
    clips.map(lambda clip: ("clip", clip)),
    st.sampled_from(["lost", "gone", "back", "half", "format", "ended"]).map(
        lambda kind: ("notice", kind)
    ),
    st.sampled_from(["acknowledged", "shelved", "unshelved", "noted"]).flatmap(
        lambda verb: st.integers(1, 4).map(lambda alarm: ("deed", (verb, alarm)))
    ),
    st.integers(0, 900).map(lambda seconds: ("tick", seconds)),
)
HOURLY = AlarmSettings(every=60.0, drift_run=100.0)


def happen(to, what, n):
    kind, about = what
    if kind == "clip":
        status, p, faults = about
        return to.take(heard(n, status, p, faults=faults))
    if kind == "notice":
        return to.notice(Notice("hall", about, "the folder is gone", at=at(n)))
    if kind == "tick":
        return to.tick(at(n) + timedelta(seconds=about))
    verb, alarm = about
    return to.act(deed(verb, alarm, n, until=at(n + 20)))


@given(st.lists(clips, max_size=60))
def test_no_alarm_of_the_machine_without_k_of_n(given_clips):
    here, window = station(), []
    for n, (status, p, faults) in enumerate(given_clips):
        events = here.take(heard(n, status, p, faults=faults))
        if status == "judged" and not faults:
            window = [*window, p <= 0.1][-5:]
        if ("machine", "sound", "raised") in verbs(events):
            assert sum(window) >= 3


@given(st.lists(clips.filter(lambda clip: clip[0] != "judged" or clip[2]), max_size=60))
def test_sensor_faults_and_idle_clips_neither_raise_nor_clear_the_machines_alarm(given_clips):
    calm, wrong = station(), station()
    for n in range(3):
        wrong.take(heard(n, p=0.01))
    for here in (calm, wrong):
        kinds = {
            event.kind
            for n, (status, p, faults) in enumerate(given_clips, 3)
            for event in here.take(heard(n, status, p, faults=faults))
        }
        assert kinds <= {"sensor"}


@given(st.lists(happenings, max_size=50), st.lists(happenings, max_size=30))
def test_taken_up_from_its_state_at_any_point_the_future_is_the_same(before, after):
    numbers = Numbering()
    here = station(HOURLY, numbers=numbers)
    for n, what in enumerate(before):
        happen(here, what, n)
    again = station(HOURLY, here.state, Numbering(numbers.alarm, numbers.event))
    assert again.state == here.state
    assert again.alarms == here.alarms
    for n, what in enumerate(after, len(before)):
        assert happen(here, what, n) == happen(again, what, n)
        assert (here.alarms, here.changed) == (again.alarms, again.changed)
    assert here.state == again.state


@given(st.lists(happenings, max_size=60))
def test_whatever_happens_rows_and_events_agree(given_happenings):
    """What a history would make of the events is what the station says of its alarms."""
    here, standing = station(HOURLY), {}
    for n, what in enumerate(given_happenings):
        events = happen(here, what, n)
        standing |= {alarm.id: alarm for alarm in here.changed}
        assert {event.alarm for event in events} <= standing.keys() | {
            event.alarm for event in events if event.verb in ("shelved", "unshelved")
        }
        for event in events:
            assert "\n" not in event.told
            assert len(event.told) <= 500
    left = [alarm for alarm in standing.values() if alarm.word != "closed" or alarm.shelved_until]
    assert sorted(left, key=lambda a: a.id) == list(here.alarms)


def test_the_default_rule_tells_of_a_fault_with_its_third_clip_and_of_its_end():
    here = station()
    told = [verbs(here.take(heard(n, p=0.01))) for n in range(4)]
    assert told == [[], [], [("machine", "sound", "raised")], []]
    # Between the thresholds nothing changes; below the lower one three of five end it.
    assert not any(here.take(heard(n, p=0.15)) for n in range(4, 10))
    told = [verbs(here.take(heard(n, p=0.5))) for n in range(10, 13)]
    assert told == [[], [], [("machine", "sound", "cleared")]]
    [alarm] = here.alarms
    assert alarm.word == "cleared"
    assert here.now.alarms == (alarm,)


def test_a_machine_that_stands_half_of_the_day_does_not_alarm():
    here = station()
    told = [here.take(heard(n, "idle")) for n in range(500)]
    assert not any(told)
    assert here.now.running is False
    here.take(heard(500))
    assert here.now.running is True


@pytest.mark.parametrize("fault", ["near dead", "far clipped", "moved", "wrong channels"])
def test_a_sensor_fault_is_raised_by_two_of_three_and_has_its_way_out(fault):
    here = station()
    first = here.take(heard(0, "unjudged", faults=(fault,)))
    [event] = here.take(heard(1, "unjudged", faults=(fault,)))
    assert not first
    assert (event.kind, event.condition, event.verb) == ("sensor", fault, "raised")
    assert ";" in event.told
    assert here.now.faults == (fault,)
    assert here.now.running is None
    told = [verbs(here.take(heard(n))) for n in (2, 3)]
    assert told == [[], [("sensor", fault, "cleared")]]


def test_what_is_asked_only_while_it_runs_is_not_over_because_it_stands():
    here = station()
    for n in range(2):
        here.take(heard(n, "judged", 0.01, faults=("moved",)))
    assert not any(here.take(heard(n, "idle")) for n in range(2, 9))
    assert [alarm.condition for alarm in here.alarms] == ["moved"]


def test_clips_that_cannot_be_used_at_all_are_an_alarm():
    here = station()
    told = [verbs(here.take(heard(n, "unjudged"))) for n in range(2)]
    assert told == [[], [("sensor", "unreadable", "raised")]]


def test_a_lost_stream_is_told_at_once_and_its_return():
    here = station()
    [lost] = here.notice(Notice("hall", "gone", "/data/hall: the folder is gone", at=at(0)))
    assert lost.condition == "stream lost"
    assert "/data/hall" in lost.told
    assert here.now.faults == ("stream lost",)
    assert here.notice(Notice("hall", "lost", "again", at=at(1))) == ()
    [back] = here.notice(Notice("hall", "back", "it is there again", at=at(2)))
    assert back.verb == "cleared"
    assert here.now.faults == ()
    assert here.notice(Notice("hall", "ended", "closed", at=at(3))) == ()
    here.notice(Notice("hall", "lost", "unplugged", at=at(4)))
    assert [e.verb for e in here.take(heard(5))] == ["cleared"]  # a clip came: it is there


def test_recordings_that_come_by_halves_are_counted():
    here = station()
    told = [here.notice(Notice("hall", "half", "a_far.wav did not come", at=at(n))) for n in (0, 1)]
    assert [verbs(one) for one in told] == [[], [("sensor", "incomplete", "raised")]]
    told = [here.notice(Notice("pipe", "format", "3 bytes too many", at=at(n))) for n in (2, 3)]
    assert verbs(told[1]) == [("sensor", "wrong format", "raised")]


def test_missing_clips_are_told_after_three_times_their_usual_time():
    here = station(AlarmSettings(every=10.0))
    here.take(heard(0))
    assert here.tick(at(3)) == ()
    [event] = here.tick(at(3) + timedelta(seconds=1))
    assert event.condition == "clips missing"
    assert "31 s" in event.told
    assert here.tick(at(9)) == ()
    assert here.now.faults == ("clips missing",)
    assert verbs(here.take(heard(10))) == [("sensor", "clips missing", "cleared")]
    assert station(AlarmSettings()).tick(at(10_000)) == ()  # where nobody knows the pace


def test_neither_a_clock_set_back_nor_a_watch_that_was_off_makes_clips_missing():
    here = station(AlarmSettings(every=10.0))
    here.take(heard(1000))
    assert here.tick(at(1000) - timedelta(hours=1)) == ()
    assert here.tick(at(1003) - timedelta(hours=1)) == ()
    again = station(AlarmSettings(every=10.0), here.state)
    again.resume(at(5000))
    assert again.tick(at(5002)) == ()
    assert again.tick(at(5004)) != ()


def test_what_came_and_waits_to_be_heard_is_not_missing():
    """After a start there are thousands, of all machines; this one's come behind the others."""
    here = station(HOURLY)
    here.take(heard(0))
    late = at(0) + timedelta(hours=1)
    assert here.tick(late, waits=True) == ()
    assert verbs(here.tick(late)) == [("sensor", "clips missing", "raised")]


def test_a_source_that_was_opened_anew_is_not_lost():
    here = station()
    here.notice(Notice("hall", "gone", "the folder is gone", at=at(0)))
    again = station(state=here.state)
    assert verbs(again.resume(at(5))) == [("sensor", "stream lost", "cleared")]
    assert again.resume(at(6)) == ()
    # A clock that was set opens nothing: what is lost stays lost.
    here.resume(at(7), opened=False)
    assert [alarm.word for alarm in here.alarms] == ["active"]


def test_drift_warns_names_the_way_out_and_ends_with_another_detector():
    here = station(AlarmSettings(drift_run=100.0))
    told = [e for n in range(60) for e in here.take(heard(n, p=0.12))]
    assert verbs(told) == [("drift", "drift", "raised")]
    assert "nearfar learn DETECTOR CLIPS" in told[0].told
    # The same clips by a detector that learnt them: the sum begins anew.
    told = here.take(heard(60, p=0.4, detector="another12345"))
    assert verbs(told) == [("drift", "drift", "cleared")]


def test_drift_ends_by_itself_where_scores_are_again_as_they_were():
    here = station(AlarmSettings(drift_run=100.0))
    for n in range(60):
        here.take(heard(n, p=0.12))
    told = [e for n in range(60, 90) for e in here.take(heard(n, p=0.6))]
    assert verbs(told) == [("drift", "drift", "cleared")]


def test_of_a_handful_of_normals_no_drift_is_told():
    here = station(normality=normal(n=2, allowed=0))
    assert not any(here.take(heard(n, p=0.34, above=False)) for n in range(200))


def test_drift_stands_still_while_the_machine_sounds_wrong():
    here = station()
    told = [e for n in range(300) for e in here.take(heard(n, p=0.01))]
    assert verbs(told) == [("machine", "sound", "raised")]


def test_another_detector_may_be_given_beforehand():
    here = station(AlarmSettings(drift_run=100.0))
    for n in range(60):
        here.take(heard(n, p=0.12))
    assert verbs(here.renew(normal(n=150), at(61))) == [("drift", "drift", "cleared")]
    assert here.take(heard(62, p=0.4, detector="another12345")) == ()


def test_people_acknowledge_and_shelve_by_number():
    here = station()
    for n in range(3):
        here.take(heard(n, p=0.01))
    [event] = here.act(deed("acknowledged", 1, 3, note="bearing ordered"))
    assert event.verb == "acknowledged"
    assert event.told == "pump: sound: acknowledged: bearing ordered"
    assert here.alarms[0].note == "bearing ordered"
    assert here.act(deed("acknowledged", 1, 4)) == here.act(deed("acknowledged", 99, 5)) == ()
    [event] = here.act(deed("shelved", 1, 6, until=at(100)))
    assert not event.silent
    assert here.alarms[0].word == "shelved"
    told = [e for n in range(7, 12) for e in here.take(heard(n))]
    assert [(e.verb, e.silent) for e in told] == [("unshelved", True), ("cleared", False)]
    assert [a.word for a in here.changed] == []
    assert here.alarms == ()


def test_a_note_is_no_news_and_stays_whatever_becomes_of_the_alarm():
    here = station()
    for n in range(3):
        here.take(heard(n, p=0.01))
    assert here.act(deed("noted", 1, 3, note="bearing ordered")) == ()
    assert [(a.note, a.word) for a in here.changed] == [("bearing ordered", "active")]
    again = station(state=here.state, numbers=Numbering(1, 9))
    [event] = again.act(deed("acknowledged", 1, 4))  # without a word more
    assert event.told == "pump: sound: acknowledged"
    assert again.alarms[0].note == "bearing ordered"
    assert again.act(deed("noted", 1, 5, note="changed")) == again.act(deed("noted", 9, 6)) == ()
    assert again.alarms[0].note == "changed"
    told = [e.verb for n in range(7, 12) for e in again.take(heard(n))]
    assert told == ["cleared"]
    assert again.act(deed("noted", 1, 13, note="too late")) == ()
    assert again.alarms == ()


def test_what_was_done_while_nothing_ran_is_taken_up_and_nothing_twice():
    here = station()
    for n in range(3):
        here.take(heard(n, p=0.01))
    deeds = [deed("shelved", 1, 3, until=at(9)), deed("unshelved", 1, 4)]
    told = [event.verb for one in deeds for event in here.act(one)]
    assert told == ["shelved", "unshelved"]
    deeds.append(deed("acknowledged", 1, 5))
    again = station(state=here.state, numbers=Numbering(1, 9))
    told = [event.verb for one in deeds for event in again.act(one)]
    assert told == ["acknowledged"]
    assert again.acted == 6


@pytest.mark.parametrize("state", ["{", "[]", "{}", '{"schema": 99}', '{"schema": 1, "sum": 3}'])
def test_a_damaged_state_is_one_line(state):
    with pytest.raises(FormatError) as told:
        station(state=state)
    assert "\n" not in str(told.value)
    assert "schema" in str(told.value) or "damaged" in str(told.value)


def test_the_state_of_a_calm_machine_is_small():
    """It is written with each clip."""
    here = station()
    for n in range(2):
        here.take(heard(n, "unjudged", faults=("near dead",)))
    for n in range(2, 100):
        here.take(heard(n))
    here.act(deed("acknowledged", 1, 100))
    assert here.take(heard(101)) == ()
    assert len(here.state) < 400
    assert json.loads(here.state)["sensors"] == {}


def test_another_rule_is_taken_up_with_the_clips_known_so_far():
    here = station()
    for n in range(3):
        here.take(heard(n, p=0.01))
    again = station(AlarmSettings(AlarmRule(1, 2)), here.state)
    assert again.alarms == here.alarms
    assert [verbs(again.take(heard(n))) for n in (3, 4)] == [[], [("machine", "sound", "cleared")]]


def test_every_condition_has_a_line():
    assert {"near dead", "far clipped", "stream lost", "clips missing"} <= set(names())
