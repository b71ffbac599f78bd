"""A valve clicks twice a cycle and hums while it is open; one that sticks clicks seldom."""

import numpy as np
import pytest

from machine_sounds import RATE, above, line, sound


def clicks(signal):
    """How many blows there are: blocks of 20 ms that are 10 dB above the median."""
    blocks = np.square(above(signal, 1500)).reshape(-1, RATE // 50).mean(axis=1)
    loud = blocks > 10 * np.median(blocks)
    return int(np.count_nonzero(loud[1:] & ~loud[:-1]))


def test_two_clicks_a_cycle():
    """Two cycles a second, ±10 % for the individual, ±5 % for the clip, 3 % for the condition."""
    assert clicks(sound("valveEmu")) == pytest.approx(2 * 2 * 10, rel=0.15)


def test_the_coil_hums_at_twice_the_mains():
    assert line(sound("valveEmu"), 95, 105)[0] == pytest.approx(100, abs=0.2)


def test_a_plunger_that_sticks_misses_clicks():
    assert clicks(sound("valveEmu", "strikes_missed", 1.0)) < 0.7 * clicks(sound("valveEmu"))
