"""LTAS: against a slow reference, gains, and spectra that are known."""

import numpy as np
import pytest

import reference_env
from conftest import refused
from dif_sounds import RATE, SOUNDS, noise, tone
from nearfar.embedder.ltas import LTAS, TABLE
from nearfar.errors import AudioError

BANDS = [tuple(map(int, f.name.rsplit("_", 2)[1:])) for f in TABLE]


def row(near):
    return LTAS()([np.asarray(near, np.float32).reshape(1, -1)])[0]


@pytest.mark.parametrize("sound", SOUNDS)
def test_every_number_equals_the_slow_reference(sound):
    near = SOUNDS[sound][0]
    limit = 0.05 if sound in ("tone", "click on an offset") else 2e-3  # dB; rounding at the floor
    assert np.abs(row(near) - reference_env.ltas(near)).max() < limit


@pytest.mark.parametrize("gain", [1e-3, 0.03, 0.7, 3.0, 10.0])
def test_no_number_knows_the_gain(gain):
    near = SOUNDS["clicks in noise"][0]
    np.testing.assert_allclose(row(near * np.float32(gain)), row(near), atol=2e-3)


def test_powers_of_two_change_no_bit():
    near = SOUNDS["brown noise"][0]
    for power in (-40, 4, 20):
        assert row(near * np.float32(2.0**power)).tobytes() == row(near).tobytes()


def test_the_numbers_sum_to_nothing():
    for audio in SOUNDS.values():
        assert abs(row(audio[0]).mean()) < 1e-4


def test_white_noise_has_no_colour():
    assert np.abs(row(noise(60.0, seed=2)[0])).max() < 0.7  # bands of one bin or two vary most


@pytest.mark.parametrize("hz", [300, 1_000, 3_000, 7_000])
def test_a_tone_is_in_its_band(hz):
    low, high = BANDS[int(np.argmax(row(tone(hz) + 1e-3 * noise(2.0)[0])))]
    assert low <= hz <= high


def test_loud_moments_count_by_the_square_of_their_power():
    """High noise k times as strong in a tenth of the time: √⟨P²⟩ is k²·√0.1 of a steady one's."""
    n = 40 * RATE
    low, high = tone(500, 40.0), noise(40.0, seed=3)[0]
    k = np.where(np.arange(n) % RATE < RATE // 10, 3.0, 0.0)
    steady, burst = row(low + high), row(low + k * high)
    # Far from the tone, against each other: both rows lose their own mean.
    top = [i for i, (f, _) in enumerate(BANDS) if f > 4_000]
    bottom = int(np.argmax(steady))
    rose = (burst[top] - burst[bottom]).mean() - (steady[top] - steady[bottom]).mean()
    # The square of a steady noise's power has a mean of its own, 1 + 1/bins: the same for both.
    assert rose == pytest.approx(10 * np.log10(9 * np.sqrt(0.1)), abs=0.7)


def test_refusals_are_one_line():
    refused(lambda: row(np.zeros(RATE)), "needs a sound", error=AudioError)
    refused(lambda: row(noise(0.05)[0]), "1024 samples", error=AudioError)
    broken = noise(1.0)[0]
    broken[7] = np.nan
    refused(lambda: row(broken), "finite", error=AudioError)


def test_sixty_four_bands_without_a_gap():
    assert len(TABLE) == 64
    assert BANDS[0][0] == 0
    assert BANDS[-1][1] == 8_000
    assert [low for low, _ in BANDS[1:]] == [high for _, high in BANDS[:-1]]
