"""What every answer says to browsers, and that a bug shows nothing of itself."""

import asyncio

import pytest
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect

from loops import finished
from nearfar.page.guard.shield import ALWAYS, PICTURE, POLICY, Shield, tell
from page_server import parted, served, whole


@pytest.fixture(scope="module")
def page():
    with served() as made:
        yield made


ANSWERS = [("GET", "/"), ("GET", "/static/api.js"), ("GET", "/api/look"), ("GET", "/nothing"),
           ("PUT", "/api/look"), ("GET", "/api/bug"), ("GET", "/api/look?token=1"),
           ("GET", "/readyz"), ("GET", "/api/half"), ("OPTIONS", "/")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_every_answer_tells_browsers_what_they_may_do(page, method, path):
    with page.line(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
                   "Connection: close\r\n\r\n".encode()) as there:  # fmt: skip
        _, headers, _ = parted(whole(there))
    assert headers["content-security-policy"] == POLICY.lower()
    for name, value in ALWAYS.items():
        assert headers[name.lower()] == value.lower()
    kept = "no-cache" if path in ("/", "/static/api.js") else "no-store"
    assert headers["cache-control"] == kept
    assert "server" not in headers


def test_nothing_but_our_own_files_runs_in_the_page():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


def test_a_picture_opened_by_itself_does_nothing():
    headers = MutableHeaders({"content-type": "image/svg+xml; charset=utf-8"})
    tell(headers, "/api/x.svg")
    assert headers["content-security-policy"] == PICTURE
    assert "script" not in PICTURE
    assert "sandbox" in PICTURE


def test_what_has_not_changed_is_not_sent_again(page):
    tag = page.get("/static/api.js").headers["ETag"]
    assert page.get("/static/api.js", headers={"If-None-Match": tag}).status_code == 304


def test_a_bug_is_a_line_here_and_a_line_in_the_log(page, caplog, capfd):
    line = page.refused(500, "GET", "/api/bug", "fault of the program", "ValueError")
    assert "secret" not in line
    assert "passwd" not in line
    assert [r.getMessage() for r in caplog.records if "ValueError: secret /etc" in r.getMessage()]
    assert all(r.exc_info is None for r in caplog.records)
    assert "Traceback" not in capfd.readouterr().err
    assert page.ask("GET", "/api/look")[0] == 200


def test_a_bug_in_the_midst_of_an_answer_cuts_it(page, capfd, caplog):
    with page.line(f"GET /api/half HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode()) as at:
        status, _, body = parted(whole(at))
    assert status == 200
    assert b"begun" in body
    assert not body.endswith(b"0\r\n\r\n")  # so whoever reads it knows that it is not whole
    assert b"secret" not in body
    assert "Traceback" not in capfd.readouterr().err + caplog.text


@pytest.mark.parametrize(("error", "status"), [(ClientDisconnect(), None), (ValueError(), 500),
                                               (asyncio.CancelledError(), 503)])  # fmt: skip
def test_what_comes_out_of_the_house_is_answered_or_nobody_is_there(error, status):
    said = []

    async def app(scope, receive, send):
        raise error

    async def send(message):
        said.append(message)

    finished(Shield(app)({"type": "http", "path": "/api"}, None, send))
    assert [message.get("status") for message in said[:1]] == ([] if status is None else [status])


CLIP = f"/api/machines/pump/clips/{'a' * 64}/audio/near"


@pytest.mark.parametrize(
    ("path", "status", "tag", "kept"),
    [
        (CLIP, 200, '"1"', "private, no-cache"), (CLIP, 206, '"1"', "private, no-cache"),
        (CLIP, 304, '"1"', "private, no-cache"), (CLIP, 404, '"1"', "no-store"),
        (CLIP, 200, "", "no-store"), ("/api/audit", 200, '"1"', "no-store"),
    ],
)  # fmt: skip
def test_a_browser_may_keep_a_clips_sound_and_asks_each_time(path, status, tag, kept):
    """A route's own word counts for nothing: what one forgot is not kept by anybody."""
    headers = MutableHeaders(
        {"Cache-Control": "public, max-age=9"} | ({"ETag": tag} if tag else {})
    )
    tell(headers, path, status)
    assert headers["Cache-Control"] == kept
