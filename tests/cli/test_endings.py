"""Signals: the first lets what runs end, the second does not wait."""

import os
import signal

import pytest

from nearfar.cli.endings import obeyed
from nearfar.cli.progress import Interrupted


def send(number):
    os.kill(os.getpid(), number)


def test_the_first_lets_it_end_and_the_second_does_not_wait():
    asked = []
    with obeyed(lambda: asked.append(1) or True) as caught:
        send(signal.SIGTERM)
        assert (asked, caught) == ([1], {signal.SIGTERM})
        with pytest.raises(Interrupted) as ended:
            send(signal.SIGTERM)
        assert ended.value.exit_code == 143


@pytest.mark.parametrize(("number", "kind", "code"), [
    (signal.SIGTERM, SystemExit, "code"), (signal.SIGINT, Interrupted, "exit_code"),
    (signal.SIGHUP, SystemExit, "code"),
])  # fmt: skip
def test_before_anything_has_begun_it_ends_at_once(number, kind, code):
    with pytest.raises(kind) as ended, obeyed(lambda: False):
        send(number)
    assert getattr(ended.value, code) == (130 if number == signal.SIGINT else 0)


def test_a_hangup_has_settings_read_where_there_are_any():
    reread, stopped = [], []
    with obeyed(lambda: stopped.append(1) or True, lambda: reread.append(1)) as caught:
        send(signal.SIGHUP)
        send(signal.SIGHUP)
    assert (reread, stopped, caught) == ([1, 1], [], set())


def test_afterwards_signals_are_what_they_were():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)
    with obeyed(lambda: True):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGHUP)) == before
