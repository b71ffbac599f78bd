"""Who listens to events: each listener has a queue of its own, and a slow one is let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

MOST = 256  # messages that wait for one listener; who is slower comes again, and is shown all
LISTENERS = 200  # at once


@dataclass(frozen=True)
class Message:
    """What listeners are sent, as server-sent events have it (WHATWG HTML, section 9.2).

    >>> Message("machine", '{"machine": "pump"}').id is None
    True
    """

    event: str
    data: str  # a line of JSON
    id: int | None = None  # of an alarm's event, by which a listener goes on where it was


class Hub:
    """Takes messages from any thread, and gives them to all who listen in the event loop.

    >>> hub = Hub()
    >>> hub.send(Message("machine", "{}"))  # nobody listens
    >>> hub.is_full, hub.is_closed
    (False, False)
    """

    def __init__(self) -> None:
        self._listeners: set[Listening] = set()
        self.is_closed = False

    def listening(self) -> Listening:
        """A new listener, used as a context within the event loop."""
        return Listening(self._listeners)

    @property
    def is_full(self) -> bool:
        """Do too many listen?"""
        return len(self._listeners) >= LISTENERS

    def send(self, message: Message) -> None:
        """Give it to all; never blocks and never raises."""
        for listener in tuple(self._listeners):
            listener.give(message)

    def close(self) -> None:
        """Let all go."""
        self.is_closed = True
        for listener in tuple(self._listeners):
            listener.give(None)


class Listening:
    """One who listens.

    >>> Listening.__init__.__doc__ is None
    True
    """

    def __init__(self, among: set[Listening]) -> None:
        self._among = among
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Listening:
        self._among.add(self)
        return self

    def __exit__(self, *what: object) -> None:
        self._among.discard(self)

    def give(self, message: Message | None) -> None:
        """From any thread; None ends it."""
        with suppress(RuntimeError):  # its loop may be over
            self._loop.call_soon_threadsafe(self._take, message)

    def _take(self, message: Message | None) -> None:
        # What it missed it is shown anew when it comes again.
        self._queue.put_nowait(None if self._queue.qsize() >= MOST else message)

    async def messages(self, pause: float = 15.0) -> AsyncIterator[Message]:
        """One after the other until it is let go; after so many s without any an empty one."""
        while True:
            try:
                message = await asyncio.wait_for(self._queue.get(), pause)
            except TimeoutError:
                message = Message("", "")
            if message is None:
                return
            yield message
