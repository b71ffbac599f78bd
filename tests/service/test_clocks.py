"""Clocks: set back, set forward, asleep."""

from datetime import UTC, datetime, timedelta

import pytest

from nearfar.service.clocks import JUMP, Clocks

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365 * 20])
def test_a_clock_that_was_set_is_seen_once(hours):
    clocks = Clocks(NOON, 100.0)
    later = NOON + timedelta(hours=hours)
    assert clocks.jump(later, 101.0) == 3600.0 * hours - 1.0
    assert clocks.jump(later + timedelta(seconds=1), 102.0) == 0.0


def test_long_work_and_small_corrections_are_none():
    clocks = Clocks(NOON, 0.0)
    assert clocks.jump(NOON + timedelta(hours=3), 3 * 3600.0) == 0.0
    assert clocks.jump(NOON + timedelta(hours=3, seconds=JUMP), 3 * 3600.0 + 1.0) == 0.0
