"""Checkpoints are due by a clock, of one moment, and written beside the training."""

import signal
import threading

import pytest

from conftest import PATIENCE
from nearfar.errors import StorageError

torch = pytest.importorskip("torch")

from nearfar.training.loop.checkpoint import State
from nearfar.training.loop.saving import Saver


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def at(step):
    return State(learner=None, optimizer=None, step=step)


def step_of(state):
    return state.step


def test_one_is_due_every_few_minutes_and_at_the_end():
    clock, written = Clock(), []
    with Saver(step_of, written.append, minutes=10, clock=clock) as save:
        for step in range(1, 9):  # of four minutes each
            clock.now += 240
            state = at(step)
            save(state, last=step == 8)
            assert state.saved == (step if step in (3, 6, 8) else 0)
    assert written == [3, 6, 8]


def test_the_training_goes_on_while_a_copy_is_written():
    free, written, threads = threading.Event(), [], set()

    def write(taken):
        threads.add(threading.current_thread())
        assert free.wait(PATIENCE)
        written.append(taken)

    state = at(1)
    with Saver(step_of, write, minutes=0) as save:
        save(state)
        state.step = 2  # no waiting: what is written is of the moment before
        assert not written
        free.set()
        save(state)
    assert written == [1, 2]
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("when", ["next step", "end", "last step"])
def test_what_goes_wrong_beside_is_raised(when):
    done = threading.Event()

    def full(taken):
        done.set()
        raise StorageError("disk full")

    def train():
        with Saver(step_of, full, minutes=0) as save:
            save(at(1), last=when == "last step")
            assert when != "last step"
            assert done.wait(PATIENCE)
            if when == "next step":
                save(at(2))
                save(at(3))  # at the latest
                pytest.fail("went on")

    with pytest.raises(StorageError, match="disk full"):
        train()


def test_an_error_of_the_training_is_not_replaced_by_one_of_its_checkpoint():
    def full(taken):
        raise StorageError("disk full")

    def train():
        with Saver(step_of, full, minutes=0) as save:
            save(at(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()


def test_asked_twice_it_stops_at_once():
    asked = []

    def train():
        with Saver(step_of, print, minutes=10, listens=True, clock=Clock()):
            signal.raise_signal(signal.SIGINT)
            asked.append(1)
            signal.raise_signal(signal.SIGINT)
            asked.append(2)

    with pytest.raises(KeyboardInterrupt):
        train()
    assert asked == [1]


def test_a_program_that_has_a_handler_of_its_own_is_asked_after_the_checkpoint():
    seen, written = [], []
    usual = signal.signal(signal.SIGTERM, lambda number, _: seen.append((number, *written)))
    try:
        with Saver(step_of, written.append, listens=True, clock=Clock()) as save:
            signal.raise_signal(signal.SIGTERM)
            assert seen == []
            save(at(4))
            save(at(5))  # it raised nothing: it wants to go on
        assert seen == [(signal.SIGTERM, 4)]
        assert written == [4]
    finally:
        signal.signal(signal.SIGTERM, usual)


def test_who_ignores_a_signal_or_does_not_listen_is_left_alone():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    try:
        with Saver(step_of, print, listens=True):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, usual)
    with Saver(step_of, print):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
