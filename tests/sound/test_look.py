"""What a look at a clip says of its channels."""

import math

import numpy as np
import pytest

from nearfar.sound.look import coherence, level, look
from nearfar.sound.recorded import Recorded

NOISE = np.random.default_rng(0).standard_normal((2, 32_000)).astype(np.float32) / 10


def test_levels_are_rms_without_the_mean():
    assert level(NOISE[0]) == pytest.approx(-20, abs=0.1)
    assert level(NOISE[0] + np.float32(0.5)) == pytest.approx(level(NOISE[0]), abs=0.01)
    assert level(np.full(1000, 0.3, np.float32)) == -math.inf


def test_coherence_is_of_common_sound():
    assert coherence(NOISE) < 0.15  # of 16 windows even independent noise shows a little
    late = np.roll(NOISE[0], 3)
    assert coherence(np.stack([NOISE[0], late])) > 0.95
    assert coherence(np.stack([NOISE[0], -0.1 * NOISE[0]])) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("audio", [NOISE[:, :1000], np.zeros((2, 16_000), np.float32)])
def test_what_has_no_coherence(audio):
    assert math.isnan(coherence(audio))


def test_what_the_file_said_goes_before_what_was_heard():
    there = Recorded(48_000, clipped=(0.5, 0.0), zeros=(0.0, 0.1), levels=(-1.0, -2.0))
    found = look(NOISE, there)
    assert (found.sample_rate, found.levels) == (48_000, (-1.0, -2.0))
    assert (found.clipped, found.zeros) == ((0.5, 0.0), (0.0, 0.1))
    unknown = look(NOISE)
    assert (unknown.clipped, unknown.zeros, unknown.sample_rate) == ((), (), 0)


def test_one_channel_has_nothing_to_compare():
    found = look(NOISE[:1], two_files=True)
    assert len(found.levels) == 1
    assert np.isnan([found.ratio, found.lr_corr, found.coherence]).all()
    assert found.lag is None


def test_a_lag_is_looked_for_only_where_there_are_two_files():
    assert look(NOISE).lag is None
    assert look(NOISE, two_files=True).lag is not None


def test_balance_is_of_all_frequencies_alike():
    rng = np.random.default_rng(1)
    near, far = rng.standard_normal((2, 32_000))
    hum = 30 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)
    found = look(np.stack([near + hum, 2 * far]).astype(np.float32) / 100)
    assert found.ratio > 15  # of powers, where the hum is all
    assert found.balance == pytest.approx(-6, abs=2)
    assert math.isnan(look(NOISE[:1]).balance)
