"""What a browser has already is not sent again: 304 where its tag is still the right one."""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A clip's sounds and pictures, by its digest. Browsers may keep them for whoever is signed in, and
# ask each time: one who has signed out is refused, and what was learnt since is shown.
KEPT = re.compile(r"/api(?:/v1)?/machines/.+/clips/[0-9a-f]{64}/(?:audio/\w+|picture/\w+\.svg)")
NOT_SENT = {"content-length", "content-type", "content-range", "accept-ranges", "last-modified"}


def may_be_kept(path: str) -> bool:
    """May a browser keep what is there, to ask whether it changed?

    >>> may_be_kept(f"/api/machines/pump/clips/{64 * 'a'}/audio/near"), may_be_kept("/api/events")
    (True, False)
    """
    return KEPT.fullmatch(path) is not None


class Fresh:
    """Answers 304 where what would be sent has a tag that the other end has (RFC 9110, 13.1.2).

    Args:
        app: what is behind it.

    >>> Fresh.__init__.__doc__ is None
    True
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        wanted = Headers(scope=scope).get("if-none-match", "")
        if scope["method"] != "GET" or not wanted or not may_be_kept(scope["path"]):
            await self._app(scope, receive, send)
            return
        is_known = False

        async def compared(message: Message) -> None:
            nonlocal is_known
            if message["type"] == "http.response.start":
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


def _unchanged(message: Message) -> Message:
    headers = MutableHeaders(raw=list(message["headers"]))
    for name in NOT_SENT & set(headers.keys()):
        del headers[name]
    return {**message, "status": 304, "headers": headers.raw}
