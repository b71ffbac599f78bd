"""The floor: what the mean log-mel spectrum is of simple sounds."""

import numpy as np
import pytest

import nearfar as nf
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.testing import noise


def test_ten_times_louder_is_twenty_decibels_more():
    sound = noise(1)
    louder = nf.LogMel()([10 * sound]) - nf.LogMel()([sound])
    assert louder == pytest.approx(20, abs=1e-3)


def test_a_tone_is_loudest_in_a_higher_band_the_higher_it_is():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = [np.sin(2 * np.pi * f * time)[None].astype(np.float32) for f in (200, 1000, 5000)]
    loudest = nf.LogMel(n_mels=40)(tones).argmax(axis=1)
    assert loudest[0] < loudest[1] < loudest[2]


def test_a_row_is_the_mean_over_time():
    """Sound, then as much silence: halfway between the two in dB, but for frames at the seam."""
    sound = noise(1, 4.0)
    silence = np.zeros_like(sound)
    first, second, both = nf.LogMel()([sound, silence, np.concatenate([sound, silence], axis=1)])
    assert (first - second > 30).all()
    assert both == pytest.approx((first + second) / 2, abs=1)


@pytest.mark.parametrize(
    "settings", [{"n_mels": 0}, {"n_mels": 1025}, {"n_fft": 0}, {"hop": 16_001}, {"hop": 1.5}]
)
def test_impossible_settings(settings):
    (name,) = settings
    with pytest.raises(nf.NearfarError, match=f"LogMel.{name} is .*it is a whole number from 1 to"):
        nf.LogMel(**settings)
