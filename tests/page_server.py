"""A page that is really served, for tests that ask it over the wire."""

import re
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from conftest import PATIENCE
from nearfar.page import app
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Operator, Reader
from nearfar.page.replies import as_json
from nearfar.page.serving import PageOutput
from nearfar.service.plant import PageSettings

TOKEN, READERS = "correct-horse-battery", "only-looking-at-it"
ARRIVED = []  # what `sent` was given, a chunk's length each

router = APIRouter()


@router.post("/machines/{machine}/score")
async def sent(request: Request, who: Reader, machine: str):
    count = 0
    async for chunk in request.stream():
        ARRIVED.append(len(chunk))
        count += len(chunk)
    return as_json({"bytes": count, "role": who.role, "address": who.address})


@router.put("/change")
async def changed(request: Request, who: Operator):
    return as_json({"bytes": len(await request.body())})


@router.get("/look")
def look(who: Reader, many: int = 0):
    return as_json({"role": who.role, "address": who.address, "much": "a" * many})


@router.get("/bug")
def bug():
    raise ValueError("secret\n/etc/passwd")


@router.get("/long")
async def long():
    time.sleep(0.5)  # on the server's own thread: what comes meanwhile waits for it
    return as_json({})


@router.get("/half")
def half():
    def pieces():
        yield b"begun"
        raise ValueError("secret")

    return StreamingResponse(pieces(), media_type="text/event-stream")


@router.get("/audio/{name}")
def audio(name: str):
    return StreamingResponse(iter([b"a" * 9000]), media_type="audio/flac")


def token_file(folder, text=TOKEN, name="token"):
    path = Path(folder) / name
    path.write_text(text)
    path.chmod(0o600)
    return path


class Clock:
    """Seconds as a test says."""

    now = 0.0

    def __call__(self):
        return self.now


class Served:
    """A page that is served, and a client of it that is no browser."""

    def __init__(self, output):
        self.output = output
        self.port = output._socket.getsockname()[1]
        self.client = httpx.Client(base_url=output.url, timeout=PATIENCE)
        self.get, self.post = self.client.get, self.client.post

    def ask(self, method, path, **said):
        """(status, what the answer says) of one request; each answer is JSON of one line."""
        reply = self.client.request(method, path, **said)
        assert reply.headers["Content-Type"] == "application/json"
        assert "\n" not in reply.text
        return reply.status_code, reply.json()

    def refused(self, status, method, path, *words, **said):
        """The one line that a request is refused with; it has these words."""
        found, told = self.ask(method, path, **said)
        assert found == status, told
        for word in words:
            assert word in told["error"]
        return told["error"]

    def line(self, data=b""):
        """A raw connection."""
        there = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        there.sendall(data)
        return there

    def raw(self, data, *, ends=False):
        """(status, headers in small letters, body) that bytes are answered with."""
        with self.line(data) as there:
            if ends:
                there.shutdown(socket.SHUT_WR)
            return parted(whole(there))


def whole(there):
    """All that comes until the other end closes."""
    found = bytearray()
    try:
        while piece := there.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return bytes(found)


def parted(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3})", first)
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(found[1]) if found else 0, headers, body


@contextmanager
def served(settings=None, backend=None, routes=True):
    """Serve a page; with routes of these tests beside the real ones."""
    before = app.ROUTES
    if routes:
        app.ROUTES = (SimpleNamespace(router=router), *before)  # before the real ones
    output = PageOutput(Desk(settings or PageSettings("127.0.0.1:0")))
    if backend is not None:
        output.desk.attach(backend)
    try:
        output.start()
        made = Served(output)
        with made.client:
            assert made.get("/healthz").status_code == 200
            app.ROUTES = before
            yield made
    finally:
        app.ROUTES = before
        output.close(PATIENCE)
