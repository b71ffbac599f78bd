"""What all outputs have in common: a fault stops none of them, and their threads end."""

import threading

from bulletins import event, told
from conftest import PATIENCE
from nearfar.service.outputs import teller
from nearfar.service.outputs.teller import Teller


class Noted(Teller):
    """Writes down what it says; fails as often as it is told."""

    name = "noted"
    wants_clips = True

    def __init__(self, fails=0):
        super().__init__(most=100)
        self.fails, self.noted, self.ended = fails, [], False

    def _work(self):
        parcel = self._box.take()
        if parcel is None:
            return self._rest()
        if self.fails:
            self.fails -= 1
            raise ValueError("an odd\nthing")
        self.noted.append(parcel.event.id if parcel.event else "clip")
        self._box.done(parcel)
        return self._works()

    def _end(self):
        self.ended = True


def test_all_is_said_in_order_and_the_thread_ends():
    noted = Noted()
    noted.start()
    for n in range(1, 50):
        noted.tell(told(n, events=[event(n), event(n + 100, silent=True)]))
    noted.close(PATIENCE)
    assert noted.noted == [x for n in range(1, 50) for x in ("clip", n)]
    assert noted.ended
    assert "nearfar noted" not in {t.name for t in threading.enumerate()}
    assert noted.said == 149


def test_a_fault_of_ours_is_a_trouble_and_is_overcome(monkeypatch):
    monkeypatch.setattr(teller, "AFTER_A_FAULT", 0.01)
    noted = Noted(fails=3)
    noted.start()
    noted.tell(told(1, events=[event(1)]))
    noted.close(PATIENCE)
    assert noted.noted == ["clip", 1]
    assert noted.health.up
    assert not noted.health.trouble


def test_without_patience_what_is_left_stays_unsaid(monkeypatch):
    noted = Noted(fails=10**9)
    noted.start()
    noted.tell(told(1, events=[event(1)]))
    noted.close(patience=0)
    assert noted.said == 0
    assert noted.health.queued == 2
    noted._thread.join(PATIENCE)
    assert not noted._thread.is_alive()
