"""A history that is down stops nothing: changes wait in their order, up to a bound."""

import contextlib
import sqlite3
import subprocess
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from conftest import refused
from made_history import START, alarm, change, event, seen, stamp
from nearfar.errors import StorageError
from nearfar.service.history.changes import Action, Change
from nearfar.service.history.keeper import AT_ONCE, FIRST_WAIT, LONGEST_WAIT, Keeper
from nearfar.service.history.questions import Wanted
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401
from tiny_disk import tiny_disk  # noqa: F401


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Down:
    """A store that can be made to fail."""

    def __init__(self, store):
        self.store, self.down, self.tries = store, False, 0

    def __getattr__(self, name):
        def call(*args, **given):
            self.tries += 1
            if self.down:
                raise StorageError("plant.db: database or disk is full; free some space")
            return getattr(self.store, name)(*args, **given)

        return call


@pytest.fixture
def store():
    made = HistoryStore.open("")
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


def test_an_alarm_of_a_clip_that_was_there_is_kept(store, clock):
    """While a history is down nobody knows that a clip was heard before; it is judged again."""
    down = Down(store)
    keeper = Keeper(down, clock=clock)
    keeper.keep(change(0))
    down.down = True
    assert not keeper.has(*seen(0).key, seen(0).digest)
    again = replace(change(0, events=(event(1, 1),), alarms=(alarm(1),)), files=(stamp(7),))
    keeper.keep(again)  # and told: whoever acknowledges it must find it
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert (keeper.unkept, keeper.trouble) == (0, "")
    assert list(store.observations()) == [seen(0)]
    assert store.events() == [event(1, 1)]
    assert store.standing() == [alarm(1)]
    assert store.highest() == (1, 1)
    assert store.knows((stamp(7),))


def test_what_waits_is_kept_in_its_order(store, clock):
    down = Down(store)
    keeper = Keeper(down, clock=clock)
    assert keeper.keep(change(0)) == 1
    down.down = True
    assert [keeper.keep(change(i)) for i in range(1, 5)] == [None] * 4
    assert (keeper.unkept, keeper.lost) == (4, 0)
    assert "full" in keeper.trouble
    assert "4 rows not kept" in keeper.trouble
    assert "\n" not in keeper.trouble
    down.down = False
    keeper.retry()  # too early
    assert keeper.unkept == 4
    clock.now += FIRST_WAIT
    keeper.retry()
    assert (keeper.unkept, keeper.trouble) == (0, "")
    assert [row.id for row in store.rows(Wanted())] == [1, 2, 3, 4, 5]
    assert list(store.observations()) == [seen(i) for i in range(5)]
    assert keeper.keep(change(9)) == 6


def test_waits_grow_up_to_a_bound(store, clock):
    down = Down(store)
    down.down = True
    keeper = Keeper(down, clock=clock)
    keeper.keep(change(0))
    waits, last = [], clock.now
    while len(waits) < 12:
        tries = down.tries
        clock.now += 0.5
        keeper.retry()
        if down.tries > tries:
            waits.append(clock.now - last)
            last = clock.now
    assert waits[0] == FIRST_WAIT
    assert all(b in (2 * a, LONGEST_WAIT) for a, b in pairwise(waits))
    assert waits[-1] == LONGEST_WAIT
    # In trouble a clip costs no try of its own: each may take as long as a locked file is waited
    # for.
    tries = down.tries
    for i in range(1, 50):
        keeper.keep(change(i))
    assert down.tries == tries


def test_beyond_the_bound_the_oldest_is_given_up_and_counted(store, clock):
    down = Down(store)
    down.down = True
    keeper = Keeper(down, most=10, clock=clock)
    raised = change(0, events=(event(1),), alarms=(alarm(1),))
    keeper.keep(replace(raised, said={"mqtt": 4}))
    for i in range(1, 25):
        keeper.keep(change(i))
    assert (keeper.unkept, keeper.lost) == (10, 15)
    assert "15 given up" in keeper.trouble
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert list(store.observations()) == [seen(i) for i in range(15, 25)]
    # Its files are not done, so the next watch hears them again; an alarm is not forgotten.
    assert not store.knows((stamp(0),))
    assert store.standing() == [alarm(1)]
    assert store.events(0) == [event(1)]
    assert store.said() == {"mqtt": 4}
    assert keeper.trouble == ""


def test_what_followed_from_a_sound_that_was_kept_before_stands(store, clock):
    """While it is down nobody can see that a sound is there: it is heard, and an alarm is told."""
    store.keep(change(1))
    down = Down(store)
    keeper = Keeper(down, clock=clock)
    down.down = True
    again = replace(seen(1), name="copy.wav")
    assert not keeper.has(again.machine, again.section, again.digest)
    told = {"events": (event(1, i=1),), "alarms": (alarm(1, 1),)}
    keeper.keep(Change(again, (stamp(2),), station=(again.key, "{}"), **told))
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert list(store.observations()) == [seen(1)]
    assert (store.events(0), store.standing()) == ([event(1, i=1)], [alarm(1, 1)])
    assert store.stations()[again.key] == "{}"
    assert store.knows((stamp(2),))


def test_many_that_wait_are_caught_up_in_steps(store, clock):
    down = Down(store)
    down.down = True
    keeper = Keeper(down, clock=clock)
    for i in range(2 * AT_ONCE + 5):
        keeper.keep(Change(seen(i)))
    down.down = False
    clock.now += LONGEST_WAIT
    left = []
    while keeper.unkept:
        keeper.retry()
        left.append(keeper.unkept)
    assert left == [AT_ONCE + 5, 5, 0]
    assert list(store.observations()) == [seen(i) for i in range(2 * AT_ONCE + 5)]


def test_a_row_that_nobody_takes_stops_no_other(store, clock):
    keeper = Keeper(store, clock=clock)
    assert keeper.keep(change(0, said={"mqtt": 2**70})) is None
    assert (keeper.lost, keeper.unkept) == (1, 0)
    assert "1 row given up" in keeper.trouble
    assert keeper.keep(change(1)) is not None
    down = Down(store)
    down.down = True
    keeper = Keeper(down, clock=clock)
    for one in (change(2), change(3, said={"mqtt": 2**70}), change(4)):
        keeper.keep(one)
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert (keeper.lost, keeper.unkept) == (1, 0)
    assert list(store.observations()) == [seen(i) for i in (1, 2, 4)]


def test_what_waits_is_known(store, clock):
    down = Down(store)
    keeper = Keeper(down, clock=clock)
    keeper.keep(change(0))
    down.down = True
    keeper.keep(change(1))
    one = seen(1)
    assert keeper.has(one.machine, one.section, one.digest)
    assert not keeper.has(one.machine, "01", one.digest)
    assert keeper.knows((stamp(1),))
    assert not keeper.knows(())
    assert not keeper.knows((stamp(2),))
    down.down = False
    clock.now += LONGEST_WAIT
    assert keeper.has(seen(0).machine, "00", seen(0).digest)


def test_what_cannot_be_read_is_not_asked_at_each_clip(store, clock):
    down = Down(store)
    keeper = Keeper(down, clock=clock)
    keeper.keep(change(0, alarms=(alarm(3),)))
    store.act(Action(0, 3, "acknowledged", START))
    assert [action.alarm for action in keeper.actions(0)] == [3]
    down.down = True
    assert keeper.actions(0) == []
    assert "full" in keeper.trouble
    tries = down.tries
    for i in range(1, 20):
        assert not keeper.has(seen(i).machine, "00", seen(i).digest)
        assert not keeper.knows((stamp(i),))
        assert keeper.actions(0) == []
        assert keeper.keep(change(i)) is None
        assert keeper.prune(timedelta(0)) == 0
    assert down.tries == tries
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert keeper.trouble == ""
    assert [action.alarm for action in keeper.actions(0)] == [3]
    assert keeper.knows((stamp(19),))
    assert keeper.prune(timedelta(0)) == 20


def test_trouble_ends_though_nothing_waits(store, clock):
    down = Down(store)
    down.down = True
    keeper = Keeper(down, clock=clock)
    assert keeper.actions(0) == []
    down.down = False
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert keeper.trouble == ""


def test_closing_tries_once_more_and_counts(store, clock):
    down = Down(store)
    down.down = True
    keeper = Keeper(down, clock=clock)
    keeper.keep(change(0))
    down.down = False
    keeper.close(patience=0)
    assert list(store.observations()) == [seen(0)]
    down.down = True
    keeper.keep(change(1))
    keeper.close(patience=0)
    assert (keeper.lost, keeper.unkept) == (1, 0)


def test_a_database_that_another_program_holds_is_caught_up(tmp_path, clock):
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    keeper = Keeper(store, clock=clock)
    keeper.keep(change(0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for i in range(1, 4):
        assert keeper.keep(change(i)) is None
    assert "locked" in keeper.trouble
    other.execute("ROLLBACK")
    clock.now += LONGEST_WAIT
    assert keeper.keep(change(4)) is None
    assert keeper.trouble == ""
    # One that only reads holds nobody up.
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM clips").fetchone()
    assert keeper.keep(change(5)) is not None
    other.close()
    assert list(store.observations()) == [seen(i) for i in range(6)]
    store.close()


def test_a_file_that_was_removed_is_laid_down_anew(tmp_path, clock):
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    keeper = Keeper(store, clock=clock)
    keeper.keep(change(0))
    for name in tmp_path.iterdir():
        name.unlink()
    keeper.keep(change(1))
    assert "was removed" in keeper.trouble
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert keeper.trouble == ""
    store.close()
    again = HistoryStore.open(str(path), make=False)
    assert list(again.observations()) == [seen(1)]
    again.close()


def test_a_folder_that_vanishes_and_returns(tmp_path, clock):
    folder = tmp_path / "disk"
    folder.mkdir()
    store = HistoryStore.open(str(folder / "plant.db"), watching=True)
    keeper = Keeper(store, clock=clock)
    keeper.keep(change(0))
    folder.rename(tmp_path / "away")
    for i in (1, 2):
        keeper.keep(change(i))
        clock.now += LONGEST_WAIT
        keeper.retry()
    assert keeper.unkept == 2
    assert "no such folder" in keeper.trouble
    (tmp_path / "away").rename(folder)
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert keeper.trouble == ""
    assert list(store.observations()) == [seen(i) for i in range(3)]
    store.close()


@pytest.mark.slow
def test_a_full_disk_is_told_and_caught_up(tiny_disk, clock):  # noqa: F811
    store = HistoryStore.open(str(tiny_disk / "plant.db"), watching=True)
    keeper = Keeper(store, clock=clock)
    stone = tiny_disk / "stone"
    keeper.keep(change(0))
    with contextlib.suppress(OSError):
        stone.write_bytes(bytes(9_000_000))
    for i in range(1, 60):
        keeper.keep(change(i))
        clock.now += LONGEST_WAIT
    assert "full" in keeper.trouble
    assert "free some space" in keeper.trouble
    assert keeper.unkept
    stone.unlink()
    keeper.retry()
    assert (keeper.unkept, keeper.trouble, keeper.lost) == (0, "", 0)
    assert list(store.observations()) == [seen(i) for i in range(60)]
    store.close()


@pytest.mark.slow
def test_a_disk_that_turns_read_only(tiny_disk, clock):  # noqa: F811
    path = tiny_disk / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    keeper = Keeper(store, clock=clock)
    keeper.keep(change(0))
    store._access._let_go()  # a disk with files open for writing is not remounted

    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", tiny_disk], check=True)

    remount("ro")
    # Who only reads can: no file is made beside it.
    reader = HistoryStore.open(str(path), make=False)
    assert list(reader.observations()) == [seen(0)]
    reader.close()
    refused(lambda: HistoryStore.open(str(path), watching=True), path, error=StorageError)
    for i in (1, 2):
        assert keeper.keep(change(i)) is None
    assert "Read-only" in keeper.trouble
    remount("rw")
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert (keeper.unkept, keeper.trouble) == (0, "")
    assert list(store.observations()) == [seen(i) for i in range(3)]
    store.close()


@pytest.mark.slow
def test_a_server_that_is_killed_and_started_again(postgres, clock):  # noqa: F811
    store = HistoryStore.open(postgres.database(), watching=True)
    keeper = Keeper(store, clock=clock)
    keeper.keep(change(0))
    postgres.kill()
    for i in range(1, 4):
        assert keeper.keep(change(i)) is None
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert keeper.unkept == 3
    assert "plant@127.0.0.1" in keeper.trouble
    postgres.start()
    clock.now += LONGEST_WAIT
    keeper.retry()
    assert (keeper.unkept, keeper.trouble, keeper.lost) == (0, "", 0)
    assert keeper.keep(change(4)) is not None
    assert list(store.observations()) == [seen(i) for i in range(5)]
    store.close()
