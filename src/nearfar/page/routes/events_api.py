"""Events as a stream: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from nearfar.page.asked import AtDesk
from nearfar.page.hub import Hub, Message
from nearfar.page.refusal import Refusal

router = APIRouter(tags=["events"])


@router.get("/events")
async def events(request: Request, desk: AtDesk) -> StreamingResponse:
    """What happens, as it happens: `bulletin` for each clip and each change of a machine."""
    if desk.hub.is_full:
        raise Refusal(503, "too many listen already; close some pages")
    return StreamingResponse(
        _lines(desk.hub), media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )  # fmt: skip


async def _lines(hub: Hub) -> AsyncIterator[str]:
    with hub.listening() as listener:
        yield ": listening\n\n"
        async for message in listener.messages():
            yield as_lines(message)


def as_lines(message: Message) -> str:
    r"""A message as the stream has it; an empty one is a comment, which keeps a line open.

    >>> as_lines(Message("bulletin", "{}", 7))
    'id: 7\nevent: bulletin\ndata: {}\n\n'
    """
    if not message.event:
        return ": still here\n\n"
    number = "" if message.id is None else f"id: {message.id}\n"
    return f"{number}event: {message.event}\ndata: {message.data}\n\n"
