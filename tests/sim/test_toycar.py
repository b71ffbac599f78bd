"""A toy car's motor sounds at its commutation; a chipped gear strikes once a turn of the axle."""

import pytest

from machine_sounds import envelope, line, sound

SEGMENTS, BRUSHES, RATIO = 3, 2, 3.5  # of the commutator; motor turns per axle turn


def test_commutation():
    heard = sound("ToyCar")
    motor, sparks = line(heard, 80, 100)[0], line(heard, 450, 600)[0]
    assert sparks / motor == pytest.approx(SEGMENTS * BRUSHES, rel=0.01)


def test_a_chipped_gear_comes_round_with_the_axle():
    heard = sound("ToyCar", "gear_chipped", severity=1.0)
    motor, blows = line(heard, 80, 100)[0], line(envelope(heard, 1500), 20, 30)[0]
    assert motor / blows == pytest.approx(RATIO, rel=0.01)


def test_a_flat_battery_is_a_slower_car():
    full, flat = (line(sound("ToyCar", "voltage_low", s), 450, 600)[0] for s in (0.0, 1.0))
    assert flat / full == pytest.approx(0.88, abs=0.01)
