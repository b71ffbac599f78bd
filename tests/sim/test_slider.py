"""A carriage rests at both ends of its stroke; on a skewed rail it rubs in one direction only."""

import numpy as np
import pytest

from machine_sounds import RATE, envelope, line, sound

STROKE = 0.9 * 0.97  # to and fro per second, of the first condition; ±10 % for the individual


def test_two_rests_a_stroke():
    rests, _ = line(envelope(sound("sliderEmu"), 300), 1, 4)
    assert rests == pytest.approx(2 * STROKE, rel=0.12)


def share(signal, hertz, of):
    """How strong one line is against another."""
    turns = np.arange(len(signal)) / RATE
    one, other = (abs(np.dot(signal, np.exp(-2j * np.pi * f * turns))) for f in (hertz, of))
    return one / other


def test_a_skewed_rail_tells_the_way_out_from_the_way_back():
    healthy, skewed = (envelope(sound("sliderEmu", "rail_misaligned", s), 1500) for s in (0, 1))
    rests = line(healthy, 1, 4)[0]
    assert share(skewed, rests / 2, rests) > 3 * share(healthy, rests / 2, rests)
