"""A gearbox sounds at its teeth; a broken one strikes once a turn of its own shaft."""

import pytest

from machine_sounds import envelope, line, sound

TEETH, RATIO = 23, 2  # of the input gear; input turns per output turn


def test_the_mesh_stands_at_the_teeth():
    heard = sound("gearboxEmu")
    shaft, mesh = line(heard, 20, 30)[0], line(heard, 480, 640)[0]
    assert mesh / shaft == pytest.approx(TEETH, rel=0.01)


def test_a_broken_tooth_comes_round_with_the_output_shaft():
    heard = sound("gearboxEmu", "tooth_broken", severity=1.0)
    shaft = line(heard, 20, 30)[0]
    blows, strong = line(envelope(heard, 1000), 9, 16)
    assert shaft / blows == pytest.approx(RATIO, rel=0.01)
    assert strong > 1.5 * line(envelope(sound("gearboxEmu"), 1000), 9, 16)[1]


def test_an_overloaded_motor_slips():
    free, loaded = (line(sound("gearboxEmu", "overload", s), 480, 640)[0] for s in (0.0, 1.0))
    assert loaded / free == pytest.approx(0.92, abs=0.01)
