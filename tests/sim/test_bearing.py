"""A spalled bearing is struck at the textbook rates of its geometry, a sound one is not."""

import pytest

from machine_sounds import envelope, line, sound

BALLS, DIAMETER = 9, 0.2  # of a pitch diameter; contact angle 0
RATES = {
    "outer_race": BALLS * (1 - DIAMETER) / 2,
    "inner_race": BALLS * (1 + DIAMETER) / 2,
    "ball": (1 - DIAMETER**2) / DIAMETER,  # both races in one turn of the ball
}


@pytest.mark.parametrize("fault", RATES)
def test_blows_come_at_the_rate_of_the_geometry(fault):
    heard = sound("bearingEmu", fault, severity=1.0)
    shaft, _ = line(heard, 17, 23)
    low, high = 0.95 * RATES[fault] * shaft, 1.05 * RATES[fault] * shaft
    blows, strong = line(envelope(heard), low, high)
    assert blows / shaft == pytest.approx(RATES[fault], rel=0.01)
    assert strong > 3 * line(envelope(sound("bearingEmu")), low, high)[1]
