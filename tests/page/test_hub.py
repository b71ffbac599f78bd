"""Whoever listens hears all of it, in order; whoever is slow holds up nobody."""

import asyncio
import threading

import pytest

from loops import finished
from nearfar.page.hub import LISTENERS, MOST, Hub, Message


async def taken(listener, count):
    found = []
    async for message in listener.messages():
        found.append(message.data)
        if len(found) == count:
            return found
    return found


def test_all_who_listen_hear_all_in_order_from_whatever_thread():
    async def run():
        hub = Hub()
        with hub.listening() as one, hub.listening() as two:
            sent = [str(n) for n in range(50)]
            thread = threading.Thread(
                target=lambda: [hub.send(Message("bulletin", data)) for data in sent]
            )
            thread.start()
            assert await taken(one, 50) == await taken(two, 50) == sent
            thread.join()

    finished(run())


def test_who_is_slow_is_let_go_and_others_go_on():
    async def run():
        hub = Hub()
        with hub.listening() as slow, hub.listening() as quick:
            heard = asyncio.create_task(taken(quick, MOST + 10))
            for n in range(MOST + 10):
                hub.send(Message("bulletin", str(n)))
                await asyncio.sleep(0)
            assert len(await heard) == MOST + 10
            # It has what fitted, and then its end: it comes again, and is shown all anew.
            assert len(await taken(slow, MOST + 10)) == MOST

    finished(run())


def test_a_silence_is_filled_so_that_no_proxy_ends_the_line():
    async def run():
        with Hub().listening() as listener:
            assert (await anext(listener.messages(pause=0.01))).event == ""

    finished(run())


@pytest.mark.parametrize("before", [True, False], ids=["queued", "waiting"])
def test_closing_lets_all_go(before):
    async def run():
        hub = Hub()
        with hub.listening() as listener:
            if before:
                hub.close()
            task = asyncio.create_task(taken(listener, 1))
            await asyncio.sleep(0)
            if not before:
                hub.close()
            assert await task == []

    finished(run())


def test_a_listener_that_left_takes_no_room():
    async def run():
        hub = Hub()
        for _ in range(LISTENERS + 1):
            with hub.listening():
                pass
        assert not hub.is_full
        kept = [hub.listening().__enter__() for _ in range(LISTENERS)]
        assert hub.is_full
        kept[0].__exit__()
        assert not hub.is_full

    finished(run())


def test_sending_after_the_loop_has_ended_is_no_error():
    hub = Hub()

    async def left_open():
        hub.listening().__enter__()

    finished(left_open())
    hub.send(Message("bulletin", "{}"))
    hub.close()
