"""The way to a cluster: nobody at an address is told at once; what is ours ends with us."""

import os
import signal
import sys
import time
from unittest.mock import Mock

import pytest

import nearfar as nf
from conftest import free_port, refused
from nearfar.runtime import cluster_connection
from nearfar.runtime.cluster_connection import connected

pytest.importorskip("ray")


@pytest.mark.slow  # Ray's import
@pytest.mark.parametrize("client", [False, True])
def test_no_cluster_at_the_address_is_one_line_within_seconds(client, monkeypatch):
    place = f"127.0.0.1:{free_port()}"
    engine = f"ray://{place}" if client else "ray"
    monkeypatch.setenv("RAY_ADDRESS", place)
    began = time.monotonic()
    refused(lambda: connected(engine, 1), place, "no Ray cluster answers", "--engine local")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("place", ["head", "head:x", "ray://head", ":1", "head:99999"])
def test_what_is_no_address_is_refused(place):
    refused(lambda: cluster_connection._answers(place), place, "HOST:PORT")


def test_who_handled_sigterm_handles_it_afterwards():
    def mine(*_):
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with cluster_connection._signals_kept():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


class Ended(BaseException):
    """What a command's own handler raises."""


@pytest.mark.parametrize("place", [None, "127.0.0.1:6379"])
@pytest.mark.parametrize("handled", [True, False])
def test_sigterm_while_ray_begins_ends_the_command_and_is_not_tried_again(
    place, handled, monkeypatch
):
    def mine(*_):
        raise Ended

    def begin(*_, **__):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))  # as Ray does
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(cluster_connection, "_answers", lambda _: True)
    ray = Mock()
    ray.init.side_effect = begin
    before = signal.signal(signal.SIGTERM, mine if handled else signal.SIG_DFL)
    try:
        start = cluster_connection._start if place is None else cluster_connection._join
        with pytest.raises(Ended if handled else SystemExit):
            start(ray, place or 1)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ray.init.call_count == 1


def test_without_ray_it_is_said_which_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(nf.NearfarError, match=r"needs Ray.*nearfar\[fleet\]"):
        connected("ray", 1)


@pytest.mark.parametrize("fails", [1, 2])
def test_a_start_that_fails_is_tried_once_more_and_then_told_in_a_line(fails, monkeypatch):
    monkeypatch.setattr(cluster_connection, "_started", None)
    ray = Mock()
    ray.init.side_effect = [*[RuntimeError("Failed to start GCS.\nTraceback")] * fails, None]
    if fails == 1:
        cluster_connection._start(ray, 2)
        assert cluster_connection._started == 2
    else:
        refused(lambda: cluster_connection._start(ray, 2), "Failed to start GCS", "--engine local")
        assert cluster_connection._started is None
    assert ray.shutdown.call_count == fails


@pytest.mark.parametrize(("loaded", "mode"), [(False, "token"), (True, None)])
def test_a_token_is_sent_where_there_is_one_and_ray_has_not_been_read(monkeypatch, loaded, mode):
    """Ray reads it once: later it would ask of its own processes what it does not send."""
    monkeypatch.setattr(os, "environ", {"RAY_AUTH_TOKEN": "of the head"})
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "ray", None)
    cluster_connection.settle()
    assert os.environ.get("RAY_AUTH_MODE") == mode
