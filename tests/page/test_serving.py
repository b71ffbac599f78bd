"""The server: how it begins, what it says where it cannot, and that it ends in time."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from conftest import PATIENCE, finish, free_port, refused
from nearfar.errors import SettingError
from nearfar.page import serving
from nearfar.page.desk import Desk
from nearfar.page.serving import PageOutput
from nearfar.service.news import Bulletin, MachineNow
from nearfar.service.plant import PageSettings
from page_server import served


def output(address, **said):
    said.setdefault("proxy", "https://plant.example")
    return PageOutput(Desk(PageSettings(address, **said)))


def test_a_taken_port_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(lambda: output(f"127.0.0.1:{port}"), str(port), "another port", error=SettingError)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "ä.invalid", "a" * 70, "192.0.2.1",
                                  "xn--a.invalid", "." * 3])  # fmt: skip
def test_a_host_that_is_none_of_ours_is_one_line(host):
    refused(lambda: output(f"{host}:0"), "address", error=SettingError)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may take any port")
def test_a_port_of_the_systems_is_one_line():
    refused(lambda: output("127.0.0.1:1"), "1024", error=SettingError)


def test_why_a_port_of_the_systems_is_refused():
    assert "1024" in serving._why(PermissionError(13, "Permission denied"), 80)
    assert "1024" not in serving._why(PermissionError(13, "Permission denied"), 8080)


def test_the_address_of_six_words():
    try:
        made = output("[::1]:0", proxy="")
    except SettingError:
        pytest.skip("no IPv6 here")
    try:
        made.start()
        assert made.url.startswith("http://[::1]:")
        assert httpx.get(f"{made.url}api/about", timeout=PATIENCE).json()["role"] == "operator"
    finally:
        made.close()


def test_an_answer_does_not_wait_for_the_other_end():
    """asyncio turns Nagle's algorithm off where it knows that a socket speaks TCP."""
    made = output("127.0.0.1:0")
    try:
        assert made._socket.proto == socket.IPPROTO_TCP
    finally:
        made.close()


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_closed_at_once_is_closed(begun):
    made = output("127.0.0.1:0")
    if begun:
        made.start()
    made.close(PATIENCE)
    made.close()
    assert not made.health.up
    assert made._socket.fileno() == -1
    made.start()
    assert not made.health.up


def test_it_is_told_and_says_how_it_is():
    with served() as page:
        assert page.output.health.up
        assert page.output.health.trouble == ""
        page.output.tell(Bulletin(MachineNow("pump", "00", clips=0)))
        assert page.output.said == 0
    assert not page.output.health.up


@pytest.mark.slow
def test_it_ends_while_somebody_listens_and_somebody_sends(caplog, capfd):
    with served() as page:
        with page.client.stream("GET", "/api/events") as listener:
            assert listener.status_code == 200
            next(listener.iter_raw())
            head = (f"POST /api/machines/a/score HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\n"
                    "Content-Length: 99999\r\n\r\n").encode()  # fmt: skip
            with page.line(head + b"a" * 99), page.line() as silent:
                begun = time.monotonic()
                page.output.close(PATIENCE)
                took = time.monotonic() - begun
                assert silent.recv(9) in (b"", b"HTTP/1.1 ")
        assert not page.output.health.up
        assert took < 60
    assert "Traceback" not in capfd.readouterr().err
    assert caplog.text == ""


def test_a_server_that_cannot_go_on_is_a_trouble_and_no_traceback(monkeypatch, caplog, capfd):
    def broken(desk):
        raise RuntimeError("broken\nin two")

    monkeypatch.setattr(serving, "_server", broken)
    made = output("127.0.0.1:0")
    made.start()
    made._thread.join(PATIENCE)
    assert "broken in two" in made.health.trouble
    assert not made.health.up
    assert "broken in two" in caplog.text
    assert "Traceback" not in capfd.readouterr().err + caplog.text
    made.close()


def test_what_a_library_says_of_an_error_is_a_line():
    line = serving.OneLine()
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 1, "Went\n%s", ("wrong",),
                                   sys.exc_info())  # fmt: skip
    assert line.filter(record)
    assert logging.Formatter().format(record) == "Went wrong: ValueError: a b"
    assert not line.filter(logging.LogRecord("x", logging.WARNING, "", 1, "noise", (), None))
    cut = "Cancel %s running task(s), timeout graceful shutdown exceeded"
    assert not line.filter(logging.LogRecord("x", logging.ERROR, "", 1, cut, (3,), None))


CHILD = """
import signal, threading
from nearfar.page.desk import Desk
from nearfar.page.serving import PageOutput
from nearfar.service.plant import PageSettings
page, over = PageOutput(Desk(PageSettings("127.0.0.1:{port}"))), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
page.start()
print("begun", flush=True)
over.wait()
page.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM")
def test_a_signal_ends_it_while_somebody_listens():
    port = free_port()
    child = subprocess.Popen([sys.executable, "-c", CHILD.format(port=port)], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        assert child.stdout.readline() == "begun\n"
        with httpx.stream("GET", f"http://127.0.0.1:{port}/api/events", timeout=PATIENCE) as said:
            next(said.iter_raw())
            child.send_signal(signal.SIGTERM)
    finally:
        out, err = finish(child)
    assert (child.returncode, out, err) == (0, "", "")
