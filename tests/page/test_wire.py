"""One connection: what is no HTTP, comes too slowly, is too large or one too many."""

import time
from contextlib import ExitStack, suppress

import pytest

import page_server
from conftest import PATIENCE
from nearfar.page.guard import wire
from page_server import parted, served, whole


@pytest.fixture(scope="module")
def page():
    with served() as made:
        yield made


def failed(answer, status, *words):
    code, headers, body = parted(answer)
    assert code == status, answer[:300]
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert "content-security-policy" in headers
    assert "server" not in headers
    assert b"\n" not in body
    for word in words:
        assert word.encode() in body


GARBAGE = [b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
           b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
           b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\n folded: a\r\n\r\n",
           b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
           b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
           b"G" * 9 + b" \n\n", b"\0" * 99 + b"\r\n\r\n"]  # fmt: skip


@pytest.mark.parametrize("data", GARBAGE)
def test_what_is_no_http_is_told_so(page, data, caplog):
    with page.line(data) as there:
        answer = whole(there)
        assert parted(answer)[0] in (400, 403, 501)
        failed(answer, parted(answer)[0])
    assert caplog.text == ""  # whoever likes could fill a log


def test_a_head_that_is_too_large_is_told_so(page):
    many = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (2 * wire.LARGEST)
    with page.line(many) as there:
        failed(whole(there), 431, "cookies")


@pytest.mark.parametrize("begin", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(page, begin, monkeypatch):
    monkeypatch.setattr(wire, "HEAD", 0.2)
    with page.line(begin) as there:
        failed(whole(there), 408)


def test_a_head_that_trickles_is_not_either(page, monkeypatch):
    """A byte now and then begins no new time."""
    monkeypatch.setattr(wire, "HEAD", 0.5)
    with page.line(b"GET / HTTP/1.1\r\nX: ") as there:
        there.settimeout(0.05)
        answer = b""
        for _ in range(20 * PATIENCE):
            try:
                there.sendall(b"a")
                answer += there.recv(9999)
                break
            except TimeoutError:
                continue
            except OSError:
                break
    assert answer == b"" or parted(answer)[0] == 408


@pytest.mark.slow
def test_who_speaks_in_time_is_not_cut_off(page, monkeypatch):
    monkeypatch.setattr(wire, "HEAD", 0.6)
    ask = f"GET /api/look HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode()
    with page.line() as there:
        for _ in range(4):
            there.sendall(ask[:9])
            time.sleep(0.2)
            there.sendall(ask[9:])
            answer = b""
            while b"}" not in answer:
                answer += there.recv(65536)
            assert parted(answer)[0] == 200


def test_bad_pieces_of_a_body_end_it(page, caplog, capfd):
    begin = (f"POST /api/machines/a/score HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
             "Transfer-Encoding: chunked\r\n\r\n").encode()  # fmt: skip
    with page.line(begin + b"5\r\nabcde\r\nzzz\r\n") as there:
        failed(whole(there), 400)
    assert page.ask("GET", "/api/look")[0] == 200
    assert caplog.text == ""
    assert capfd.readouterr().err == ""


def test_an_upgrade_is_not_done_and_not_told_of(page, caplog):
    said = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert page.get("/api/look", headers=said).status_code == 200
    assert caplog.text == ""


def test_one_too_many_is_told_so_and_others_are_served(monkeypatch):
    monkeypatch.setattr(wire, "CONNECTIONS", 4)
    monkeypatch.setattr(wire, "MOST", 6)
    with served() as page, ExitStack() as stack:
        ask = f"GET /api/look HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode()
        lines = [stack.enter_context(page.line(ask)) for _ in range(12)]
        for there in lines:
            there.settimeout(PATIENCE)
        answers = [whole(there) for there in lines[-9:]]
        codes = [parted(answer)[0] for answer in answers]
        assert 503 in codes
        failed(answers[codes.index(503)], 503)
        assert set(codes) <= {0, 200, 503}
        for there in lines:
            there.close()
        for _ in range(PATIENCE):
            if page.get("/api/look").status_code == 200:
                break
            time.sleep(0.1)
        assert page.ask("GET", "/api/look")[0] == 200


def test_the_server_ends_beside_what_is_no_http():
    with served() as page:
        there = page.line(b"nonsense\r\n\r\n")
        half = page.line(b"GET / HTTP/1.1\r\n")
    with there, half:
        assert whole(half) == b""


def test_who_comes_at_the_very_end_is_cut_off_too():
    """On a busy machine the server finds a visitor and its own end in the same moment."""
    with served() as page:
        ask = f"GET /api/long HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n\r\n".encode()
        first = page.line(ask)
        time.sleep(0.2)
        late = page.line(b"GET / HTTP/1.1\r\n")
    with first, late:
        late.settimeout(20)
        assert whole(late) == b""


def test_a_body_in_crumbs_is_refused_before_it_costs_hours(page):
    """Each chunk takes some time in which nobody else is answered, however little is in it."""
    head = (f"POST /api/machines/a/score HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n").encode()  # fmt: skip
    with page.line(head) as there:
        begun = len(page_server.ARRIVED)
        with suppress(OSError):
            for _ in range(100):
                there.sendall(b"1\r\na\r\n" * 10_000)
        answer = whole(there)
    assert not answer or (answer.startswith(b"HTTP/1.1 400") and b"of a few bytes" in answer)
    assert sum(page_server.ARRIVED[begun:]) < 100_000
    larger = b"".join(b"%x\r\n%s\r\n" % (1024, b"a" * 1024) for _ in range(200))
    with page.line(head + larger + b"0\r\n\r\n") as there:
        assert there.recv(100).startswith(b"HTTP/1.1 200")
