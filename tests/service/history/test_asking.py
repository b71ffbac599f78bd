"""What a history is asked of single clips, and of alarms over a time."""

import pytest

from made_history import START, alarm, seen
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.slow)])
def store(request):
    server = request.param == "server"
    where = request.getfixturevalue("postgres").database() if server else ""
    made = HistoryStore.open(where, watching=True)
    yield made
    made.close()


def test_a_clip_is_found_by_its_sound_and_only_with_its_machine(store):
    clips = [seen(i) for i in range(3)]
    rows = [store.keep(Change(clip)) for clip in clips]
    for clip, row in zip(clips, rows, strict=True):
        found = store.row(*clip.key, clip.digest)
        assert (found.id, found.observation) == (row, clip)
    assert store.row(*clips[0].key, clips[1].digest) is None
    assert store.row("fan", "00", clips[0].digest) is None
    assert store.row(*clips[0].key, "no\udcff digest\0") is None


def test_a_note_changes_the_alarm_at_once_and_the_watch_does_not_take_it_back(store):
    before = alarm(1, note="first")
    store.keep(Change(None, alarms=(before,)))
    store.act(Action(0, 1, "noted", START, "bearing ordered", None, "kim"))
    assert [(a.note, a.word) for a in store.alarms()] == [("bearing ordered", "active")]
    # A watch that has not looked yet writes the alarm as it knows it.
    store.keep(Change(None, alarms=(alarm(1, note="first", cleared=START),)))
    assert [(a.note, a.word) for a in store.alarms()] == [("bearing ordered", "cleared")]
    store.act(Action(0, 1, "noted", START, "", None, "kim"))
    store.keep(Change(None, alarms=(alarm(1, note="first", cleared=START),)))
    store.act(Action(0, 1, "acknowledged", START, "", None, "kim"))
    assert [(a.note, a.word) for a in store.alarms(closed=True)] == [("", "closed")]
    assert [one.verb for one in store.actions()] == ["noted", "noted", "acknowledged"]


def test_an_alarm_is_found_by_its_number_closed_or_not(store):
    made = (alarm(1), alarm(2, cleared=START, acknowledged=START))
    store.keep(Change(None, alarms=made))
    assert [store.alarm(number) for number in (1, 2, 3)] == [*made, None]
    assert store.alarms() == [made[0]]
