"""The server: uvicorn in a thread of its own, and the output that tells pages what is new."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import TYPE_CHECKING

from nearfar.errors import SettingError, needs
from nearfar.page.desk import Desk
from nearfar.page.hub import Message
from nearfar.service.news import OutputHealth
from nearfar.service.outputs.said import bulletin_json
from nearfar.service.outputs.web import FORM, parse_address
from nearfar.text import one_line

if TYPE_CHECKING:
    import uvicorn

    from nearfar.service.news import Bulletin

GRACE = 2  # s for who is being answered when it ends
BACKLOG = 256
PRIVILEGED = 1024
# How uvicorn begins to say that it cut somebody off.
ENDS = ("Cancel ", "ASGI callable returned without")
_log = logging.getLogger("nearfar.page")


class PageOutput:
    """Serves the page, and tells all who look at it; an output of a watch like others.

    Args:
        desk: what requests work with.

    Raises:
        NearfarError: the extra [page] is not installed.
        SettingError: nobody can listen there.

    >>> PageOutput.name
    'page'
    """

    name = "page"

    def __init__(self, desk: Desk) -> None:
        with needs("page", "the page needs FastAPI, uvicorn and more"):
            import fastapi  # noqa: F401
            import python_multipart  # noqa: F401
            import uvicorn  # noqa: F401
        self.desk = desk
        self._said = 0
        self._trouble, self._is_closed = "", False
        self._server: uvicorn.Server | None = None
        self._socket = _listening(desk.settings.address)
        self._thread = threading.Thread(target=self._serve, name="nearfar page", daemon=True)

    @property
    def url(self) -> str:
        """Where it is, with the port that the system chose if it was 0."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def start(self) -> None:
        """Serve; what is served already goes on."""
        if self._thread.ident is None and not self._is_closed:
            self._thread.start()

    def tell(self, bulletin: Bulletin) -> None:
        """Tell all who look."""
        last = max((event.id for event in bulletin.events), default=None)
        self._said = max(self._said, last or 0)
        self.desk.hub.send(Message("bulletin", bulletin_json(bulletin), last))

    @property
    def health(self) -> OutputHealth:
        """Is anybody answered?"""
        return OutputHealth(self.name, up=self._thread.is_alive(), trouble=self._trouble)

    @property
    def said(self) -> int:
        """Nothing is owed to pages: who comes late is shown how all is."""
        return self._said

    def close(self, patience: float = 5.0) -> None:
        """End; who is being answered has so many seconds."""
        self._is_closed = True
        self.desk.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.ident is not None:  # also one that was only about to serve
            self._thread.join(patience)
        self._socket.close()

    def _serve(self) -> None:
        try:
            self._server = _server(self.desk)
            if not self._is_closed:  # it may have been closed before it was there
                self._server.run(sockets=[self._socket])
        except Exception as error:  # never a traceback: the watch goes on without its page
            self._trouble = f"the page is served no more: {type(error).__name__}: {one_line(error)}"
            _log.error("%s", self._trouble)


def _server(desk: Desk) -> uvicorn.Server:
    import uvicorn

    from nearfar.page.app import make_app
    from nearfar.page.guard.wire import LARGEST, Wire

    class Ending(uvicorn.Server):
        """Leaves no connection open behind it."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            # Who came in the very moment of the end was accepted, and not yet among those that
            # uvicorn closes.
            for connection in list(self.server_state.connections):
                if transport := connection.transport:
                    transport.abort()

    _quiet("uvicorn.error", "asyncio", "python_multipart.multipart")
    config = uvicorn.Config(
        make_app(desk), log_config=None, access_log=False, lifespan="off", server_header=False,
        timeout_graceful_shutdown=GRACE, http=Wire, ws="none", proxy_headers=False, loop="asyncio",
        h11_max_incomplete_event_size=LARGEST, backlog=BACKLOG,
    )  # fmt: skip
    return Ending(config)


def _quiet(*names: str) -> None:
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(known, OneLine) for known in logger.filters):
            logger.addFilter(OneLine())


class OneLine(logging.Filter):
    """Makes what a library says of an error a line, and leaves out what is none of ours.

    >>> OneLine().filter(logging.makeLogRecord({"levelno": logging.WARNING}))
    False
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Is it worth a line?"""
        # Below are visitors that speak no HTTP: whoever likes could fill a log with them. Who is
        # cut off when we end, or in the midst of an answer, was told so or has gone.
        if record.levelno < logging.ERROR or str(record.msg).startswith(ENDS):
            return False
        cause = record.exc_info[1] if record.exc_info else None
        record.msg, record.args = one_line(record.getMessage()), None
        if cause is not None:
            record.msg += f": {type(cause).__name__}: {one_line(cause)}"
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def _listening(address: str) -> socket.socket:
    """A socket that listens, so that whoever starts knows at once whether it can.

    Raises:
        SettingError: the port is taken, or there is no such host.
    """
    host, port = parse_address(address)
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        # With its protocol: without it asyncio does not know that this is TCP, leaves Nagle's
        # algorithm on, and each answer of two pieces waits 40 ms for the other end.
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        why = one_line(error.strerror or error)
        raise SettingError(f"address {address}: {why}; take another port or host") from None
    except UnicodeError:  # what no name of a network can be
        raise SettingError(f"address {address!r}: no such host; it is {FORM}") from None
    try:
        if os.name == "posix":  # on Windows it would let two listen at once
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise SettingError(f"address {address}: {_why(error, port)}") from None
    return made


def _why(error: OSError, port: int) -> str:
    why = one_line(error.strerror or error)
    if isinstance(error, PermissionError) and port < PRIVILEGED:
        return f"{why}; ports below {PRIVILEGED} are the system's, take a higher one"
    return f"{why}; take another port or host"
