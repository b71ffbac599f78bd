"""How much a request may send, and how slowly: counted as it comes, whatever its head says."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import NoReturn

from fastapi import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nearfar.page.guard.knock import Knock
from nearfar.page.refusal import Refusal
from nearfar.page.replies import failure, refusal
from nearfar.service.plant import PageSettings

SMALL = 64_000  # bytes of what is no sound
AROUND = 64_000  # bytes of a form around the sound in it
STALL = 20.0  # s without a byte
GRACE = 60.0  # s for a body, and one more for each SLOWEST bytes of it
SLOWEST = 1000  # bytes/s
LINGER = 2.0  # s in which the rest of a refused body is read, so that its sender hears why
LINGERED = 64_000_000  # bytes of it


class Bodies:
    """Lets so much of a body through, and answers the rest.

    Args:
        app: what is behind it.
        settings: of the page.

    >>> Bodies.most(Knock("PUT", "/api/machines/pump/threshold", {}), 200_000_000)
    64000
    """

    def __init__(self, app: ASGIApp, settings: PageSettings) -> None:
        self._app, self._limit = app, settings.upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            knock = Knock.of(scope)
            most = self.most(knock, self._limit)
            no = refusal_of(knock, most)
        except Refusal as two:
            # Of which length is right nobody knows: it is not read at all.
            knock, most, no = Knock("GET", "/", {"transfer-encoding": "?"}), 0, refusal(two)
        body = Body(knock, most, receive, send)
        await body.through(self._app if no is None else no, scope)

    @staticmethod
    def most(knock: Knock, limit: int) -> int:
        """The bytes that a request may send."""
        return limit + AROUND if knock.uploads else SMALL


def refusal_of(knock: Knock, most: int) -> Response | None:
    """What a head alone is refused with."""
    length = knock.header("content-length")
    if length and "transfer-encoding" in knock.headers:
        # Who reads the one and who the other would disagree where the next request begins.
        return failure(400, "Content-Length and Transfer-Encoding; send one of them")
    if length.isdecimal() and int(length) > most:
        return too_large(most)
    packed = knock.header("content-encoding").strip().lower()
    if packed not in ("", "identity"):  # how large it is once unpacked nobody could know
        return failure(415, f"Content-Encoding {packed[:40]!r}; send it as it is")
    return None


def too_large(most: int) -> Response:
    """The answer to what is too large."""
    return failure(413, f"more than {most:,} bytes; send less at a time")


class Body:
    """The body of one request on its way.

    Args:
        knock: the request's head.
        most: bytes.
        receive: where it comes from.
        send: where answers go.

    >>> Body.__init__.__doc__ is None
    True
    """

    def __init__(self, knock: Knock, most: int, receive: Receive, send: Send) -> None:
        self._most, self._receive, self._send = most, receive, send
        self._is_whole = not knock.has_body
        self._bytes, self._waited = 0, 0.0
        self._fault: Response | None = None
        self._started = False

    async def through(self, app: ASGIApp, scope: Scope) -> None:
        """Have it answered."""
        try:
            await app(scope, self.receive, self.send)
        except Exception:
            if self._fault is None:
                raise
        if self._fault is not None and not self._started:
            answer, self._fault = self._fault, None
            await answer(scope, self.receive, self.send)

    async def receive(self) -> Message:
        """The next piece.

        Raises:
            HTTPException: there was too much of it, or it stalled.
        """
        if self._is_whole:  # what is waited for now is that the other end goes
            return await self._receive()
        message = await self._next()
        self._bytes += len(message.get("body", b""))
        if self._bytes > self._most:
            self._stop(too_large(self._most))
        self._is_whole = not message.get("more_body", False)
        return message

    async def _next(self) -> Message:
        left = GRACE + self._bytes / SLOWEST - self._waited
        begun = time.monotonic()
        try:
            # Only the waiting counts: a slow disk of ours is not the sender's fault.
            return await asyncio.wait_for(self._receive(), max(0.0, min(STALL, left)))
        except TimeoutError:
            self._stop(failure(408, f"the rest did not come after {self._bytes:,} bytes; "
                               "send it again"))  # fmt: skip
        finally:
            self._waited += time.monotonic() - begun

    def _stop(self, answer: Response) -> NoReturn:
        self._fault = answer
        raise HTTPException(answer.status_code)

    async def send(self, message: Message) -> None:
        """A piece of the answer; of one that knows nothing of the fault, nothing."""
        if self._fault is not None and not self._started:
            return
        if message["type"] == "http.response.start":
            self._started = True
            if not self._is_whole:
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        elif not self._is_whole and not message.get("more_body", False):
            # A line that is cut while the other end still writes loses the answer on the way.
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def _linger(self) -> None:
        read, until = 0, time.monotonic() + LINGER
        with suppress(TimeoutError):
            while read < LINGERED:
                left = until - time.monotonic()
                message = await asyncio.wait_for(self._receive(), max(0.0, left))
                read += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
