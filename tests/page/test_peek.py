"""HEAD is answered as GET is, without a body; of a stream, too."""

import re
import time

import pytest

from conftest import PATIENCE
from page_server import parted, served, whole


@pytest.fixture(scope="module")
def page():
    with served(routes=False) as made:
        yield made


def looked(page, path):
    with page.line(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
                   "Connection: close\r\n\r\n".encode()) as there:  # fmt: skip
        return parted(whole(there))


def test_every_path_that_can_be_got_can_be_looked_at(page):
    """Walked as it is described, so that none is forgotten that comes later."""
    described = page.get("/api/openapi.json").json()["paths"]
    paths = [re.sub(r"\{\w+\}", "x", path) for path, verbs in described.items() if "get" in verbs]
    assert len(paths) > 10
    for path in [*paths, "/", "/static/api.js", "/healthz", "/readyz", "/api/openapi.json"]:
        if path == "/api/events":
            continue
        status, headers, body = looked(page, path)
        got = page.get(path, headers={"Accept-Encoding": "identity"})
        assert (status, body) == (got.status_code, b""), path
        for name in ("content-type", "content-length", "cache-control", "etag"):
            assert headers.get(name, "") == got.headers.get(name, "").lower(), (path, name)


def test_of_a_stream_that_has_no_end_only_the_head_comes(page):
    status, headers, body = looked(page, "/api/events")
    assert (status, body) == (200, b"")
    assert headers["content-type"].startswith("text/event-stream")
    until = time.monotonic() + PATIENCE
    while page.output.desk.hub._listeners and time.monotonic() < until:
        time.sleep(0.02)
    assert not page.output.desk.hub._listeners


def test_it_changes_nothing(page):
    for path in ("/api/session", "/api/machines/x/score", "/api/setup/fit"):
        assert looked(page, path)[0] == 405
