"""The watch goes first, a click goes before uploads, and too many are told to come again."""

import asyncio
import threading

import pytest

from loops import finished
from nearfar.page import turns as module
from nearfar.page.refusal import Refusal
from nearfar.page.turns import WAITING, Turns


def test_nothing_begins_while_the_watch_hears():
    busy, asked = [True], []

    def is_busy():
        asked.append(1)
        if len(asked) == 5:
            busy[0] = False
        return busy[0]

    turns = Turns(is_busy)
    assert finished(turns.run("uploads", lambda: list(busy))) == [False]
    turns.close()


def test_a_watch_that_is_never_idle_stops_nobody(monkeypatch):
    monkeypatch.setattr(module, "LET", 0.01)
    turns = Turns(lambda: True)
    assert finished(turns.run("people", lambda: 7)) == 7
    turns.close()


def test_a_click_needs_not_wait_for_uploads():
    async def run():
        turns, go = Turns(lambda: False), threading.Event()
        uploads = [asyncio.create_task(turns.run("uploads", go.wait)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await turns.run("people", lambda: "at once") == "at once"
        go.set()
        assert all(await asyncio.gather(*uploads))
        turns.close()

    finished(run())


def test_one_more_than_may_wait_is_told_to_come_again():
    async def run():
        turns, go = Turns(lambda: False), threading.Event()
        waiting = [
            asyncio.create_task(turns.run("people", go.wait)) for _ in range(WAITING["people"])
        ]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="wait already; try again") as refused:
            await turns.run("people", lambda: None)
        assert refused.value.status == 503
        go.set()
        await asyncio.gather(*waiting)
        assert await turns.run("people", lambda: 7) == 7  # there is room again
        turns.close()

    finished(run())


def test_an_error_is_the_askers_and_the_lane_goes_on():
    async def run():
        turns = Turns(lambda: False)
        with pytest.raises(ZeroDivisionError):
            await turns.run("people", lambda: 1 / 0)
        assert await turns.run("people", lambda: 7) == 7
        turns.close()

    finished(run())


def test_what_comes_in_waits_for_the_watch_but_not_without_end(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.02)
    asked = []

    async def run(turns):
        await turns.pause()
        turns.close()
        return len(asked)

    assert finished(run(Turns(lambda: len(asked) < 4 and not asked.append(1)))) == 4
    finished(run(Turns(lambda: True)))


def test_what_is_long_ends_with_the_page():
    """A request of two hundred recordings is no reason to wait for its last."""

    async def run():
        turns, begun, done = Turns(lambda: False), threading.Event(), []

        def long():
            while len(done) < 10**6:
                begun.set()
                turns.let()
                done.append(1)

        asked = asyncio.create_task(turns.run("uploads", long))
        while not begun.is_set():
            await asyncio.sleep(0)
        turns.close()
        with pytest.raises(Refusal, match="being closed"):
            await asked
        assert len(done) < 10**6

    finished(run())
