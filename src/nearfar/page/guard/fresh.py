"""What of an answer is sent: nothing where its tag is known already, and of a range one part."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.page.replies import failure

# A clip's sounds and pictures, by its digest. Browsers may keep them for whoever is signed in, and
# ask each time: one who has signed out is refused, and what was learnt since is shown.
KEPT = re.compile(r"/api(?:/v1)?/machines/.+/clips/[0-9a-f]{64}/(?:audio/\w+|picture/\w+\.svg)")
# One range, as players ask for it; of many at once or of none HTTP lets a server send the whole.
RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-[0-9]{1,15})")
NOT_SENT = {"content-length", "content-type", "content-range", "accept-ranges", "last-modified"}


def may_be_kept(path: str) -> bool:
    """May a browser keep what is there, to ask whether it changed?

    >>> may_be_kept(f"/api/machines/pump/clips/{64 * 'a'}/audio/near"), may_be_kept("/api/events")
    (True, False)
    """
    return KEPT.fullmatch(path) is not None


class Fresh:
    """Answers 304 where what would be sent has a tag that the other end has (RFC 9110, 13.1.2).

    A range that is none is passed over (14.2), and one that nothing has is told in a line.

    Args:
        app: what is behind it.

    >>> Fresh.__init__.__doc__ is None
    True
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        headers = Headers(scope=scope)
        if not _is_range(headers.get("range", "")):
            kept = [one for one in scope["headers"] if one[0].lower() != b"range"]
            scope = {**scope, "headers": kept}
        is_compared = scope["method"] == "GET" and may_be_kept(scope["path"])
        wanted = headers.get("if-none-match", "") if is_compared else ""
        is_known = False
        instead: Response | None = None

        async def compared(message: Message) -> None:
            nonlocal is_known, instead
            if message["type"] == "http.response.start" and message["status"] == 416:
                instead = _beyond(Headers(raw=message["headers"]))
                await instead(scope, receive, send)
            elif instead is not None:
                return
            elif message["type"] == "http.response.start":
                tag = Headers(raw=message["headers"]).get("etag", "")
                is_known = message["status"] == 200 and bool(tag) and _has(wanted, tag)
                await send(_unchanged(message) if is_known else message)
            elif not is_known:
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body"})

        await self._app(scope, receive, compared)


def _has(wanted: str, tag: str) -> bool:
    """Is the tag among those wanted, as weak ones are compared?"""
    plain = tag.removeprefix("W/")
    return wanted.strip() == "*" or plain in (
        one.strip().removeprefix("W/") for one in wanted.split(",")
    )


def _is_range(said: str) -> bool:
    found = RANGE.fullmatch(said.strip())
    return found is not None and (not found[2] or int(found[1]) <= int(found[2]))


def _beyond(headers: Headers) -> Response:
    size = headers.get("content-range", "").rpartition("/")[2] or "some"
    answer = failure(416, f"it has {size} bytes; ask for a range within them")
    answer.headers["Content-Range"] = headers.get("content-range", "")
    return answer


def _unchanged(message: Message) -> Message:
    headers = MutableHeaders(raw=list(message["headers"]))
    for name in NOT_SENT & set(headers.keys()):
        del headers[name]
    return {**message, "status": 304, "headers": headers.raw}
