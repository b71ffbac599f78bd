"""What a browser has is not sent again, and what it may have is only what never tells a secret."""

import pytest

from loops import finished
from nearfar.page.guard.fresh import Fresh, may_be_kept
from page_server import served

CLIP = f"/api/machines/pump/clips/{'a' * 64}"


@pytest.mark.parametrize(
    ("path", "may"),
    [
        (f"{CLIP}/audio/near", True), (f"{CLIP}/picture/desk.svg", True), (CLIP, False),
        (f"{CLIP.replace('api', 'api/v1')}/audio/far", True), (f"{CLIP}/explanation", False),
        ("/api/machines/pump/clips/x/audio/near", False), ("/api/labelled.zip", False),
        ("/api/session", False), ("/api/audit", False), (f"{CLIP}/audio/../near", False),
    ],
)  # fmt: skip
def test_only_sounds_and_pictures_of_a_digest_may_be_kept(path, may):
    assert may_be_kept(path) is may


def asked(wanted, path=f"{CLIP}/audio/near", status=200, tag=b'"1"', method="GET"):
    """(status, names of headers, body) of an answer in two pieces."""
    said = []

    async def app(scope, receive, send):
        headers = [(b"etag", tag), (b"content-length", b"4"), (b"content-type", b"audio/flac")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"cd"})

    async def send(message):
        said.append(message)

    headers = [(b"if-none-match", wanted)] if wanted else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    finished(Fresh(app)(scope, None, send))
    assert not said[-1].get("more_body", False)
    return (
        said[0]["status"], [name for name, _ in said[0]["headers"]],
        b"".join(one.get("body", b"") for one in said[1:]),
    )  # fmt: skip


@pytest.mark.parametrize("wanted", [b'"1"', b'W/"1"', b'"0", "1"', b"*"])
def test_what_is_there_already_is_not_sent(wanted):
    assert asked(wanted) == (304, [b"etag"], b"")


@pytest.mark.parametrize("wanted", [b"", b'"2"', b"1", b'"1'])
def test_what_is_another_is_sent_whole(wanted):
    assert asked(wanted)[::2] == (200, b"abcd")


@pytest.mark.parametrize("how", [{"status": 206}, {"status": 404}, {"path": "/api/audit"},
                                 {"tag": b""}, {"method": "POST"}])  # fmt: skip
def test_nothing_else_is_left_out(how):
    assert asked(b'"1"', **how)[::2] == (how.get("status", 200), b"abcd")


@pytest.fixture(scope="module")
def files():
    with served(routes=False) as page:
        yield page


@pytest.mark.parametrize("said", ["bytes=9-1", "bytes=a-b", "items=0-1", "bytes=0-" + "9" * 5000,
                                  "bytes=" + "0-," * 1000, "bytes=0-0,5-6", "", "bytes=-",
                                  "bytes=\u0663-"])  # fmt: skip
def test_a_range_that_is_none_is_passed_over(files, said):
    """RFC 9110, section 14.2: whoever asks is sent the whole; never a line that is no JSON."""
    whole = files.get("/static/api.js").content
    reply = files.get("/static/api.js", headers={"Range": said.encode()})
    assert (reply.status_code, reply.content) == (200, whole)


def test_a_range_is_sent_and_one_beyond_the_end_is_told(files):
    whole = files.get("/static/api.js").content
    for said, part in (("bytes=0-3", whole[:4]), ("bytes=-5", whole[-5:]),
                       ("bytes=7-", whole[7:]), (f"bytes=1-{10**14}", whole[1:])):  # fmt: skip
        reply = files.get("/static/api.js", headers={"Range": said})
        assert (reply.status_code, reply.content) == (206, part), said
    line = files.refused(416, "GET", "/static/api.js", headers={"Range": f"bytes={10**14}-"})
    assert f"{len(whole)} bytes" in line
