"""Who may compute now: the watch first, then people who wait for an answer, then uploads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from nearfar.page.refusal import Refusal

T = TypeVar("T")
Lane = Literal["people", "uploads"]  # a thread each: a click need not wait for fifty uploads
WAITING = {"people": 32, "uploads": 128}  # at once; one more is told to come again
LET = 5.0  # s that the watch is let go first; one that is never idle must not stop people
PAUSE = 0.5  # s that a body which comes lets it go first
LOOK = 0.002  # s


class Turns:
    """Threads for what takes long, of which none begins while the watch hears a clip.

    Args:
        busy: is the watch hearing, or has it clips waiting?

    >>> turns = Turns(lambda: False)
    >>> turns.let()  # nobody hears: at once
    >>> turns.close()
    """

    def __init__(self, busy: Callable[[], bool]) -> None:
        self._busy = busy
        self._pools = {
            lane: ThreadPoolExecutor(1, thread_name_prefix=f"nearfar {lane}") for lane in WAITING
        }
        self._waiting = dict.fromkeys(WAITING, 0)
        self._is_closed = False

    async def run(self, lane: Lane, work: Callable[[], T]) -> T:
        """What `work` gives, computed in a thread of its lane.

        Raises:
            Refusal: too many wait already.
        """
        # Counted in the one thread of the event loop, so without a lock.
        if self._waiting[lane] >= WAITING[lane]:
            raise Refusal(503, f"{WAITING[lane]} requests wait already; try again in a minute")
        self._waiting[lane] += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pools[lane], self._turn, work)
        finally:
            self._waiting[lane] -= 1

    def _turn(self, work: Callable[[], Any]) -> Any:
        self.let()
        return work()

    def let(self) -> None:
        """Let the watch go first; what is long calls it between its parts.

        Raises:
            Refusal: the page ends, so nobody waits for the rest.
        """
        until = time.monotonic() + LET
        while self._busy() and time.monotonic() < until:
            time.sleep(LOOK)
        if self._is_closed:
            raise Refusal(503, "the page is being closed; try again when it is back")

    async def pause(self) -> None:
        """The same in the event loop: what comes in waits while the watch hears a clip."""
        until = time.monotonic() + PAUSE
        while self._busy() and time.monotonic() < until:
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """Begin nothing more, and end what is long at its next part."""
        self._is_closed = True
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
