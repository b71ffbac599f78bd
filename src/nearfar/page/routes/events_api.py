"""Events as a stream: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Send

from nearfar.errors import NearfarError
from nearfar.page.asked import AtDesk
from nearfar.page.described import content
from nearfar.page.desk import Desk
from nearfar.page.hub import Message
from nearfar.page.refusal import Refusal
from nearfar.page.replies import SCHEMA
from nearfar.page.routes.machines_api import all_states
from nearfar.service.news import AlarmEvent
from nearfar.service.outputs.said import one_line_json

router = APIRouter(tags=["events"])
STREAM: dict[int | str, dict[str, Any]] = {200: content("text/event-stream")}
FARTHEST = 2**63 - 1  # numbers that a database counts to
REPLAYED = 1000  # events; who was away for longer is shown how all is, and the history has them
LOOK = 5.0  # s after which it is looked whether a listener's token was revoked
TAKEN = 30.0  # s in which a listener must take what it is sent


class EventStream(StreamingResponse):
    """A stream whose listener is let go where it takes nothing, though its connection stands.

    >>> EventStream.media_type
    'text/event-stream'
    """

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Send piece by piece, each within `TAKEN` seconds."""

        async def in_time(message: object) -> None:
            await asyncio.wait_for(send(message), TAKEN)  # type: ignore[arg-type]

        try:
            await super().stream_response(in_time)
        except TimeoutError:
            return  # nobody to tell it: the server closes what has no end


@router.get("/events", response_class=EventStream, responses=STREAM)
async def events(
    request: Request,
    desk: AtDesk,
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=40)] = "",
) -> EventStream:
    """What happens, as it happens.

    With Last-Event-ID first `now`, how all machines are, and `event`, each alarm's event since
    that one, 1,000 at most; without it an id alone, to come again with. Then `bulletin` for each
    clip and each change of a machine, and `label`, `threshold` and `setup` for what people do.
    It ends where whoever listens signs out or their token is revoked.
    """
    if desk.hub.is_full or desk.hub.is_closed:
        raise Refusal(503, "too many listen already; close some pages")
    after = min(int(last), FARTHEST) if last.isascii() and last.isdecimal() else None
    stays = request.scope["state"].get("stays", lambda: True)
    return EventStream(_lines(desk, after, stays), headers={"Cache-Control": "no-store",
                                                     "X-Accel-Buffering": "no"})  # fmt: skip


async def _lines(desk: Desk, after: int | None, stays: Callable[[], bool]) -> AsyncIterator[str]:
    # Listening comes first: what happens while the past is read is in the queue.
    with desk.hub.listening() as listener:
        try:
            past = await run_in_threadpool(_past, desk, after)
        except NearfarError:  # a history that is locked: it comes again, and is told then
            return
        for message in past:
            yield as_lines(message)
        if desk.hub.is_closed:
            return
        async for message in listener.messages(LOOK):
            if not stays():
                return
            yield as_lines(message)


def _past(desk: Desk, after: int | None) -> list[Message]:
    """For who comes again how all is, and what happened since an event."""
    if not desk.is_ready:
        return [Message("", "listening")]
    last = desk.store.highest()[1]
    # Its number is that of the last event: who comes again after it has missed nothing before.
    if after is None:  # a page has just asked for all machines, and would be sent them twice
        return [Message("", "listening", last)]
    missed = desk.store.events(max(after, last - REPLAYED))
    states = one_line_json({"schema": SCHEMA, "machines": all_states(desk)})
    return [Message("now", states, None if missed else last), *map(_message, missed)]


def _message(event: AlarmEvent) -> Message:
    return Message("event", one_line_json({"schema": SCHEMA} | event.as_dict()), event.id)


def as_lines(message: Message) -> str:
    r"""A message as the stream has it; an empty one is a comment, which keeps a line open.

    >>> as_lines(Message("bulletin", "{}", 7))
    'id: 7\nevent: bulletin\ndata: {}\n\n'
    """
    number = "" if message.id is None else f"id: {message.id}\n"
    if not message.event:
        return f"{number}: {message.data or 'still here'}\n\n"
    return f"{number}event: {message.event}\ndata: {message.data}\n\n"
