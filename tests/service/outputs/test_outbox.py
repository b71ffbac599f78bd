"""Laws of the queue: nothing vanishes uncounted, order is kept, `said` never runs ahead."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as some

from bulletins import event, told
from nearfar.service.outputs.outbox import Outbox, Parcel

STEPS = some.lists(
    some.sampled_from(["clip", "event", "silent", "take", "done", "lose", "again"]), max_size=80
)


@given(some.integers(1, 8), STEPS)
def test_whatever_happens_all_is_accounted_for(most, steps):
    box, out, put, done, gone = Outbox(most), [], 0, set(), 0
    told_events, over = [], set()
    for number, step in enumerate(steps, 1):
        if step in ("clip", "event"):
            put += 1
            of = event(number) if step == "event" else None
            if of:
                told_events.append(number)
            box.put(Parcel(told(number), of))
        elif step == "silent":
            told_events.append(number)
            over.add(number)
            box.put(silent=(number,))
        elif step == "take" and (parcel := box.take()):
            assert not out or parcel.serial > out[-1].serial  # in order
            out.append(parcel)
        elif step == "again":
            box.again()
            out = []
        elif step in ("done", "lose") and out:
            parcel = out.pop(0)
            (box.done if step == "done" else box.lose)(parcel)
            done.add(parcel.serial)
            gone += step == "lose"
            over |= {parcel.event.id} if parcel.event else set()
        assert put == box.queued + len(done) - gone + box.lost
        assert box.queued <= max(most, len(out))
        # Said: an id with no undone one told before it. Those given up in the queue count as over.
        assert box.said == 0 or box.said in told_events
        if box.lost == gone:
            undone = [n for n in told_events if n not in over]
            sure = [n for n in told_events if n in over and (not undone or n < undone[0])]
            assert box.said == max(sure, default=0)


def test_clips_are_given_up_before_events_and_the_oldest_first():
    box = Outbox(3)
    box.put(Parcel(told(1), event(1)), Parcel(told(2)), Parcel(told(3)), Parcel(told(4), event(2)))
    left = [box.take() for _ in range(3)]
    assert [(p.bulletin.row, p.event is not None) for p in left] == [
        (1, True), (3, False), (4, True),
    ]  # fmt: skip
    assert (box.lost, box.said) == (1, 0)


def test_events_are_given_up_where_there_are_no_clips_and_said_passes_over_them():
    box = Outbox(2)
    box.put(*(Parcel(told(n), event(n)) for n in (1, 2, 3)))
    assert (box.lost, box.said, box.take().event.id) == (1, 1, 2)


def test_ten_thousand_wait_and_what_is_beyond_is_counted():
    box = Outbox(10_000)
    for n in range(10_250):
        box.put(Parcel(told(n)))
    assert (box.queued, box.lost) == (10_000, 250)
    assert box.take().bulletin.row == 250


def test_what_was_taken_comes_back_before_the_others_and_can_be_given_up_then():
    box = Outbox(3)
    box.put(*(Parcel(told(n)) for n in (1, 2, 3)))
    first, second = box.take(), box.take()
    box.again()
    assert [box.take() for _ in range(2)] == [first, second]
    box.again()
    box.put(Parcel(told(4)))
    assert [box.take().bulletin.row for _ in range(3)] == [2, 3, 4]


def test_what_was_said_leaves_nothing_behind():
    box, bulletin = Outbox(10), told(1)

    def say(times):
        for _ in range(times):
            box.put(Parcel(bulletin))
            box.done(box.take())

    say(100)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        say(2_000)
        assert tracemalloc.get_traced_memory()[0] - before < 2_000  # less than a byte each
    finally:
        tracemalloc.stop()
