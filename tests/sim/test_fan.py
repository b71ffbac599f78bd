"""A fan's blades pass seven times a turn; one that is out of balance is loud once a turn."""

import numpy as np
import pytest

from machine_sounds import line, sound


def test_seven_blades():
    """The shaft of the same clip out of balance, where it is heard best."""
    shaft = line(sound("fan", "unbalance", severity=1.0), 24, 34)[0]
    blades = line(sound("fan"), 150, 260)[0]
    assert blades / shaft == pytest.approx(7, rel=0.01)


def test_the_motor_hums_at_twice_the_mains():
    assert line(sound("fan"), 95, 105)[0] == pytest.approx(100, abs=0.2)


def test_unbalance_is_heard_at_the_shaft():
    healthy, heavy = sound("fan"), sound("fan", "unbalance", severity=1.0)
    assert line(heavy, 24, 34)[1] > 3 * line(healthy, 24, 34)[1]


def test_more_voltage_is_a_faster_fan():
    slow, fast = (line(sound("fan", "overvoltage", s), 150, 260)[0] for s in (0.0, 1.0))
    assert np.log(fast / slow) == pytest.approx(np.log(1.14), abs=0.01)
