"""YAMNet's front end against its definition in float64, one frame after the other."""

import math

import numpy as np
import pytest

from conftest import RATE, refused
from nearfar.embedder.yamnet.melspectrum import SHORTEST, log_mels, mel_filters, scaled
from nearfar.testing import noise


def plainly(channel):
    """log(mel + 0.001) as it is defined: HTK mel, magnitudes, triangles straight in mel."""
    mel = lambda hz: 1127 * math.log(1 + hz / 700)  # noqa: E731
    edges = [mel(125) + k * (mel(7500) - mel(125)) / 65 for k in range(66)]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    bands = []
    for low, peak, high in zip(edges, edges[1:], edges[2:], strict=False):
        ats = [mel(k * RATE / 512) for k in range(1, 257)]
        bands.append(
            [max(0.0, min((m - low) / (peak - low), (high - m) / (high - peak))) for m in ats]
        )
    rows = []
    for start in range(0, len(channel) - 399, 160):
        frame = np.array(channel[start : start + 400], np.float64) * hann
        magnitudes = np.abs(np.fft.rfft(frame, 512))[1:]  # nothing of 0 Hz
        rows.append([math.log(np.dot(band, magnitudes) + 0.001) for band in bands])
    return np.array(rows)


def test_it_is_what_it_is_defined_as():
    channel = noise(1, 1.0, seed=3)[0]
    assert np.abs(log_mels(channel) - plainly(channel)).max() < 1e-4


def test_frames_lie_wholly_in_the_sound():
    for samples, count in ((15_600, 96), (15_759, 96), (15_760, 97), (160_000, 998)):
        assert log_mels(np.zeros(samples, np.float32)).shape == (count, 64)


def test_silence_is_the_offset():
    assert np.allclose(log_mels(np.zeros(16_000, np.float32)), math.log(0.001), atol=1e-6)


def test_each_band_hears_a_tone_at_its_middle_most():
    places = mel_filters().argmax(axis=0) * RATE / 512  # Hz
    for band in range(20, 64, 9):  # below, bands are narrower than a frame can tell
        tone = np.sin(2 * np.pi * places[band] * np.arange(RATE) / RATE).astype(np.float32)
        assert abs(int(log_mels(tone).mean(axis=0).argmax()) - band) <= 1


def test_gain_changes_nothing_once_a_sound_is_scaled():
    channel = noise(1, 1.0)[0]
    assert np.abs(scaled(channel)).max() == 1
    assert np.array_equal(scaled(channel), scaled(channel / 4))
    assert not np.array_equal(log_mels(channel), log_mels(channel / 4))
    assert not scaled(np.zeros(9, np.float32)).any()


@pytest.mark.parametrize("samples", [0, 399, SHORTEST - 1])
def test_less_than_a_patch_is_one_line(samples):
    refused(lambda: log_mels(np.zeros(samples, np.float32)), f"{samples} samples", "0.975 s")
