"""What a file's own samples are like: the same at every rate, and nothing of ordinary sound."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from nearfar.sound import audio
from nearfar.sound.recorded import Recorded, joined, measure


@pytest.mark.parametrize("level", [1.0, 0.3])
@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
def test_clipped_shares_are_those_of_the_file_at_any_rate(
    tmp_path: Path, rate: int, level: float
) -> None:
    t = np.arange(rate // 2) / rate
    loud = 1.6 * np.sin(2 * np.pi * 150 * t) + 0.5 * np.random.default_rng(1).standard_normal(
        t.size
    )
    sound = level * np.stack([np.clip(loud, -1, 1), loud / 16], 1)
    soundfile.write(tmp_path / "x.wav", sound, rate)
    _, recorded = audio.read_recorded(tmp_path / "x.wav")
    assert recorded.sample_rate == rate
    assert recorded.clipped[0] == pytest.approx(np.mean(np.abs(loud) >= 1), abs=0.01)
    assert recorded.clipped[1] == 0
    for channel in (0, 1):  # a level is that of the file, within 16 bits
        power = np.mean((sound[:, channel] - sound[:, channel].mean()) ** 2)
        assert recorded.levels[channel] == pytest.approx(10 * math.log10(power), abs=0.01)


@pytest.mark.parametrize("counts", [0.3, 1.0, 3.0, 1_000.0])
def test_noise_of_few_counts_is_not_clipped(counts: float) -> None:
    noise = np.round(counts * np.random.default_rng(2).standard_normal((1, 100_000))) / 32_768
    assert measure(noise.astype(np.float32), 16_000).clipped == (0.0,)


@pytest.mark.parametrize("crest", [3.0, 20.49, 100.4, 100.51, 32_767.0])
def test_the_rounded_crest_of_a_tone_is_not_clipped(crest: float) -> None:
    tone = np.round(crest * np.sin(2 * np.pi * 50 * np.arange(96_000) / 48_000)) / 32_768
    assert measure(tone[None].astype(np.float32), 48_000).clipped == (0.0,)


def tops(sound: np.ndarray) -> float:
    """The definition, sample by sample: three equal in a row, four times the next value's count."""
    found = 0
    for turned in (sound, -sound):
        values, counts = np.unique(turned, return_counts=True)
        row = "111" in "".join(str(int(x == values[-1])) for x in turned)
        if len(values) > 1 and row and values[-1] != 0 and counts[-1] >= 4 * counts[-2]:
            found += counts[-1]
    return found / len(sound)


@pytest.mark.parametrize("seed", range(60))
def test_shares_of_all_kinds_of_sound_are_those_of_the_definition(seed: int) -> None:
    """Coarse steps, fine ones and floats; the value below a top near it or far from it."""
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.normal(size=2)) * rng.choice([1e-3, 1.0, 1e3])
    sound = np.repeat(rng.normal(size=rng.choice([500, 6_000])), rng.integers(1, 4))
    sound = np.clip(rng.choice([0.1, 1.0, 50.0]) * sound, low, high)
    step = (high - low) / rng.choice([1, 2, 30, 5_000, 1e9])
    sound = (step * np.round(sound / step)).astype(np.float32)
    assert measure(sound[None], 16_000).clipped == (pytest.approx(tops(sound), abs=1e-9),)


def test_zeros_offset_and_constants() -> None:
    sound = np.zeros((3, 1_000), np.float32)
    sound[0, ::4] = 0.5
    sound[1] = 0.25
    sound[2] = 0.25 + 0.1 * np.resize([1.0, -1.0], 1_000)
    recorded = measure(sound, 16_000)
    assert recorded.zeros == (0.75, 0.0, 0.0)
    assert recorded.clipped == (0.0, 0.0, 0.0)
    assert recorded.levels[1] == -math.inf
    assert recorded.levels[2] == pytest.approx(-20.0, abs=1e-4)


def test_of_two_files_both_are_measured(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 16_000)
    soundfile.write(tmp_path / "n.wav", 0.5 * noise, 16_000)
    soundfile.write(tmp_path / "f.wav", 0.05 * noise, 16_000)
    _, recorded = audio.read_recorded(tmp_path / "n.wav", tmp_path / "f.wav")
    assert recorded.levels[0] - recorded.levels[1] == pytest.approx(20.0, abs=0.01)
    assert len(recorded.clipped) == len(recorded.zeros) == 2


def test_two_files_are_one_clip_near_first() -> None:
    near = Recorded(48_000, (0.1,), (0.2,), (-20.0,), "near ends at 3 s")
    far = Recorded(44_100, (0.3,), (0.4,), (-30.0,))
    both = Recorded(48_000, (0.1, 0.3), (0.2, 0.4), (-20.0, -30.0), "near ends at 3 s")
    assert joined([near, far]) == both
    assert joined([far]) == far
