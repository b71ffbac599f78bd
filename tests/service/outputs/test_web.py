"""The small server: what it answers, and that nobody holds it up."""

import socket
import threading
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from conftest import PATIENCE, refused
from nearfar.errors import SettingError
from nearfar.service.outputs import web
from nearfar.service.outputs.web import PageServer, Reply, parse_address


def ask(server, path, method="GET", **headers):
    host, port = server.server_address[:2]
    there = HTTPConnection(host, port, timeout=PATIENCE)
    there.request(method, path, headers=headers)
    reply = there.getresponse()
    made = reply.status, reply.read().decode(), dict(reply.getheaders())
    there.close()
    return made


@pytest.fixture
def server():
    def fails(accept):
        raise ValueError("secret")

    made = PageServer("127.0.0.1:0", {"/a": lambda accept: Reply(f"ä {accept}"), "/bad": fails})
    made.start()
    yield made
    made.stop()
    assert not made.serves


def test_pages_are_answered_and_others_are_not(server):
    assert ask(server, "/a?x=1", Accept="me")[:2] == (200, "ä me\n")
    status, text, headers = ask(server, "/a", "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 0
    assert ask(server, "/")[:2] == (404, "no such page; there are /a /bad\n")
    status, text, headers = ask(server, "/a", "POST")
    assert status == 405
    assert headers["Allow"] == "GET, HEAD"
    status, text, _ = ask(server, "/bad")
    assert status == 500
    assert "secret" not in text
    assert ask(server, "/a")[0] == 200


def silent(server, sends=b""):
    there = socket.create_connection(server.server_address[:2], timeout=PATIENCE)
    there.sendall(sends)
    return there


def test_silent_and_slow_clients_hold_nobody_up(server):
    with ExitStack() as stack:
        for sends in (b"", b"GET /a HTT", b"GET /a HTTP/1.1\r\nHost:"):
            stack.enter_context(silent(server, sends))
        assert ask(server, "/a")[0] == 200
        before = threading.active_count()
        server.stop()  # and does not wait for them
    assert threading.active_count() < before


def test_clients_have_their_time_and_there_is_room_for_so_many(server, monkeypatch):
    monkeypatch.setattr(web, "MOST", 2)
    with ExitStack() as stack:
        first, second = (stack.enter_context(silent(server)) for _ in range(2))
        until_two(server)
        with silent(server, b"GET /a HTTP/1.0\r\n\r\n") as third:
            assert not read_all(third)  # turned away
        server._cut(float("inf"))  # as its clock does
        assert first.recv(1) == second.recv(1) == b""
    until_none(server)
    assert ask(server, "/a")[0] == 200


def read_all(there):
    try:
        return there.recv(100)
    except ConnectionResetError:
        return b""


def until_two(server):
    wait(lambda: len(server._clients) == 2)


def until_none(server):
    wait(lambda: not server._clients)


def wait(condition):
    for _ in range(PATIENCE * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("waited in vain")


def test_time_is_up_for_those_that_are_over_it(server, monkeypatch):
    monkeypatch.setattr(web, "SLOWEST", 0.0)
    with silent(server) as there:
        assert there.recv(1) == b""  # by the server's own look


@pytest.mark.parametrize(
    ("address", "is_at"),
    [
        (":9600", ("127.0.0.1", 9600)),
        ("127.0.0.1:9600", ("127.0.0.1", 9600)),
        ("[::1]:9600", ("::1", 9600)),
        ("localhost:9600", ("localhost", 9600)),
        ("0.0.0.0:9600", ("0.0.0.0", 9600)),
    ],
)
def test_addresses(address, is_at):
    assert parse_address(address) == is_at


@pytest.mark.parametrize(
    "address", ["", "9600", "127.0.0.1", ":x", ":70000", "::1:9600", "*:9600", "http://a:1",
                "a@b:1", "[::1:80", "a:1/x"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_a_line(address):
    refused(lambda: parse_address(address), "address", "HOST:PORT", error=SettingError)


def test_a_port_that_is_taken_is_refused_in_a_line(server):
    port = server.server_address[1]
    refused(
        lambda: PageServer(f":{port}", {}), str(port), "Address already in use", error=SettingError
    )
    refused(lambda: PageServer("no.such.host.invalid:1", {}), "address", error=SettingError)


def test_ipv6():
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        made = PageServer("[::1]:0", {"/a": lambda accept: Reply("six")})
    except SettingError:
        pytest.skip("no IPv6 address here")
    made.start()
    assert ask(made, "/a")[1] == "six\n"
    assert made.url.startswith("http://[::1]:")
    made.stop()
