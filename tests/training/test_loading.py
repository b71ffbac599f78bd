"""Crops are made ready beside the steps, in order, and pinned where a GPU will take them."""

import threading

import numpy as np
import pytest

from conftest import PATIENCE

torch = pytest.importorskip("torch")

from nearfar.training.loop.loading import Part, ahead


def crops(*lengths):
    return [np.full((n, 128), i, np.float32) for i, n in enumerate(lengths)]


def test_crops_of_one_length_lie_together_and_are_found_again():
    part = Part.of([4, 8, 15, 16, 23], crops(32, 16, 32, 48, 16))
    assert part.clips == [4, 8, 15, 16, 23]
    assert [tuple(mel.shape) for mel in part.mels] == [(2, 16, 128), (2, 32, 128), (1, 48, 128)]
    mels, order = part.to(torch.device("cpu"))
    marks = torch.cat([mel[:, 0, 0] for mel in mels])
    assert marks[order].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("device", "pinned"), [("cpu", 0), ("mps", 0), ("cuda", 2)])
def test_what_goes_to_a_gpu_is_pinned_and_does_not_hold_up_the_host(monkeypatch, device, pinned):
    """On a device that is not here: what is asked of torch is noted."""
    asked, usual = [], torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: asked.append("pinned") or x)
    part = Part.of([0, 1], crops(16, 32), device)
    assert asked == ["pinned"] * pinned

    def noted(x, device, non_blocking=False):
        asked.append((tuple(x.shape), non_blocking))
        return usual(x, "cpu")

    monkeypatch.setattr(torch.Tensor, "to", noted)
    part.to(torch.device("cpu"))
    assert asked[pinned:] == [((1, 16, 128), True), ((1, 32, 128), True), ((2,), False)]


def test_the_next_one_is_made_while_this_one_is_used():
    begun = [threading.Event() for _ in range(4)]
    threads = set()

    def job(i):
        begun[i].set()
        threads.add(threading.current_thread())
        return i

    for i in ahead(lambda i=i: job(i) for i in range(4)):
        assert i == 3 or begun[i + 1].wait(PATIENCE)
        assert not any(event.is_set() for event in begun[i + 2 :])  # and no further
    assert threading.current_thread() not in threads


def test_what_goes_wrong_is_raised_where_it_is_used():
    def fails():
        raise ZeroDivisionError

    found = ahead(iter([lambda: 1, fails]))
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert list(ahead(iter([]))) == []


def test_who_stops_in_the_middle_leaves_no_thread():
    found = ahead(lambda i=i: i for i in range(9))
    assert next(found) == 0
    found.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("nearfar-crops")]
