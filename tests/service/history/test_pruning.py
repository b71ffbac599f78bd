"""What is old goes, what still matters stays, and the file does not grow for ever."""

import sqlite3
from dataclasses import replace
from datetime import timedelta

import pytest

from made_history import SECOND, START, alarm, change, event, seen, stamp
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.kept_audio import KeptAudio
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from postgres_server import postgres  # noqa: F401

DAY = timedelta(days=1)
LATER = START + 100 * DAY


@pytest.fixture(params=["file", pytest.param("server", marks=pytest.mark.slow)])
def store(request, tmp_path):
    if request.param == "server":
        where = request.getfixturevalue("postgres").database()
    else:
        where = str(tmp_path / "plant.db")
    made = HistoryStore.open(where, watching=True)
    yield made
    made.close()


def later(i, days):
    return replace(change(i), observation=seen(i, arrived=START + days * DAY))


def test_what_arrived_long_ago_goes(store):
    for i in range(50):
        store.keep(later(i, days=i))
    # The clock was set back for one: by its arrival it is old, though it came last.
    store.keep(Change(seen(77, arrived=START)))
    assert store.prune(90 * DAY, at=START + 110 * DAY) == 21
    assert {clip.digest for clip in store.observations()} == {seen(i).digest for i in range(20, 50)}
    assert store.prune(90 * DAY, at=START + 110 * DAY) == 0
    assert store.keep(change(99)) is not None


def test_a_call_deletes_no_more_than_so_many(store):
    for i in range(30):
        store.keep(later(i, days=0))
    assert [store.prune(DAY, at=LATER, most=12) for _ in range(4)] == [12, 12, 6, 0]


def test_alarms_that_are_not_closed_stay(store):
    closed = alarm(1, 1, cleared=START + SECOND, acknowledged=START + SECOND)
    standing = alarm(2, 2)
    shelved = replace(closed, id=3, shelved_until=LATER)
    events = tuple(event(n, of=n, i=1) for n in (1, 2, 3))
    before = replace(closed, cleared=None, acknowledged=None)
    store.keep(change(1, alarms=(before, standing, shelved), events=events))
    for number in (1, 2):
        store.act(Action(0, number, "acknowledged", START + SECOND))
    store.keep(change(2, alarms=(closed,)))
    store.prune(90 * DAY, at=LATER)
    assert [a.id for a in store.alarms(closed=True)] == [2, 3]
    assert [e.id for e in store.events(0)] == [2, 3]
    assert [a.alarm for a in store.actions(0)] == [2]
    # Numbers go on: nobody takes a new alarm for one that was.
    store.keep(change(3, alarms=(replace(standing, acknowledged=START, cleared=START),)))
    store.keep(change(4, alarms=(replace(shelved, shelved_until=None),)))
    store.prune(90 * DAY, at=LATER)
    assert store.alarms(closed=True) == []
    assert store.highest() == (3, 3)
    assert store.events(0) == []


def test_files_that_are_there_stay_known(store, tmp_path):
    here = tmp_path / "here.wav"
    here.touch()
    files = (Stamp(str(here), 1, 2), stamp(1))
    store.keep(replace(change(1), files=files))
    assert store.prune(90 * DAY, at=LATER) == 1
    assert store.knows(files[:1])
    assert not store.knows(files[1:])


def test_texts_go_with_the_last_row_that_needs_them(store):
    for i in range(6):
        store.keep(later(i, days=0))
    store.keep(later(3 + 900, days=100))  # its nearest clip is that of number 3
    store.prune(90 * DAY, at=LATER + SECOND)
    (left,) = store.observations()
    assert left == later(903, days=100).observation
    with store._access.reading() as connection:
        kept = connection.exec_driver_sql("SELECT text FROM texts").scalars().all()
    folder = left.path.rpartition("/")[0] + "/"
    assert sorted(kept) == sorted([left.nearest, left.source, left.detector, folder])
    # Remembered numbers of those that went are forgotten.
    store.keep(later(2 + 900, days=100))
    assert {clip.nearest for clip in store.observations()} == {left.nearest, seen(902).nearest}


def test_the_sound_of_old_clips_goes(store, tmp_path):
    audio = KeptAudio(tmp_path / "audio", "all", 10**6)
    source = tmp_path / "a.wav"
    source.write_bytes(b"RIFF")
    for i, days in ((1, 0), (2, 100)):
        audio.take(seen(i), source, alarmed=True)
        store.keep(later(i, days))
    store.prune(90 * DAY, at=LATER, forget=audio.forget)
    assert [audio.path(seen(i).digest) is None for i in (1, 2)] == [True, False]


@pytest.mark.slow
def test_a_file_gives_its_room_back(tmp_path):
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    sizes = []
    for turn in range(4):
        for i in range(turn * 200, turn * 200 + 200):
            store.keep(later(i, days=turn * 100))
        store.prune(90 * DAY, at=START + (turn * 100 + 1) * DAY)
        aside = sqlite3.connect(path)
        sizes.append(aside.execute("PRAGMA page_count").fetchone()[0])
        aside.close()
    # As many rows in each turn: no more room from the second on, when what is old goes.
    assert max(sizes[2:]) <= 1.05 * sizes[1]
    store.prune(DAY, at=START + 9999 * DAY)
    aside = sqlite3.connect(path)
    assert aside.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert aside.execute("PRAGMA page_count").fetchone()[0] < sizes[-1] / 2
    aside.close()
    store.close()
