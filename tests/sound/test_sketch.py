"""The sketch of a waveform: the same direction whatever the gain, another one of another sound."""

import numpy as np
import pytest

from nearfar.sound.sketch import BLOCK, SIZE, sketch_of

RNG = np.random.default_rng(3)
SOUND = RNG.standard_normal(32_000).astype(np.float32) / 10


def between(one, other):
    return abs(float(np.dot(sketch_of(one), sketch_of(other))))


@pytest.mark.parametrize("gain", [4.0, 0.01, -1.0])
def test_gain_sign_and_offset_change_no_direction(gain):
    assert len(sketch_of(SOUND)) == SIZE
    changed = np.float32(gain) * SOUND + np.float32(0.2)
    assert between(SOUND, changed) == pytest.approx(1, abs=1e-5)


def test_rounding_turns_it_by_no_more_than_it_adds_of_noise():
    rounded = np.round(SOUND * np.float32(0.3) * 32_768).astype(np.float32) / 32_768
    assert 1 - between(SOUND, rounded) ** 2 < 1e-6  # −40 dBFS, 58 dB above the noise of rounding


def test_other_sounds_lie_elsewhere():
    others = RNG.standard_normal((50, 32_000)).astype(np.float32)
    assert max(between(SOUND, other) for other in others) < 0.9
    assert between(SOUND, np.roll(SOUND, 1)) < 0.9  # the same, elsewhere in time


@pytest.mark.parametrize(
    "channel",
    [np.zeros(8_000), np.full(8_000, 0.3), SOUND[: BLOCK - 1], np.full(8_000, np.nan),
     np.full(8_000, np.inf)],
)  # fmt: skip
def test_what_has_none(channel):
    assert sketch_of(np.asarray(channel, np.float32)) == ()
