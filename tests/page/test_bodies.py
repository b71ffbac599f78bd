"""How much may be sent: whatever a head says, and however it comes, over the wire."""

import time

import pytest

import page_server
from loops import finished
from nearfar.page.guard import bodies
from nearfar.page.guard.bodies import Bodies
from nearfar.page.guard.knock import Knock
from nearfar.service.plant import PageSettings
from page_server import parted, served, whole

LIMIT = 200_000
TOP = LIMIT + bodies.AROUND


@pytest.fixture(scope="module")
def page():
    with served(PageSettings("127.0.0.1:0", upload_limit=LIMIT)) as made:
        yield made


@pytest.fixture(autouse=True)
def short_linger(monkeypatch):
    monkeypatch.setattr(bodies, "LINGER", 0.2)


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(bodies, "STALL", 0.3)


def head(page, *lines, method="POST", path="/api/machines/a/score"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{page.port}", *lines,
                        "", ""]).encode()  # fmt: skip


def chunks(*sizes):
    return b"".join(b"%x\r\n%s\r\n" % (n, b"a" * n) for n in sizes)


def failed(answer, status, *words):
    code, headers, body = parted(answer) if isinstance(answer, bytes) else answer
    assert code == status, body
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    for word in words:
        assert word.encode() in body
    assert b"\n" not in body


def test_sound_may_be_large_and_all_else_is_small(page):
    score = "/api/machines/a/score"
    assert page.ask("POST", score, content=b"a" * TOP)[1]["bytes"] == TOP
    assert page.ask("POST", score, content=iter([b"a" * 1000] * 200))[1]["bytes"] == LIMIT
    page.refused(413, "POST", score, "bytes", content=b"a" * (TOP + 1))
    said = {"Content-Type": "application/json"}
    small = b'"' + b"a" * (bodies.SMALL - 2) + b'"'
    assert page.ask("PUT", "/api/change", content=small, headers=said)[0] == 200
    page.refused(413, "PUT", "/api/change", content=small + b" ", headers=said)
    page.refused(413, "PUT", "/api/change", content=iter([small, b" "]), headers=said)


def test_what_is_announced_as_too_large_is_not_read(page):
    page_server.ARRIVED.clear()
    begun = time.monotonic()
    failed(page.raw(head(page, "Content-Length: 10000000000")), 413)
    assert page_server.ARRIVED == []
    assert time.monotonic() - begun < 60


def test_who_goes_on_sending_hears_why_it_was_refused(page, monkeypatch):
    """A line that is cut at once would lose the answer on its way."""
    monkeypatch.setattr(bodies, "LINGER", 30.0)
    size = 20_000_000
    with page.line(head(page, f"Content-Length: {size}")) as there:
        there.sendall(b"a" * size)
        failed(whole(there), 413)


def test_what_comes_in_pieces_is_counted(page):
    page_server.ARRIVED.clear()
    answer = page.raw(head(page, "Transfer-Encoding: chunked") + chunks(*[50_000] * 20))
    failed(answer, 413)
    assert sum(page_server.ARRIVED) <= TOP


def test_who_asks_first_is_answered_before_sending(page):
    """curl does with more than a megabyte."""
    answer = page.raw(head(page, "Content-Length: 10000000000", "Expect: 100-continue"))
    failed(answer, 413)


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", "+5", "5, 5", "5,6", "", "9" * 30, "٥"])
def test_a_length_that_is_none_is_refused(page, length):
    status, headers, body = page.raw(
        head(page, f"Content-Length: {length}", "Connection: close") + b"12345"
    )
    assert status in (200, 400, 413), body
    assert (status == 200) == (length == "5, 5")  # RFC 9110, section 8.6
    assert headers["content-type"] == "application/json"


def test_two_ways_to_end_are_one_too_many(page):
    both = head(page, "Content-Length: 5", "Transfer-Encoding: chunked")
    failed(page.raw(both + b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"), 400)


@pytest.mark.parametrize("begin", [b"", b"12345", chunks(3)[:-3]])
def test_what_stalls_is_ended(page, hasty, begin):
    kind = "Transfer-Encoding: chunked" if b"\r\n" in begin else "Content-Length: 100"
    with page.line(head(page, kind) + begin) as there:
        failed(whole(there), 408)


def test_what_trickles_is_ended(page, monkeypatch):
    monkeypatch.setattr(bodies, "GRACE", 0.5)
    with page.line(head(page, "Content-Length: 100000")) as there:
        there.settimeout(0.05)
        answer = b""
        for _ in range(6000):
            try:
                there.sendall(b"a")
                answer += there.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if b"}" in answer:
                break
        failed(answer, 408)


@pytest.mark.parametrize("ends", ["shut", "cut"])
def test_who_stops_half_way_leaves_nothing_behind(page, ends, caplog):
    with page.line(head(page, "Content-Length: 1000") + b"a" * 10) as there:
        if ends == "shut":
            there.shutdown(1)
    assert page.ask("GET", "/api/look")[0] == 200
    assert caplog.text == ""


def test_a_body_that_nobody_reads_is_let_go(page, hasty):
    """Else the next request would begin within it, or the line be held by it."""
    json = "Content-Type: application/json"
    whole_one = head(page, "Content-Length: 5", json, path="/api/nothing") + b"12345"
    failed(page.raw(whole_one), 404)
    begun = time.monotonic()
    failed(page.raw(head(page, "Content-Length: 50", json, path="/api/nothing") + b"12345"), 404)
    assert time.monotonic() - begun < 60


def test_one_line_carries_many_requests(page):
    small = head(page, "Content-Length: 2") + b"ab"
    last = head(page, "Connection: close", method="GET", path="/api/look")
    with page.line(small * 3 + last) as there:
        answer = whole(there)
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.count(b'"bytes": 2') == 3


def test_an_answer_that_has_begun_is_not_taken_back():
    """As of a route that answers while it reads: the fault is its own then."""
    said = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()

    async def receive():
        return {"type": "http.request", "body": b"a" * 70_000, "more_body": False}

    async def send(message):
        said.append(message)

    scope = {"type": "http", "method": "PUT", "path": "/", "query_string": b"",
             "headers": [(b"transfer-encoding", b"chunked")]}  # fmt: skip
    finished(Bodies(app, PageSettings(":0"))(scope, receive, send))
    assert [message.get("status") for message in said] == [200]


def test_only_sound_is_large():
    assert Bodies.most(Knock("POST", "/api/setup/recordings", {}), 10**9) > 10**9
    assert Bodies.most(Knock("PUT", "/api/setup/recordings", {}), 10**9) == bodies.SMALL


@pytest.mark.parametrize("packed", ["gzip", "deflate", "gzip, identity", "br", "x" * 3000])
def test_what_is_packed_is_not_taken(page, packed):
    """How large it would be nobody knows before it is unpacked."""
    lines = (f"Content-Encoding: {packed}", "Content-Length: 3", "Connection: close")
    failed(page.raw(head(page, *lines) + b"abc"), 415, "Content-Encoding")
    plain = head(page, "Content-Encoding: identity", "Content-Length: 3", "Connection: close")
    assert page.raw(plain + b"abc")[0] == 200
