"""A small server of a few pages: for programs on this machine that ask how the watch is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer as _TCPServer
from socketserver import ThreadingMixIn
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from nearfar.errors import SettingError
from nearfar.text import one_line

SLOWEST = 10.0  # s that a client has from its connecting to its last byte
MOST = 64  # clients at once; one more is turned away
LOOK = 0.2  # s between looks for clients whose time is over
FORM = "HOST:PORT, such as 127.0.0.1:9600 or [::1]:9600; :9600 is of this computer alone"


@dataclass(frozen=True)
class Reply:
    """What a page says.

    >>> Reply("ok").code
    200
    """

    text: str
    code: int = 200
    kind: str = "text/plain; charset=utf-8"


Page = Callable[[str], Reply]  # of a request's Accept header


def parse_address(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        SettingError: it is no address.

    >>> parse_address(":9600"), parse_address("[::1]:9600"), parse_address("0.0.0.0:80")
    (('127.0.0.1', 9600), ('::1', 9600), ('0.0.0.0', 80))
    """
    try:
        found = urlsplit(f"//{address}")
        host, port = found.hostname, found.port
    except ValueError:
        raise SettingError(f"address {address!r}: is none; it is {FORM}") from None
    if port is None or found.netloc != address or "@" in address or host == "*":
        raise SettingError(f"address {address!r}: is none; it is {FORM}")
    return host or "127.0.0.1", port


class PageServer(ThreadingMixIn, _TCPServer):
    """Serves pages in threads of their own until it is closed.

    Args:
        address: see `parse_address`.
        pages: path → what makes its reply; called in many threads.

    Raises:
        SettingError: nobody can listen there.

    >>> server = PageServer("127.0.0.1:0", {"/": lambda accept: Reply("here")})
    >>> server.stop()
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, pages: Mapping[str, Page]) -> None:
        host, port = parse_address(address)
        self.pages = pages
        self._clients: dict[socket.socket, float] = {}  # → when its time is over
        self._lock = threading.Lock()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family = found[0][0]
            super().__init__(found[0][4][:2], _Handler)  # type: ignore[arg-type]
        except OSError as error:
            why = one_line(error.strerror or error)
            raise SettingError(f"address {address}: {why}; take another port or host") from None
        except UnicodeError:
            raise SettingError(f"address {address!r}: no such host; it is {FORM}") from None
        self._thread = threading.Thread(
            target=self.serve_forever, args=(LOOK,), name="nearfar pages", daemon=True
        )

    @property
    def url(self) -> str:
        """Where it is, with the port that the system chose if it was 0."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def start(self) -> None:
        """Serve, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Serve no more; clients are cut off."""
        if self._thread.ident is not None:
            # Waits until serving has ended, also where it had not begun yet.
            self.shutdown()
            self._thread.join()
        self._cut(float("inf"))
        self.server_close()

    @property
    def serves(self) -> bool:
        """Is anybody answered?"""
        return self._thread.is_alive()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Is there room for one more?"""
        with self._lock:
            if len(self._clients) >= MOST:
                return False
            self._clients[request] = monotonic() + SLOWEST
            return True

    def shutdown_request(self, request: Any) -> None:
        """One client less."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off those whose time is over: they hold a thread each."""
        self._cut(monotonic())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up in the midst are no news."""

    def _cut(self, at: float) -> None:
        with self._lock:
            over = [client for client, until in self._clients.items() if until <= at]
        for client in over:
            with suppress(OSError):  # it may have gone by itself
                client.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    timeout = SLOWEST
    server: PageServer
    server_version = "nearfar"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Whoever asks each 15 seconds is not worth a line."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A line of text: what was asked is never given back."""
        # 501 is said of methods; that a page can only be read is another matter.
        code = 405 if code == 501 else code
        headers = {"Allow": "GET, HEAD"} if code == 405 else {}
        self._send(Reply(f"{code}: only GET and HEAD, of a page that is there", code), headers)

    def _answer(self, *, body: bool) -> None:
        page = self.server.pages.get(urlsplit(self.path).path)
        if page is None:
            known = " ".join(sorted(self.server.pages))
            return self._send(Reply(f"no such page; there are {known}", 404), body=body)
        try:
            reply = page(self.headers.get("Accept", ""))
        except Exception as fault:
            reply = Reply(f"a fault of nearfar's own, {type(fault).__name__}", 500)
        return self._send(reply, body=body)

    def _send(
        self, reply: Reply, headers: Mapping[str, str] | None = None, *, body: bool = True
    ) -> None:
        # The end of a line belongs to lines; OpenMetrics brings its own.
        text = reply.text if reply.text.endswith("\n") else f"{reply.text}\n"
        content = text.encode("utf-8", "backslashreplace")
        self.send_response(reply.code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if body:
            self.wfile.write(content)
