"""What is said where a broker is none, or does not answer."""

import socket
import threading

import pytest

from conftest import PATIENCE, free_port
from nearfar.service.outputs import connection
from nearfar.service.outputs.broker import Broker
from nearfar.service.outputs.connection import Connection


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as there:
        there.settimeout(PATIENCE)
        yield there


def connect(port, context=None, **changes):
    """A connection that is over, or up."""
    at = Connection(
        Broker("127.0.0.1", port, **changes), context, client_id="n", version=3, will="n/status"
    )
    at.open()
    while not at.over and not at.up:
        at.turn()
    at.close()
    return at


def test_nobody_listens():
    at = connect(int(free_port()))
    assert at.over == "Connection refused"
    assert not at.refused


def test_a_server_that_says_nothing_is_given_up(listener, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER", 0.05)
    assert "is that an MQTT broker?" in connect(listener.getsockname()[1]).over


def test_a_server_that_hangs_up_may_ask_for_tls(listener):
    def hang_up():
        there, _ = listener.accept()
        there.recv(1)
        there.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    assert "mqtts://" in connect(listener.getsockname()[1]).over
    thread.join()


def test_a_server_without_tls_is_told_from_one_that_is_not_trusted(listener):
    def talk():
        there, _ = listener.accept()
        there.recv(10_000)
        there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        there.close()

    thread = threading.Thread(target=talk)
    thread.start()
    broker = Broker("127.0.0.1", listener.getsockname()[1], tls=True)
    assert "does it ask for it (mqtt://)?" in connect(broker.port, broker.context(), tls=True).over
    thread.join()


def test_a_host_that_is_no_name():
    at = Connection(Broker("a" * 80, 1), None, client_id="n", version=3, will="n")
    at.open()
    at.close()
    assert at.over
    assert "\n" not in at.over
