"""Counting by the minute: each address for itself, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from nearfar.page.guard import rates
from nearfar.page.guard.rates import Rates, TooOften, neighbourhood
from page_server import Clock


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40)), max_size=200))
def test_nobody_gets_more_than_the_most_in_a_minute_that_is_counted(steps):
    clock, let = Clock(), {}
    counted = Rates(5, clock)
    for who, pause in steps:
        clock.now += pause
        wait = counted.count(who)
        assert 0 <= wait <= rates.MINUTE
        if not wait:
            let.setdefault(who, []).append(clock.now)
    for times in let.values():
        # Two minutes that meet may have the most each: never more of it in any one.
        assert max(sum(t <= s < t + rates.MINUTE for s in times) for t in times) <= 10


def test_who_waits_as_long_as_it_is_told_may_again():
    clock = Clock()
    counted = Rates(1, clock)
    assert counted.count("a") == 0
    clock.now = 12.5
    wait = counted.count("a")
    assert wait == 48
    clock.now += wait
    assert counted.count("a") == 0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(rates, "ADDRESSES", 10)
    counted = Rates(1, Clock())
    for n in range(1000):
        assert counted.count(f"10.0.{n // 250}.{n % 250}") == 0
        assert len(counted) <= 10
    assert counted.count("10.0.3.249") > 0


def test_addresses_of_one_subscriber_are_one():
    counted = Rates(1, Clock())
    assert counted.count("2001:db8:1:2::1") == 0
    assert counted.count("2001:db8:1:2:ffff::7") > 0
    assert counted.count("2001:db8:1:3::1") == 0
    assert neighbourhood("::ffff:10.0.0.1") == neighbourhood("10.0.0.1")
    assert neighbourhood("::1") == "::1"


def test_the_line_says_how_long():
    assert TooOften("too many", 7).wait == 7
