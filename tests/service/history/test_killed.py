"""Killed at any moment and begun again, a history has what a run without a kill has."""

import os
import random
import signal
import time

import pytest

from kept_by_child import run
from made_history import stamp
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401


def content(where, count):
    """All that a history says, but for the numbers of its rows."""
    store = HistoryStore.open(where, make=False)
    found = (
        list(store.observations()), store.stations(), store.events(0), store.alarms(closed=True),
        store.said(), store.highest(), all(store.knows((stamp(i),)) for i in range(count)),
    )  # fmt: skip
    store.close()
    return found


def begun(where, count):
    """A child that keeps, and what it says; forked, for its imports would take most of the time."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            run(where, count, lambda word: os.write(say, word[:1].encode()))
        finally:
            os._exit(0)
    os.close(say)
    return child, hear


def killed_until_done(where, count, kills, seed):
    """Begin, and kill at a random moment; how often it was killed before all was done."""
    rng = random.Random(seed)
    killed = 0
    while True:
        child, hear = begun(where, count)
        try:
            assert os.read(hear, 1) == b"h"
            if killed < kills:
                time.sleep(rng.uniform(0, 0.02))
            else:
                os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        done = os.read(hear, 1)
        os.close(hear)
        if done == b"d":
            return killed
        killed += 1


def law(where, reference, count, kills, seed):
    killed = killed_until_done(where, count, kills, seed)
    assert killed == kills, "the list is too short: it was done too soon"
    one, other = content(where, count), content(reference, count)
    assert one[-1] is True
    assert one == other
    # Nothing is there twice, and as much as was delivered without what came again.
    assert len(one[0]) == len({(c.key, c.digest) for c in one[0]}) == count - count // 3


@pytest.fixture
def reference(tmp_path):
    def make(count):
        where = str(tmp_path / "reference.db")
        run(where, count, say=lambda _: None)
        return where

    return make


@pytest.mark.slow
def test_killed_three_times(tmp_path, reference):
    count = 300
    law(str(tmp_path / "plant.db"), reference(count), count, kills=3, seed=1)


@pytest.mark.slow
def test_killed_a_hundred_times(tmp_path, reference):
    count = 6_000
    law(str(tmp_path / "plant.db"), reference(count), count, kills=100, seed=2)


@pytest.mark.slow
def test_a_client_of_a_server_killed_ten_times(postgres, reference):  # noqa: F811
    count = 300
    law(postgres.database(), reference(count), count, kills=10, seed=3)
