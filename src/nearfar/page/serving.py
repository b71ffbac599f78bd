"""The server: uvicorn in a thread of its own, and the output that tells pages what is new."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from nearfar.errors import SettingError, needs
from nearfar.page.desk import Desk
from nearfar.page.hub import Message
from nearfar.service.news import OutputHealth
from nearfar.service.outputs.said import bulletin_json
from nearfar.service.outputs.web import parse_address
from nearfar.text import one_line

if TYPE_CHECKING:
    import uvicorn

    from nearfar.service.news import Bulletin

STARTS = 30.0  # s
BACKLOG = 256


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
        self._server: uvicorn.Server | None = None
        self._socket = _listening(desk.settings.address)
        self._thread = threading.Thread(target=self._serve, name="nearfar page", daemon=True)

    @property
    def url(self) -> str:
        """Where it is, with the port that the system chose if it was 0."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def start(self) -> None:
        """Serve; what is served already goes on.

        Raises:
            NearfarError: settings that can never work.
        """
        if self._server is None:
            # Made here, so that what is wrong with it is told, and `close` finds it at any time.
            self._server = self._made()
            self._thread.start()

    def tell(self, bulletin: Bulletin) -> None:
        """Tell all who look."""
        last = max((event.id for event in bulletin.events), default=None)
        self._said = max(self._said, last or 0)
        self.desk.hub.send(Message("bulletin", bulletin_json(bulletin), last))

    @property
    def health(self) -> OutputHealth:
        """Is anybody answered?"""
        return OutputHealth(self.name, up=self._thread.is_alive())

    @property
    def said(self) -> int:
        """Nothing is owed to pages: who comes late is shown how all is."""
        return self._said

    def close(self, patience: float = 5.0) -> None:
        """End; who is being answered has so many seconds."""
        self.desk.close()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(patience)
        self._socket.close()

    def _made(self) -> uvicorn.Server:
        import uvicorn

        from nearfar.page.app import make_app

        config = uvicorn.Config(
            make_app(self.desk), log_config=None, access_log=False, lifespan="off",
            server_header=False, timeout_graceful_shutdown=2, http="h11", ws="none",
            proxy_headers=False,
        )  # fmt: skip
        return uvicorn.Server(config)

    def _serve(self) -> None:
        if self._server is not None:
            self._server.run(sockets=[self._socket])


def _listening(address: str) -> socket.socket:
    """A socket that listens, so that whoever starts knows at once whether it can.

    Raises:
        SettingError: the port is taken, or there is no such host.
    """
    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, place = found[0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(place)
        made.listen(BACKLOG)
    except OSError as error:
        why = one_line(error.strerror or error)
        raise SettingError(f"address {address}: {why}; take another port or host") from None
    return made
