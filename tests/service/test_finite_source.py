"""A folder heard once ends after its last recording, never before it."""

import threading
from pathlib import Path
from time import monotonic

from conftest import PATIENCE
from nearfar.clips.clip import Clip
from nearfar.service import finite_source
from nearfar.service.finite_source import FiniteSource
from nearfar.service.incoming import Incoming, Notice


class Slow:
    """Gives some recordings, and says of each until then that it waits."""

    name = "hall"

    def __init__(self, count, between=0.0):
        self.listed, self.waiting, self.closed = False, 0, False
        self._count, self._between = count, between

    def start(self, put):
        self._thread = threading.Thread(target=self._run, args=(put,))
        self._thread.start()

    def _run(self, put):
        self.waiting = self._count
        self.listed = True
        for n in range(self._count):
            threading.Event().wait(self._between)
            self.waiting -= 1
            put(Incoming("hall", Clip(Path(f"{n}.wav"))))

    def close(self):
        self.closed = True
        self._thread.join()


def test_it_says_how_many_files_are_not_complete():
    slow = Slow(3, between=0.0)
    slow.waiting = 2
    assert FiniteSource(slow).waiting == 2


def given(source, put=None):
    found, over = [], threading.Event()

    def take(item):
        (put or (lambda item: None))(item)
        found.append(item)
        if isinstance(item, Notice):
            over.set()

    finite = FiniteSource(source, calm=0.0)
    finite.start(take)
    assert over.wait(PATIENCE)
    finite.close()
    assert source.closed
    return found


def test_the_end_comes_last_and_once(monkeypatch):
    monkeypatch.setattr(finite_source, "LOOK", 0.001)
    for count in (0, 1, 20):
        found = given(Slow(count, between=0.002))
        assert [type(item).__name__ for item in found] == ["Incoming"] * count + ["Notice"]
        assert (found[-1].kind, found[-1].source) == ("ended", "hall")


def test_while_a_full_queue_holds_the_last_one_it_is_not_over(monkeypatch):
    monkeypatch.setattr(finite_source, "LOOK", 0.001)
    release, begun = threading.Event(), threading.Event()

    def put(item):
        if isinstance(item, Incoming):
            begun.set()
            assert release.wait(PATIENCE)

    found = []
    caller = threading.Thread(target=lambda: found.extend(given(Slow(1), put)))
    caller.start()
    assert begun.wait(PATIENCE)
    until = monotonic() + 0.1  # a hundred looks
    while monotonic() < until:
        assert not found
    release.set()
    caller.join(PATIENCE)
    assert [type(item).__name__ for item in found] == ["Incoming", "Notice"]
