"""The pump that wears out: its bearing's blows, beneath which the healthy pump stays as it is."""

import numpy as np
import pytest

from machine_sounds import RATE, envelope, line
from nearfar.sim.kit import Kit, rms
from nearfar.sim.machine import unit_rng
from nearfar.sim.machines import MACHINES
from nearfar.sim.machines.pump import PUMP, fault_db

BALLS, DIAMETER = 9, 0.2  # of a pitch diameter; contact angle 0


def parts(severity, fault="inner_race", seconds=10, clip=0, duty=0):
    kit = Kit(seconds * RATE, np.random.default_rng([7, clip]), RATE)
    unit = unit_rng(0, PUMP.name, 0)
    return PUMP.render(kit, PUMP.source[duty], fault, severity, unit)


def test_a_pump_at_severity_0_is_the_healthy_one_to_the_bit():
    healthy, unworn = parts(0.0, fault=None), parts(0.0)
    assert np.array_equal(healthy.body, unworn.body)
    assert np.array_equal(healthy.point, unworn.point)


def test_wear_changes_nothing_but_what_it_adds_at_its_level():
    """The fault is `fault_db` over the healthy pump in every clip, and rises with severity."""
    for clip, duty in ((0, 0), (1, 1), (2, 2)):
        healthy = parts(0.0, clip=clip, duty=duty)
        loud = rms(healthy.body + healthy.point)
        levels = []
        for severity in (0.02, 0.3, 0.6, 1.0):
            worn = parts(severity, clip=clip, duty=duty)
            assert np.array_equal(worn.body, healthy.body)
            level = 20 * np.log10(rms(worn.point - healthy.point) / loud)
            assert level == pytest.approx(fault_db(severity), abs=0.01)
            levels.append(level)
        assert levels == sorted(levels)


def test_blows_come_at_the_rate_of_an_inner_race_and_wane_once_a_turn():
    worn, healthy = parts(1.0), parts(0.0)
    heard = worn.point.astype(float) - healthy.point
    shaft, _ = line(healthy.body + healthy.point.astype(float), 23.5, 26)
    rate = BALLS * (1 + DIAMETER) / 2
    blows, _ = line(envelope(heard), 0.95 * rate * shaft, 1.05 * rate * shaft)
    assert blows / shaft == pytest.approx(rate, rel=0.01)
    turn, strong = line(envelope(heard), 0.9 * shaft, 1.1 * shaft)
    assert turn / shaft == pytest.approx(1.0, rel=0.01)
    assert strong > 10


def test_the_data_set_has_no_pump():
    assert PUMP.name not in MACHINES
