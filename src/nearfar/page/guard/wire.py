"""One connection: heads that do not come, are too large or are none, and too many at once.

uvicorn limits a head's bytes and not its time, and answers what is no HTTP as text.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from nearfar.page.guard.shield import Shield
from nearfar.page.replies import failure

HEAD = 10.0  # s from the first byte of a request to the end of its head
CONNECTIONS = 400  # at once, listeners to events among them; one more is told so
MOST = 600  # at once; one more is cut off
LARGEST = 16_384  # bytes of a head
# Each chunk of a body costs some 25 µs, in which nobody else is answered: with one byte in each the
# largest upload would take hours of that.
CRUMBS = 256  # bytes of body that a line break of the chunks must bring on average
CHECKED = 4096  # bytes of it that are counted; who sends less at once is slow anyhow


class Wire(H11Protocol):
    """One connection of uvicorn's.

    >>> issubclass(Wire, asyncio.Protocol)
    True
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has come."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
        elif len(self.connections) > CONNECTIONS:
            self.app = Shield(_crowded)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if self._is_crumbs(data):
            self._refuse(400, f"chunks of a few bytes; send {CRUMBS * 4} or more in each")
            self._give_up()
            return
        super().data_received(data)
        # A head is not whole yet, or what is left of a body that was answered already.
        answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        if self.conn.their_state is h11.IDLE or (
            answered and self.conn.their_state is h11.SEND_BODY
        ):
            self._watch()
        else:
            self._unwatch()

    def _is_crumbs(self, data: bytes) -> bool:
        if len(data) < CHECKED or self.conn.their_state is not h11.SEND_BODY:
            return False
        is_chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
        return is_chunked and data.count(b"\r\n") * CRUMBS > len(data)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.IDLE:
            self._refuse(408, f"no whole request within {HEAD:.0f} s")
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or too much of it."""
        # uvicorn calls this while it handles h11's error, which knows what is wrong.
        error = sys.exc_info()[1]
        status = error.error_status_hint if isinstance(error, h11.ProtocolError) else 400
        if status == 431:
            line = f"a head of more than {LARGEST:,} bytes; send less, cookies are part of it"
        else:
            line = f"no HTTP/1.1: {error}"
        self._refuse(status if status in (400, 431) else 400, line)
        self._give_up()

    def _give_up(self) -> None:
        if self.cycle is not None:  # who was being answered is not any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _refuse(self, status: int, line: str) -> None:
        answer = failure(status, line)
        headers = [*answer.raw_headers, *_always(), (b"connection", b"close")]
        # An answer that has begun cannot be taken back: the line is cut.
        with suppress(h11.LocalProtocolError):
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=bytes(answer.body)), h11.EndOfMessage(),
            ):  # fmt: skip
                self.transport.write(self.conn.send(event) or b"")

    def handle_websocket_upgrade(self, event: Any) -> None:
        """There is none here."""

    def _should_upgrade(self) -> bool:
        return False

    def shutdown(self) -> None:
        """The server ends."""
        with suppress(h11.LocalProtocolError):  # a line whose other end spoke no HTTP
            super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def _always() -> list[tuple[bytes, bytes]]:
    from starlette.datastructures import MutableHeaders

    from nearfar.page.guard.shield import tell

    headers = MutableHeaders()
    tell(headers, "")
    return headers.raw


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:
    answer = failure(503, f"{CONNECTIONS} connections are open already; close some pages")
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)
