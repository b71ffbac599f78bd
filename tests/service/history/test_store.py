"""A history keeps each thing once, all of it or nothing, and gives back what it was given."""

import math
import os
import sqlite3
import threading
import time
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from conftest import PATIENCE, refused
from made_history import START, alarm, change, event, seen, stamp
from nearfar.errors import SettingError, StorageError
from nearfar.service.history.changes import Action, Change, Unwritable
from nearfar.service.history.keeper import Keeper
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from postgres_server import postgres  # noqa: F401

KINDS = ["memory", "file", pytest.param("server", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def where(request, tmp_path):
    """A place for a new history, of each kind."""
    if request.param == "server":
        return request.getfixturevalue("postgres").database()
    return "" if request.param == "memory" else str(tmp_path / "plant.db")


@pytest.fixture
def store(where):
    made = HistoryStore.open(where, watching=True)
    yield made
    made.close()


def test_what_is_kept_comes_back_the_same(store):
    clips = [seen(i) for i in range(40)]
    rows = [store.keep(Change(clip)) for clip in clips]
    assert rows == sorted(set(rows))
    assert None not in rows
    assert list(store.observations()) == clips


def test_numbers_that_are_none_and_texts_of_any_kind_come_back(store):
    odd = "line\nbreak \udcff\udc80 NUL\0 tab\t ␛ ␛0041 Größe 機 \U0001f600 'quoted' \"%s\" \\"
    clip = seen(
        1, name=odd, path=f"/data/{odd}/{odd}", source=odd, nearest=odd, warning=odd, machine=odd,
        section=odd, faults=("dead", odd), score=math.inf, ratio=-math.inf, near_level=None,
        detector=odd,
    )  # fmt: skip
    assert store.keep(Change(clip, files=(Stamp(clip.path, 7, -5),)))
    assert list(store.observations(machine=odd, section=odd)) == [clip]
    assert store.knows((Stamp(clip.path, 7, -5),))
    assert store.has(odd, odd, clip.digest)
    unread = seen(2, seconds=math.nan, score=math.nan, threshold=math.nan, percentile=None)
    store.keep(Change(unread))
    (found,) = store.observations(machine=unread.machine)
    for name in ("seconds", "score", "threshold"):
        assert math.isnan(getattr(found, name))
    plain = {"seconds": 0.0, "score": 0.0, "threshold": 0.0}
    assert replace(found, **plain) == replace(unread, **plain)


def test_a_watch_asks_of_a_sound_as_a_reader_does_and_holds_no_transaction(tmp_path):
    place = str(tmp_path / "plant.db")
    watch = HistoryStore.open(place, watching=True)
    reader = HistoryStore.open(place)
    watch.keep(Change(seen(1)))
    for clip in (seen(1), seen(2)):
        for machine, section in (clip.key, (clip.machine, "07"), ("another", clip.section)):
            known = watch.has(machine, section, clip.digest)
            assert known == reader.has(machine, section, clip.digest)
            assert known == ((clip, machine, section) == (seen(1), *seen(1).key))
    # Nobody else would get to write, if the look had begun a transaction.
    other = sqlite3.connect(place, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    assert watch.has(*seen(1).key, seen(1).digest)
    refused(lambda: watch.keep(Change(seen(3))), "locked", error=StorageError)
    other.close()
    reader.close()
    watch.close()


def test_times_keep_their_zone_or_none(store):
    from datetime import timezone

    local = START.replace(tzinfo=None, microsecond=123_457)
    east = START.astimezone(timezone(timedelta(hours=5, minutes=45)))
    times = [None, local, START, east]
    for i, when in enumerate(times):
        store.keep(Change(seen(i, machine="fan", time=when)))
    found = {clip.digest: clip.time for clip in store.observations()}
    for i, when in enumerate(times):
        back = found[seen(i).digest]
        assert back == when
        assert when is None or back.utcoffset() == when.utcoffset()


def test_the_same_sound_is_one_row_and_its_file_is_done(store):
    first = change(1, events=(event(1, i=1),), alarms=(alarm(1, 1),))
    assert store.keep(first) is not None
    again = replace(
        first, observation=seen(1, name="copy.wav"), files=(stamp(99),), events=(event(2, i=1),),
        station=(first.observation.key, "{}"), said={"mqtt": 9},
    )  # fmt: skip
    assert store.keep(again) is None
    assert list(store.observations()) == [seen(1)]
    assert store.knows((stamp(1), stamp(99)))
    # Nothing else of it: its alarm would be one of a clip that is not there.
    assert store.events(0) == [event(1, i=1)]
    assert store.stations() == {first.observation.key: first.station[1]}
    assert store.said() == {}
    # Of another machine it is another clip.
    assert store.keep(Change(seen(1, machine="pump"))) is not None


def test_a_file_is_known_by_name_size_and_time(store):
    assert not store.knows(())
    assert not store.knows((stamp(1),))
    store.keep(Change(None, files=(stamp(1), stamp(2))))
    assert store.knows((stamp(1), stamp(2)))
    assert not store.knows((stamp(1), stamp(3)))
    grown = replace(stamp(1), size=stamp(1).size + 1)
    assert not store.knows((grown,))
    assert not store.knows((replace(stamp(1), modified=0),))
    store.keep(Change(None, files=(grown,)))
    assert store.knows((grown,))


def test_a_watch_goes_on_where_it_was(where, tmp_path):
    if where == "":
        pytest.skip("memory ends with its process")
    store = HistoryStore.open(where, watching=True)
    one, two = alarm(4, 1), alarm(5, 2, cleared=START, acknowledged=START, note="greased")
    store.keep(change(1, events=(event(7, 4, 1), event(8, 5, 2, silent=True)), alarms=(one, two)))
    store.keep(Change(None, said={"mqtt": 7, "odd \udcff": 3}))
    store.close()
    again = HistoryStore.open(where, watching=True)
    assert again.highest() == (5, 8)
    assert again.standing() == [one]
    assert again.alarms(closed=True) == [one, two]
    assert again.events(7) == [event(8, 5, 2, silent=True)]
    assert again.said() == {"mqtt": 7, "odd \udcff": 3}
    assert again.stations() == {seen(1).key: change(1).station[1]}
    assert again.knows((stamp(1),))
    assert again.keep(change(1)) is None
    again.close()


def test_what_people_say_is_kept_and_stands_at_once(store):
    store.keep(change(1, alarms=(alarm(3, 1), alarm(4, 1))))
    until = START + timedelta(hours=2)
    said = [
        Action(0, 3, "acknowledged", START, note="greased", who="kim"),
        Action(0, 4, "shelved", START, until=until, who="kim"),
    ]
    for action in said:
        store.act(action)
    kept = store.actions(0)
    assert [replace(action, id=0) for action in kept] == said
    assert store.actions(kept[0].id) == kept[1:]
    first, second = store.standing()
    assert (first.word, first.note, second.shelved_until) == ("acknowledged", "greased", until)
    store.act(Action(0, 4, "unshelved", START))
    assert store.standing()[1].word == "active"
    # The watch had not seen it yet, and does not take it back.
    store.keep(change(2, alarms=(alarm(3, 1, cleared=START),)))
    assert [a.word for a in store.alarms(closed=True)] == ["closed", "active"]
    refused(lambda: store.act(Action(0, 9, "acknowledged", START)), "alarm 9", error=SettingError)


def test_who_acknowledged_first_stands_and_the_audit_has_both(store):
    store.keep(change(1, alarms=(alarm(3, 1),)))
    for hour, note in enumerate(("greased", "seen too")):
        store.act(Action(0, 3, "acknowledged", START + timedelta(hours=hour), note))
    [kept] = store.standing()
    assert (kept.acknowledged, kept.note) == (START, "greased")
    assert [action.note for action in store.actions(0)] == ["greased", "seen too"]


def test_of_a_closed_alarm_nothing_is_said(store):
    """Its row would stand in the list for ever, since no station has it any more."""
    closed = alarm(3, 1, cleared=START, acknowledged=START)
    store.keep(change(1, alarms=(closed,)))
    until = START + timedelta(hours=2)
    shelf = Action(0, 3, "shelved", START, until=until)
    for said in (shelf, Action(0, 3, "acknowledged", START), Action(0, 3, "unshelved", START)):
        refused(lambda said=said: store.act(said), "alarm 3 is closed", error=SettingError)
    assert (store.standing(), store.actions(0)) == ([], [])


@pytest.mark.parametrize("last", ["said", "kept"])
def test_closed_by_a_person_and_the_watch_together_it_is_off_its_shelf(store, last):
    until = START + timedelta(hours=2)
    shelved = alarm(3, 1, shelved_until=until)
    cleared = change(2, alarms=(replace(shelved, cleared=START),))
    store.keep(change(1, alarms=(shelved,)))
    if last == "said":
        store.keep(cleared)
        assert store.standing()[0].word == "shelved"  # it waits for somebody
    store.act(Action(0, 3, "acknowledged", START))
    if last == "kept":
        assert store.standing()[0].word == "shelved"  # it stands
        store.keep(cleared)
    [row] = store.alarms(closed=True)
    assert (store.standing(), row.word, row.shelved_until) == ([], "closed", None)


def test_a_change_is_written_whole_or_not_at_all(store):
    # The last thing that is written, and more than any column holds.
    broken = change(1, events=(event(1, i=1),), alarms=(alarm(1, 1),), said={"mqtt": 2**70})
    with pytest.raises(Unwritable):
        store.keep(broken)
    assert list(store.observations()) == []
    assert not store.knows((stamp(1),))
    assert store.standing() == []
    assert store.stations() == {}
    assert store.said() == {}
    assert store.keep(change(1)) is not None
    assert store.knows((stamp(1),))


def test_a_state_is_written_only_when_it_changed(tmp_path):
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    store.keep(change(1))
    with sqlite3.connect(path) as aside:
        aside.execute("UPDATE stations SET state = 'mine'")
    aside.close()
    store.keep(replace(change(21), station=change(1).station))
    assert store.stations()[seen(1).key] == "mine"
    store.keep(change(41))
    assert store.stations()[seen(1).key] == change(41).station[1]
    store.close()


def test_a_history_in_memory_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr("nearfar.service.history.store.IN_MEMORY", 50)
    store = HistoryStore.open("")
    for i in range(200):
        store.keep(Change(seen(i)))
    store._kept = 9_999
    store.keep(Change(seen(200)))
    assert list(store.observations()) == [seen(i) for i in range(151, 201)]
    store.close()


def test_a_clip_takes_less_than_a_kilobyte(tmp_path):
    """With its file, indexes and state, and with nothing in a WAL."""
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    for i in range(500):
        store.keep(change(i))
    store.close()
    assert path.stat().st_size / 500 <= 1000
    assert {p.name for p in tmp_path.iterdir()} == {"plant.db", "plant.db-lock"}


def test_others_read_while_it_is_written(where):
    store = HistoryStore.open(where, watching=True)
    store.keep(change(0))
    wrong, done = [], threading.Event()

    def ask():
        try:
            last = 0
            while not done.is_set():
                found = list(store.observations())
                assert found == [seen(i) for i in range(len(found))]
                assert len(found) >= last
                assert store.knows((stamp(0),))
                last = len(found)
        except BaseException as error:  # seen by the test, not by the thread's end
            wrong.append(error)

    readers = [threading.Thread(target=ask) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(1, 150):
        store.keep(change(i))
    done.set()
    for reader in readers:
        reader.join()
    store.close()
    assert wrong == []


@pytest.mark.slow
def test_two_schemas_of_a_database_are_two_histories(postgres):  # noqa: F811
    where = postgres.database()
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA north")
        connection.execute("CREATE SCHEMA south")
    stores = [
        HistoryStore.open(f"{where}?options=-csearch_path%3D{name}", watching=True)
        for name in ("north", "south")
    ]
    for i, store in enumerate(stores):
        store.keep(change(i))
    assert [list(store.observations()) for store in stores] == [[seen(0)], [seen(1)]]
    for store in stores:
        store.close()


@pytest.mark.slow
def test_of_two_people_at_once_both_are_heard(postgres):  # noqa: F811
    """Numbers are seen in their order: who asks for those above the last misses none."""
    where = postgres.database()
    store, watch = HistoryStore.open(where), HistoryStore.open(where)
    store.keep(change(1, alarms=(alarm(3, 1),)))
    row = "INSERT INTO actions (alarm, verb, at, note, who) VALUES (3, 'unshelved', 0, '', 'kim')"
    with psycopg.connect(where) as slow:
        slow.execute(row)  # and has the first number
        other = threading.Thread(target=store.act, args=(Action(0, 3, "acknowledged", START),))
        other.start()
        with psycopg.connect(where, autocommit=True) as looker:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            for _ in range(10 * PATIENCE):
                if looker.execute(waits).fetchone()[0] or not other.is_alive():
                    break
                time.sleep(0.1)
        assert watch.actions(0) == []
    other.join(PATIENCE)
    assert [action.verb for action in watch.actions(0)] == ["unshelved", "acknowledged"]
    store.close()
    watch.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "broken", [
        ("ALTER TABLE clips RENAME TO away", "ALTER TABLE away RENAME TO clips"),
        ("ALTER TABLE clips OWNER TO other", "ALTER TABLE clips OWNER TO CURRENT_USER"),
    ],
)  # fmt: skip
def test_tables_and_rights_that_are_put_right_lose_no_row(postgres, broken):  # noqa: F811
    """A dump that is being restored, or a right that somebody took away."""
    where = postgres.database()
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS other")
        admin.execute("DROP ROLE IF EXISTS plain")
        admin.execute("CREATE ROLE other")
        admin.execute("CREATE ROLE plain LOGIN")
        admin.execute("GRANT plain TO CURRENT_USER")
        admin.execute("GRANT ALL ON SCHEMA public TO plain, other")
        store = HistoryStore.open(where.replace("plant@", "plain@"), watching=True)
        clock = [0.0]
        keeper = Keeper(store, clock=lambda: clock[0])
        keeper.keep(change(0))
        admin.execute(broken[0])
        assert keeper.keep(change(1)) is None
        assert (keeper.unkept, keeper.lost) == (1, 0)
        assert "\n" not in keeper.trouble
        admin.execute(broken[1].replace("CURRENT_USER", "plain"))
        clock[0] += 100.0
        keeper.retry()
        assert (keeper.unkept, keeper.trouble) == (0, "")
        assert list(store.observations()) == [seen(0), seen(1)]
        store.close()
        admin.execute("REASSIGN OWNED BY plain, other TO CURRENT_USER")
        admin.execute("DROP OWNED BY plain, other")
        admin.execute("DROP ROLE plain, other")


@pytest.mark.slow
def test_a_server_of_another_encoding_is_refused(postgres):  # noqa: F811
    where = postgres.database("TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    refused(lambda: HistoryStore.open(where), "LATIN1", "UTF8", error=StorageError)


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://plant:secret@127.0.0.1:1/none",
        "postgresql://plant@127.0.0.1:1/none?password=secret",
        "postgresql://plant:secret@[::1/none",
    ],
)
def test_a_server_that_is_not_there_is_one_line_without_its_password(where):
    told = refused(lambda: HistoryStore.open(where), error=StorageError)
    assert "secret" not in told


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path):
    """A pipe would be waited for, and beside a device SQLite would lay files of its own."""
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "loop.db").symlink_to("loop.db")
    (tmp_path / "zero.db").symlink_to("/dev/zero")
    for name, words in (
        ("pipe.db", "is a pipe or a device"), ("zero.db", "is a pipe or a device"),
        ("loop.db", "cannot be read"), ("x" * 5000, "cannot be read"),
    ):  # fmt: skip
        for watching in (True, False):
            refused(lambda name=name, w=watching: HistoryStore.open(
                str(tmp_path / name), watching=w), words, error=StorageError)  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop.db", "pipe.db", "zero.db"]


@pytest.mark.parametrize("where", ["mysql://plant@db/x", "http://db/x", "sqlite+aio:///x.db"])
def test_a_url_of_another_database_is_no_folder_that_is_missing(where):
    refused(lambda: HistoryStore.open(where, watching=True), "is no place", error=StorageError)


def test_a_question_writes_nothing_into_an_empty_file(tmp_path):
    (tmp_path / "list.csv").touch()
    refused(lambda: HistoryStore.open(str(tmp_path / "list.csv"), make=False), "has no history")
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
