"""The statistics of every machine's normal clips meet their targets."""

import pytest

from nearfar.sim.calibrate import misses, statistics
from nearfar.sim.scenes import SCENES

SEED = 5


@pytest.mark.slow
@pytest.mark.parametrize("machine", SCENES)
def test_statistics_meet_the_targets(machine):
    measured = statistics(machine, SEED, 32, seconds=6.0)
    assert misses(machine, measured) == [], measured


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, []),
        ({"ratio_db": -2.2}, ["ratio_db"]),
        ({"lr": 0.6, "gamma": 0.07}, ["lr", "gamma"]),
        ({"mask": 0.55, "floor": 0.2}, ["mask", "floor"]),
    ],
)
def test_what_lies_outside_its_tolerance_is_named(changed, missed):
    met = {"ratio_db": -0.6, "mask": 0.50, "floor": 0.36, "lr": 0.86, "gamma": 0.03}
    assert misses("fan", met | changed) == missed


def test_a_machine_without_a_target_for_the_mask_may_have_any():
    met = {"ratio_db": -3.6, "mask": 0.0, "floor": 1.0, "lr": 0.0, "gamma": 0.03}
    assert misses("valveEmu", met) == []
