"""The room, the diffuse field, rumble and microphones against their theory."""

import numpy as np
import pytest
from scipy.fft import irfft
from scipy.signal import csd, welch

from nearfar.sim import acoustics
from nearfar.sim.scenes import scene_of

SEED = 5


def test_a_diffuse_pair_has_the_coherence_of_a_diffuse_field():
    size, spacing = 2**19, 0.25
    pair = acoustics.diffuse_pair(np.random.default_rng(1), spacing, size)
    near, far = (irfft(spectrum, size) for spectrum in pair)
    assert np.std(near) == pytest.approx(1.0, abs=0.01)
    assert np.std(far) == pytest.approx(1.0, abs=0.01)
    f, cross = csd(near, far, fs=16_000, nperseg=512)
    power = [welch(x, fs=16_000, nperseg=512)[1] for x in (near, far)]
    measured = (np.abs(cross) ** 2 / (power[0] * power[1]))[2:-2]
    x = 2 * np.pi * f[2:-2] * spacing / 343.0
    expected = (np.sin(x) / x) ** 2
    assert np.abs(measured - expected).max() < 0.06


def test_rumble_is_low_and_of_unit_level():
    size = 2**17
    spectrum = np.zeros(size // 2 + 1, np.complex64)
    low = acoustics.rumble(np.random.default_rng(1), size)
    spectrum[: low.size] = low
    assert np.std(irfft(spectrum, size)) == pytest.approx(1.0, abs=0.08)
    assert low.size * 16_000 / size <= 200
    levels = np.abs(low) ** 2
    assert levels[-200:].sum() < 0.01 * levels.sum()


def test_gaussian_noise_has_unit_level():
    wave = irfft(acoustics.gaussian(np.random.default_rng(0), 2**16), 2**16)
    assert np.std(wave) == pytest.approx(1.0, abs=0.02)


def test_the_room_is_causal_direct_first_and_reverberant_far():
    h = acoustics.responses(SEED, "fan", scene_of("fan").geometry)
    arrival = [int(np.argmax(np.abs(row) > 0.3 * np.abs(row).max())) for row in h[:, 0]]
    metres = [a / 16_000 * 343 for a in arrival]
    assert metres[0] == pytest.approx(scene_of("fan").near_m, abs=0.05)
    assert metres[1] == pytest.approx(scene_of("fan").far_m, abs=0.3)
    energy = np.sum(h.astype(float) ** 2, axis=2)
    assert energy[0, 0] == pytest.approx(1.0)
    assert energy[1, 0] < 0.3
    direct = [np.sum(h[m, 0, arrival[m] - 8 : arrival[m] + 24].astype(float) ** 2) for m in (0, 1)]
    assert direct[0] / energy[0, 0] > 2 * direct[1] / energy[1, 0]


def test_the_reverberation_time_is_the_knob():
    decays = []
    for rt60 in (0.25, 0.5):
        h = acoustics.responses(SEED, "fan", acoustics.Geometry(0.35, 3.2, rt60))[1, 0]
        left = 10 * np.log10(np.cumsum(h[::-1].astype(float) ** 2)[::-1] / np.sum(h**2) + 1e-12)
        at = [int(np.argmax(left < level)) / 16_000 for level in (-5, -20)]
        decays.append((at[1] - at[0]) * 4)
    assert decays[0] == pytest.approx(0.25, rel=0.35)
    assert decays[1] == pytest.approx(0.5, rel=0.35)


def test_microphones_differ_above_300_hz_only():
    curve = 20 * np.log10(acoustics.mic_difference(SEED, "fan", 1.5, 32_000))
    assert np.abs(curve[:300]).max() < 1e-4
    assert curve[301:].std() == pytest.approx(1.5, abs=0.3)
