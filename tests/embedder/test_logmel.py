"""The floor: what the mean log-mel spectrum is of simple sounds."""

import numpy as np
import pytest
import soundfile

import nearfar as nf
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.testing import noise


def test_ten_times_louder_is_twenty_decibels_more():
    sound = noise(1)
    part = nf.LogMel(invariant=False)  # as it was first
    louder = part([10 * sound]) - part([sound])
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
    part = nf.LogMel(invariant=False)
    first, second, both = part([sound, silence, np.concatenate([sound, silence], axis=1)])
    assert (first - second > 30).all()
    assert both == pytest.approx((first + second) / 2, abs=1)


@pytest.mark.parametrize(("gain", "offset"), [(0.1, 0), (10, 0), (1, 0.04), (1, -0.3), (0.2, 0.04)])
def test_neither_gain_nor_offset_is_a_sound(gain, offset):
    sound = noise(1)
    was, now = nf.LogMel()([sound, (gain * sound + offset).astype(np.float32)])
    assert now == pytest.approx(was, abs=1e-5)


def test_silence_lies_as_far_below_a_quiet_clip_as_below_a_loud_one():
    sound = noise(1, 2.0)
    sound[:, 9_000:20_000] = 0
    loud, quiet = nf.LogMel()([sound, np.float32(1 / 128) * sound])
    assert quiet == pytest.approx(loud, abs=1e-5)


def test_a_row_says_how_sound_is_spread_and_no_more():
    invariant, first = nf.LogMel()([noise(1)]), nf.LogMel(invariant=False)([noise(1)])
    assert invariant == pytest.approx(first - first.mean(), abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0])
def test_a_constant_is_silence(value):
    assert not nf.LogMel()([np.full((1, 16_000), value, np.float32)]).any()


def test_an_offset_is_no_anomaly(tmp_path):
    """The same sounds with no offset and with twice that of the normal clips (ESPHome #8751)."""
    rng, time = np.random.default_rng(3), np.arange(16_000) / 16_000

    def hum():
        parts = [np.sin(2 * np.pi * 50 * k * time + rng.uniform(0, 6.3)) / k for k in (1, 3, 7)]
        return 0.05 * (sum(parts) + 0.5 * rng.standard_normal(len(time)))

    def folder(name, sounds, offset):
        paths = [tmp_path / f"{name}{i:02d}.wav" for i in range(len(sounds))]
        for path, sound in zip(paths, sounds, strict=True):
            soundfile.write(path, sound + offset, 16_000)
        return [nf.Clip(path, machine="hum") for path in paths]

    detector = nf.fit(nf.logmel(), folder("hum", [hum() for _ in range(20)], 0.02))
    new = [hum() for _ in range(6)]
    offsets = {"same": 0.02, "none": 0.0, "twice": 0.04}
    said = {name: detector.score(folder(name, new, dc)) for name, dc in offsets.items()}
    limit = 0.01 * detector.threshold("hum").value
    flagged = [verdict.anomalous for verdict in said["same"]]
    for name in ("none", "twice"):
        assert said[name].values == pytest.approx(said["same"].values, abs=limit)
        assert all(one.anomalous <= was for one, was in zip(said[name], flagged, strict=True))


@pytest.mark.parametrize(
    "settings", [{"n_mels": 0}, {"n_mels": 1025}, {"n_fft": 0}, {"hop": 16_001}, {"hop": 1.5}]
)
def test_impossible_settings(settings):
    (name,) = settings
    with pytest.raises(nf.NearfarError, match=f"LogMel.{name} is .*it is a whole number from 1 to"):
        nf.LogMel(**settings)
