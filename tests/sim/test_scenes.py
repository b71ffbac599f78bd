"""The knobs of every machine's scene."""

import numpy as np
import pytest

from nearfar.errors import SettingError
from nearfar.sim.machines import MACHINES
from nearfar.sim.scenes import SCENES, scene_of


def test_every_machine_has_a_scene_and_back():
    assert list(SCENES) == list(MACHINES)


@pytest.mark.parametrize("name", SCENES)
def test_the_recorder_leaves_6_db_above_the_expected_peak(name):
    scene = SCENES[name]
    decibels = [0.0, -scene.snr_db, scene.rumble_db]  # machine, noise, rumble
    level = 10 * np.log10(np.sum(10 ** (np.array(decibels) / 10)))
    for far_gain_db in (-10.0, 0.0, 10.0):
        loudest = level + max(0.0, far_gain_db)
        peak = loudest + scene.crest_db + 20 * np.log10(scene.gain(far_gain_db))
        assert peak == pytest.approx(-6)


def test_an_unknown_machine_is_named_with_the_one_that_was_meant():
    with pytest.raises(SettingError, match="did you mean 'fan'"):
        scene_of("fam")
