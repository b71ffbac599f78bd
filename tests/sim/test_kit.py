"""The sounds that all machines are made of: each has the power, the place and the rate it says."""

import numpy as np
import pytest

from nearfar.sim.kit import Kit, rms


def test_strikes_have_the_energy_they_say_and_fall_where_they_should():
    kit = Kit(16_000, np.random.default_rng(0))
    blow = kit.strikes([0.5], [3.0], [(1000.0, 0.005, 1.0)])
    assert np.sum(blow**2, dtype=float) == pytest.approx(9.0, rel=1e-3)
    assert np.abs(blow[:7999]).max() < 1e-4
    assert 8000 <= np.argmax(np.abs(blow)) < 8080


def test_noise_has_unit_power_and_its_colour():
    kit = Kit(160_000, np.random.default_rng(0))
    noise = kit.noise(((20, 0), (2000, 0), (2100, -60), (8000, -60)), vary_db=0.0)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert rms(noise) == pytest.approx(1.0, abs=0.02)
    assert power[25_000:].sum() < 1e-4 * power.sum()


def test_tones_stand_at_orders_of_the_shaft_and_never_above_nyquist():
    kit = Kit(16_000, np.random.default_rng(0))
    tones = kit.tones(kit.turns(100.0, 0.0), {1: 1.0, 7: 0.5, 90: 9.0})
    amplitude = np.abs(np.fft.rfft(tones)) / 8000
    assert amplitude[100] == pytest.approx(1.0, abs=0.01)
    assert amplitude[700] == pytest.approx(0.5, abs=0.01)
    assert np.sum(tones**2, dtype=float) / 16_000 == pytest.approx(0.625, abs=0.01)


def test_passes_of_a_steady_shaft_come_at_its_rate():
    kit = Kit(32_000, np.random.default_rng(0))
    times = kit.passes(kit.turns(20.0, 0.0), 3.6)
    assert len(times) in (143, 144, 145)
    assert np.diff(times) == pytest.approx(1 / 72, abs=1e-4)
