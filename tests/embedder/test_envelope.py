"""ENV: against a slow reference, and what theory says of sounds whose loudness is known."""

import numpy as np
import pytest

import reference_env
from conftest import refused
from dif_sounds import N0, RATE, SOUNDS, noise, pair, tone
from nearfar.embedder.dif.analysis import measure
from nearfar.embedder.envelope import BESIDE, ENV, RATES, TABLE, band_filters
from nearfar.errors import AudioError

NAMES = [feature.name for feature in TABLE]
# A pure tone leaves most bands to the rounding of the FFT, an offset to that of its samples.
ROUNDED = {"tone", "clicks", "click on an offset", "tones in noise"}


def row(near):
    return ENV()([np.asarray(near, np.float32).reshape(1, -1)])[0]


def named(near):
    return dict(zip(NAMES, row(near).tolist(), strict=True))


def family(near, stem):
    return np.array([v for n, v in named(near).items() if n.startswith(f"{stem}_")])


@pytest.mark.parametrize("sound", SOUNDS)
def test_every_number_equals_the_slow_reference(sound):
    near = SOUNDS[sound][0]
    error = np.abs(row(near) - reference_env.env(near))
    limit = 0.5 if sound in ROUNDED else 5e-3  # dB
    assert error.max() < limit, NAMES[error.argmax()]


@pytest.mark.parametrize("seconds", [0.5, 0.83, 3.0, 10.0, 12.0])
def test_of_any_length(seconds):
    near = noise(seconds, seed=3)[0]
    np.testing.assert_allclose(row(near), reference_env.env(near.astype(np.float32)), atol=5e-3)


@pytest.mark.parametrize("gain", [1e-3, 0.03, 0.7, 3.0, 10.0])
def test_no_number_knows_the_gain(gain):
    near = SOUNDS["clicks in noise"][0]
    np.testing.assert_allclose(row(near * np.float32(gain)), row(near), atol=5e-3)


def test_powers_of_two_change_no_bit():
    near = SOUNDS["brown noise"][0]
    for power in (-40, -10, 4, 20):
        assert row(near * np.float32(2.0**power)).tobytes() == row(near).tobytes()


def test_offsets_of_the_microphone_do_not_matter():
    near = SOUNDS["brown noise"][0]
    np.testing.assert_allclose(row(near + np.float32(0.25)), row(near), atol=5e-2)


def test_a_sound_that_is_steady_has_no_beat():
    """A tone that fits the hop is the same in every frame: a = 0, of Gauss's kurtosis 3."""
    hz = 1_000
    near = 0.5 * tone(hz, 3.0)
    got = named(near)
    band = next(f.name for f in TABLE if f.family == "slow_beat" and _holds(f.name, hz))
    at = band.removeprefix("slow_beat")
    assert got[f"slow_beat{at}"] == pytest.approx(-60, abs=1e-3)  # 1e-6
    assert got[f"loudness_swing{at}"] == pytest.approx(-90, abs=0.1)  # 1e-9
    assert got[f"burst_rarity{at}"] == pytest.approx(10 * np.log(3), abs=0.1)
    assert got[f"beat_clarity{at}"] == pytest.approx(0, abs=1e-3)
    assert got[f"burst_height{at}"] == pytest.approx(0, abs=1e-3)


def _holds(name, hz):
    low, high = map(int, name.rsplit("_", 2)[1:])
    return low <= hz < high


@pytest.mark.parametrize(("rate", "heard"), [(1.0, "slow"), (5.0, "middle"), (20.0, "fast")])
def test_a_beat_is_heard_where_its_rate_is(rate, heard):
    """Of noise with loudness 1 + m·sin, S at the rate is T·m²/16: a Hann window's sum is T/2."""
    seconds, m = 8.0, 0.6
    t = np.arange(round(seconds * RATE)) / RATE
    near = noise(seconds, seed=7)[0] * (1 + m * np.sin(2 * np.pi * rate * t))
    ranges = {name: family(near, f"{name}_beat") for name in ("slow", "middle", "fast")}
    others = [v for name, v in ranges.items() if name != heard]
    assert (ranges[heard] > np.max(others, axis=0)).all()
    want = 10 * np.log10((100 * seconds - 3) * m**2 / 16)
    # The frame of 25 ms smooths what is fast; bands of few bins have noise of their own.
    assert np.median(ranges[heard]) == pytest.approx(want, abs=1.0 if rate < 11 else 3.0)
    assert (family(near, "beat_clarity") > family(noise(seconds, seed=7)[0], "beat_clarity")).all()


def test_a_burst_is_rare_and_high():
    """One frame in many k times as loud: max a is k − 1 nearly, and the kurtosis the number."""
    near = 0.01 * noise(10.0, seed=8)[0]
    near[80_000:80_400] *= 40
    still = 0.01 * noise(10.0, seed=8)[0]
    assert (family(near, "burst_height") > family(still, "burst_height") + 5).all()
    assert (family(near, "burst_rarity") > family(still, "burst_rarity") + 10).all()


def test_ranges_of_rates_are_equal_on_a_logarithmic_scale():
    """About: 0.6 to 50 Hz in three."""
    steps = np.diff(np.log(RATES))
    np.testing.assert_allclose(steps, steps.mean(), rtol=2e-3)


def test_frames_are_those_that_lie_in_the_clip():
    """A click in the padding's mirror alone would be heard by the frames that are left out."""
    audio = pair(N0, N0)
    bands = measure(audio, near_filters=band_filters()).near_bands
    changed = audio.copy()
    changed[:, :100] *= 0.5  # seen by the first frames only: those at 0, 160 and perhaps 320
    other = measure(changed, near_filters=band_filters()).near_bands
    # Another mean and ε, a millionth: what is near the edge has changed by far more.
    moved = np.abs(np.log(other / bands)).max(axis=0) > 0.01
    assert set(np.flatnonzero(moved)) <= set(range(BESIDE))


def test_a_pass_for_others_changes_no_bit_of_dif():
    audio = SOUNDS["brown noise"]
    alone, shared = measure(audio), measure(audio, near_filters=band_filters())
    assert alone.near_bands is None
    for one, other in ((alone.near, shared.near), (alone.far, shared.far)):
        assert one.sums.tobytes() == other.sums.tobytes()
        assert one.mean_power.tobytes() == other.mean_power.tobytes()
    assert alone.cross_power.tobytes() == shared.cross_power.tobytes()


def test_too_short_is_one_line():
    refused(lambda: row(noise(0.499)[0]), "0.5 s", error=AudioError)
    refused(lambda: row(np.zeros(RATE)), "near channel", error=AudioError)
    assert np.isfinite(row(noise(0.5)[0])).all()


def test_seven_numbers_of_sixteen_bands():
    assert len(TABLE) == len(set(NAMES)) == 112
    assert {f.family: sum(g.family == f.family for g in TABLE) for f in TABLE} == dict.fromkeys(
        ("beat_clarity", "burst_rarity", "burst_height", "loudness_swing", "slow_beat",
         "middle_beat", "fast_beat"), 16)  # fmt: skip
    assert {f.channel for f in TABLE} == {"near"}
    assert {f.unit for f in TABLE} == {"dB"}
