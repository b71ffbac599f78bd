"""One process watches into a history; its lock falls with it, however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import finish, refused, stop
from made_history import START, alarm, change, stamp
from nearfar.errors import StorageError
from nearfar.service.history.changes import Action
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401

HOLD = """
import sys
from nearfar.service.history.store import HistoryStore
store = HistoryStore.open(sys.argv[1], watching=True)
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold():
    """Starts another process that watches into a history."""
    begun = []

    def start(where):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, where],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        begun.append(process)
        assert process.stdout.readline() == b"here\n"
        return process

    yield start
    stop(begun)


def second_is_refused(hold, where):
    process = hold(where)
    told = refused(lambda: HistoryStore.open(where, watching=True), error=StorageError)
    assert f"process {process.pid}" in told
    assert "secret" not in told
    return process


def test_a_second_watch_is_refused_until_the_first_is_killed(hold, tmp_path):
    path = tmp_path / "plant.db"
    process = second_is_refused(hold, str(path))
    link = tmp_path / "link.db"
    link.symlink_to(path)  # by another name it is the same
    refused(lambda: HistoryStore.open(str(link), watching=True), f"{process.pid}")
    reader = HistoryStore.open(str(path))
    assert list(reader.observations()) == []
    reader.close()
    process.send_signal(signal.SIGKILL)
    process.wait()
    store = HistoryStore.open(str(path), watching=True)
    refused(lambda: HistoryStore.open(str(path), watching=True), error=StorageError)
    store.close()
    HistoryStore.open(str(path), watching=True).close()


FORKS = """
import os, sys, time
from nearfar.service.history.store import HistoryStore
store = HistoryStore.open(sys.argv[1], watching=True)
if os.fork() == 0:  # it says so itself: what a child does as it begins, is done
    print(os.getpid(), flush=True)
time.sleep(3600)
"""


@pytest.mark.slow
def test_a_worker_that_outlives_its_watch_has_no_lock(tmp_path):
    where = str(tmp_path / "plant.db")
    watch = subprocess.Popen([sys.executable, "-c", FORKS, where], stdout=subprocess.PIPE)
    worker = int(watch.stdout.readline())
    try:
        refused(lambda: HistoryStore.open(where, watching=True), f"process {watch.pid}")
        watch.kill()
        watch.wait()
        HistoryStore.open(where, watching=True).close()
    finally:
        os.kill(worker, signal.SIGKILL)
        stop([watch])


def test_people_and_readers_need_no_lock(tmp_path):
    where = str(tmp_path / "plant.db")
    store = HistoryStore.open(where, watching=True)
    store.keep(change(1, alarms=(alarm(3, 1),)))
    other = HistoryStore.open(where)
    other.act(Action(0, 3, "acknowledged", START, who="kim"))
    assert [action.alarm for action in store.actions(0)] == [3]
    store.keep(change(2))
    assert len(list(other.observations())) == 2
    other.close()
    store.close()


@pytest.mark.slow
def test_a_second_watch_of_a_server_is_refused_until_the_first_is_killed(hold, postgres):  # noqa: F811
    where = postgres.database()
    process = second_is_refused(hold, where)
    HistoryStore.open(where).close()
    finish(process, b"")  # closes its input; it ends
    process = hold(where)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(1000):  # the server learns of the end from the system
        try:
            store = HistoryStore.open(where, watching=True)
            break
        except StorageError:
            time.sleep(0.05)
    refused(lambda: HistoryStore.open(where, watching=True), error=StorageError)
    store.close()
    HistoryStore.open(where, watching=True).close()


@pytest.mark.slow
def test_a_server_that_another_took_meanwhile_says_so(hold, postgres):  # noqa: F811
    where = postgres.database()
    store = HistoryStore.open(where, watching=True)
    store.keep(change(1))
    postgres.kill()
    refused(lambda: store.keep(change(2)), error=StorageError)
    postgres.start()
    process = hold(where)
    refused(lambda: store.keep(change(2)), f"process {process.pid}", error=StorageError)
    process.send_signal(signal.SIGKILL)
    process.wait()
    store.close()


def test_who_asks_after_the_end_opens_nothing_again(tmp_path):
    """A source's thread may be late; the lock is of the next watch then."""
    path = str(tmp_path / "plant.db")
    store = HistoryStore.open(path, watching=True)
    store.close()
    refused(lambda: store.knows((stamp(1),)), path, "closed", error=StorageError)
    HistoryStore.open(path, watching=True).close()
