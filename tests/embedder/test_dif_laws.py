"""What the features must keep, whatever the sound: gains, swaps, theory of simple signals."""

import numpy as np
import pytest

from dif_sounds import EVERYTHING, INDEX, N0, N1, RATE, SOUNDS, SPREAD, clicks, noise, pair, tone
from nearfar.embedder.dif import CANDIDATES, DIF, NAMES, TABLE


@pytest.mark.parametrize("sound", SOUNDS)
def test_no_feature_knows_the_gain(sound):
    audio = SOUNDS[sound]
    want, gains = DIF()([audio])[0], (1e-3, 0.03, 0.7, 3.0, 10.0)
    spread_120 = SPREAD[:120]
    for gain in gains:
        error = np.abs(DIF()([audio * np.float32(gain)])[0] - want) / spread_120
        # Rounding every sample anew is noise 150 dB down; beside silence or a pure tone it shows.
        limit = {"tone": 2e-2, "clicks": 2e-2, "click on an offset": np.inf}.get(sound, 1e-3)
        assert error.max() < limit, (gain, NAMES[error.argmax()])


@pytest.mark.parametrize("sound", ["noise", "tone", "clicks", "click on an offset"])
def test_powers_of_two_change_no_bit(sound):
    audio = SOUNDS[sound]
    for power in (-40, -10, 4, 20):
        louder = audio * np.float32(2.0**power)
        assert DIF()([louder]).tobytes() == DIF()([audio]).tobytes()


def test_the_excluded_features_move_with_the_level():
    audio = SOUNDS["correlated noise"]
    change = (EVERYTHING([audio * np.float32(0.1)]) - EVERYTHING([audio]))[0]
    for feature in TABLE[120:]:
        moved = change[INDEX[feature.name]]
        if feature.unit == "dB re full scale":
            assert moved == pytest.approx(-20, abs=1e-3)
    assert change[INDEX["mfcc_mean_0"]] == pytest.approx(-20 * np.sqrt(40), abs=1e-2)


def test_offsets_of_the_microphones_do_not_matter():
    audio = SOUNDS["correlated noise"]
    offset = audio + np.array([[0.5], [-0.125]], np.float32)
    error = np.abs(EVERYTHING([offset]) - EVERYTHING([audio]))[0] / SPREAD
    # Rounding at 0.5 is 3e-8; the deepest bins of a frame, where contrast looks, hear it most.
    assert error.max() < 5e-3


def stereo_values(audio):
    return {
        name: value
        for name, value, far in zip(
            CANDIDATES, EVERYTHING([audio])[0].tolist(), EVERYTHING.stereo, strict=True
        )
        if far
    }


def identical_values():
    """What theory says of two equal channels."""
    zero = ("rms_ratio", "centroid_difference", "hf_ratio_difference", "log_ratio_std", "lr_level",
            "mfcc_difference")  # fmt: skip
    values = {name: 0.0 for name in NAMES if name.startswith(zero)}
    values |= {name: 1.0 for name in NAMES if name.startswith("coherence")}
    return values | {"lr_correlation": 1.0, "log_energy_correlation": 1.0, "mid_side_ratio": 80.0}


def test_identical_channels():
    got = stereo_values(SOUNDS["identical"])
    want = identical_values()
    assert set(got) - set(want) == {"far_rms_level"}
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=2e-5), name


def test_opposite_channels_differ_from_identical_ones_in_two_features_only():
    got, want = stereo_values(SOUNDS["opposite"]), stereo_values(SOUNDS["identical"])
    assert got.pop("lr_correlation") == pytest.approx(-want.pop("lr_correlation"))
    assert got.pop("mid_side_ratio") == pytest.approx(-want.pop("mid_side_ratio"))
    assert got == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("decibels", [-20, -6, 12])
def test_an_attenuated_copy_is_only_a_level(decibels):
    far = 10 ** (decibels / 20) * N0
    got = stereo_values(pair(N0, far))
    for name, value in identical_values().items():
        if name.startswith(("rms_ratio", "lr_level")):
            assert got[name] == pytest.approx(-decibels, abs=1e-3), name
        elif name not in ("mid_side_ratio", "log_ratio_std"):
            assert got[name] == pytest.approx(value, abs=2e-3), name
    a = 10 ** (decibels / 20)
    assert got["mid_side_ratio"] == pytest.approx(20 * np.log10(abs((1 + a) / (1 - a))), abs=1e-3)


def swapped_signs():
    odd = ("rms_ratio", "centroid_difference", "hf_ratio_difference", "lr_level", "mfcc_difference")
    return {n: -1 if n.startswith(odd) else 1 for n, far in zip(NAMES, DIF().stereo) if far}  # noqa: B905


@pytest.mark.parametrize("sound", ["noise", "correlated noise", "clicks in noise", "brown noise"])
def test_swapping_the_channels_turns_the_sign_of_differences(sound):
    got, swapped = stereo_values(SOUNDS[sound]), stereo_values(SOUNDS[sound][::-1])
    for name, sign in swapped_signs().items():
        error = abs(swapped[name] - sign * got[name]) / SPREAD[INDEX[name]]
        # The floor is tied to the near channel: -80 dB of one, then of the other.
        assert error < 1e-2, name


def test_polarity_of_the_pair_does_not_matter():
    audio = SOUNDS["clicks in noise"]
    np.testing.assert_allclose(DIF()([-audio]), DIF()([audio]), rtol=1e-6, atol=1e-6)


def test_coherence_of_independent_noises_is_one_over_the_number_of_frames():
    audio = noise(10.0, seed=3).astype(np.float32)
    got = stereo_values(audio)
    msc = np.mean([got[name] for name in NAMES if name.startswith("coherence")])
    # Welch: variance of the cross spectrum of overlapping Hann frames (Harris 1978, Eq. 22).
    window = np.sin(np.pi * np.arange(400) / 400) ** 2
    lags = [np.sum(window[160 * k :] * window[: 400 - 160 * k]) / np.sum(window**2) for k in (1, 2)]
    effective = 1001 / (1 + 2 * np.sum(np.square(lags)))
    assert msc == pytest.approx(1 / effective, rel=0.1)
    assert abs(got["lr_correlation"]) < 0.01


def test_coherence_of_a_copy_in_noise_follows_the_noise():
    x, y = noise(10.0, seed=4)
    got = stereo_values(pair(x, x + y))
    msc = [got[name] for name in NAMES if name.startswith("coherence")]
    assert np.mean(msc) == pytest.approx(0.5, abs=0.02)
    assert got["lr_correlation"] == pytest.approx(np.sqrt(0.5), abs=0.01)


def test_a_far_channel_that_is_late_is_coherent_but_not_correlated():
    x = noise(4.0, channels=1)[0]
    got = stereo_values(pair(x, 0.5 * np.roll(x, 8)))
    assert abs(got["lr_correlation"]) < 0.02
    assert min(v for n, v in got.items() if n.startswith("coherence")) > 0.95
    assert got["rms_ratio"] == pytest.approx(6.02, abs=0.01)
    assert max(abs(v) for n, v in got.items() if n.startswith("mfcc_difference")) < 0.1


def test_a_tone_is_where_it_is():
    row = EVERYTHING([pair(0.3 * tone(2_513), 0.1 * tone(1_500))])[0]
    got = dict(zip(CANDIDATES, row.tolist(), strict=True))
    assert got["centroid_mean"] == pytest.approx(2_513, abs=2)
    assert got["dominant_frequency"] == pytest.approx(2_513, abs=20)
    assert got["rolloff_mean"] == pytest.approx(2_513, abs=40)
    assert got["centroid_difference"] == pytest.approx(1_013, abs=2)
    assert got["band_ratio_2400_3200"] > -0.1
    assert got["lr_level_2400_3200"] > 40
    assert got["crest_factor"] == pytest.approx(np.sqrt(2), abs=1e-3)
    assert got["kurtosis"] == pytest.approx(1.5, abs=1e-3)
    assert got["shape_factor"] == pytest.approx(np.pi / np.sqrt(8), abs=1e-3)
    assert got["rms_level"] == pytest.approx(20 * np.log10(0.3 / np.sqrt(2)), abs=1e-2)
    assert got["peak_level"] == pytest.approx(20 * np.log10(0.3), abs=1e-2)
    assert got["band_level_2400_3200"] == pytest.approx(got["rms_level"], abs=0.2)
    assert got["flatness_mean"] < 1e-3


def test_white_noise_is_flat_and_gaussian():
    row = EVERYTHING([noise(20.0, seed=8).astype(np.float32)])[0]
    got = dict(zip(CANDIDATES, row.tolist(), strict=True))
    # The periodogram of Gaussian noise is exponential: its geometric mean is e^-γ of the mean.
    assert got["flatness_mean"] == pytest.approx(np.exp(-np.euler_gamma), abs=0.01)
    assert got["kurtosis"] == pytest.approx(3, abs=0.05)
    assert got["shape_factor"] == pytest.approx(np.sqrt(np.pi / 2), abs=0.01)
    assert got["centroid_mean"] == pytest.approx(4_000, abs=20)
    assert got["bandwidth_mean"] == pytest.approx(8_000 / np.sqrt(12), abs=20)
    for low, high in ((200, 400), (1_600, 2_400), (5_200, 6_400)):
        share = 10 * np.log10((high - low) / 8_000)
        assert got[f"band_ratio_{low}_{high}"] == pytest.approx(share, abs=0.2)


def test_a_silent_frame_counts_as_white_and_is_not_dropped():
    half = np.r_[0.3 * tone(500, 1), np.zeros(RATE)]
    got = dict(zip(CANDIDATES, EVERYTHING([pair(half, half)])[0].tolist(), strict=True))
    assert got["centroid_mean"] == pytest.approx((500 + 4_000) / 2, abs=40)
    assert got["rolloff_mean"] == pytest.approx((500 + 6_800) / 2, abs=80)
    assert got["flatness_mean"] == pytest.approx(0.5, abs=0.02)


def test_clicks_are_impulsive():
    for n in (1, 3):
        x = clicks(at=tuple(1_000 + 9_000 * k for k in range(n)))
        got = dict(zip(CANDIDATES, EVERYTHING([pair(x, N1)])[0].tolist(), strict=True))
        assert got["kurtosis"] == pytest.approx(32_000 / n, rel=1e-3)
        assert got["crest_factor"] == pytest.approx(np.sqrt(32_000 / n), rel=1e-3)
