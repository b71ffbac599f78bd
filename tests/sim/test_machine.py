"""What a machine declares: an unknown knob or fault is refused with what there is."""

import numpy as np
import pytest

from nearfar.errors import SettingError
from nearfar.sim.kit import Kit, rms
from nearfar.sim.machine import Condition, jitter, stems, unit_rng
from nearfar.sim.machines import MACHINES


def test_unknown_knob_is_refused_with_what_there_is():
    with pytest.raises(SettingError, match="motor"):
        Condition("noAttribute", (("motor", 90.0),)).value("moter")


def test_unknown_fault_is_refused_with_what_there_is():
    assert MACHINES["fan"].fault("clogged").name == "clogged"
    with pytest.raises(SettingError, match="loose_screw"):
        MACHINES["fan"].fault("loose_belt")


def test_an_individual_is_the_same_in_all_its_clips_and_within_10_per_cent_of_its_type():
    drawn = [jitter(unit_rng(0, "fan", unit), 50, spread=0.1) for unit in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert np.abs(np.log(drawn)).max() == pytest.approx(0.1)  # some were cut


def test_a_fault_adds_no_level():
    """The sum has the level of the kit's draw, however much the point is louder."""
    hum = np.ones(1600, np.float32)
    levels = []
    for louder in (0, 1, 100):
        made = stems(Kit(1600, np.random.default_rng(0)), hum, louder * hum)
        levels.append(rms(made.body + made.point))
    assert levels == pytest.approx([levels[0]] * 3)
    silent = stems(Kit(1600, np.random.default_rng(0)), 0 * hum, 0 * hum)
    assert rms(silent.body) == rms(silent.point) == 0
