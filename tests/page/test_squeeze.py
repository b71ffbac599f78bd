"""What is sent smaller, and what never is."""

import pytest

from nearfar.page.guard.squeeze import AS_IT_IS, SMALLEST
from page_server import served


@pytest.fixture(scope="module")
def page():
    with served() as made:
        yield made


def encoding(page, path, accept="gzip, br"):
    return page.get(path, headers={"Accept-Encoding": accept}).headers.get("Content-Encoding")


def test_pages_and_numbers_are_sent_smaller(page):
    assert encoding(page, "/static/api.js") == "gzip"
    assert encoding(page, f"/api/look?many={SMALLEST}") == "gzip"
    assert encoding(page, "/api/look") is None  # small as it is
    assert encoding(page, "/static/api.js", "identity") is None
    assert len(page.ask("GET", "/api/look?many=5000")[1]["much"]) == 5000


def test_sound_is_not(page):
    reply = page.get("/api/audio/near", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in reply.headers
    assert len(reply.content) == 9000


@pytest.mark.parametrize("path", [
    "/api/events", "/api/v1/events", "/api/session", "/api/labelled.zip",
    "/api/machines/a b/clips/12/audio/near",
])  # fmt: skip
def test_neither_are_streams_archives_and_what_is_about_secrets(path):
    assert AS_IT_IS.fullmatch(path)
