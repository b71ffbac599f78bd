"""Residual rows (report Eq. 2) against the long way: mix the audio, compute the features anew."""

import numpy as np
import pytest

from conftest import SHARED
from nearfar.embedder.dif import CANDIDATES, DIF, NAMES
from nearfar.errors import AudioError, SettingError

STEREO = DIF().stereo
S = np.random.default_rng(1).uniform(0.5, 1.5, size=24)


def noise(seconds=2.0, seed=0):
    samples = round(16_000 * seconds)
    return 0.05 * np.random.default_rng(seed).standard_normal((2, samples))


def machine(seed, far_gain=0.3, delay=25):
    """Coloured, pulsing sound that reaches the far microphone late, filtered and with noise."""
    x, y = noise(seed=seed)
    near = (x + np.roll(x, 3)) * (1 + np.sin(np.arange(len(x)) / 2_500))
    far = far_gain * np.roll(near, delay) + 0.2 * (y - 0.7 * np.roll(y, 1))
    return np.stack([near, far]).astype(np.float32)


def mixed(audio, s, level=1.0):
    """Eq. 2 in float64, rounded once."""
    near, far = audio.astype(np.float64)
    return np.stack([near, (1 - s) * level * near + s * far]).astype(np.float32)


def spread(clips):
    return DIF()(clips).astype(np.float64).std(axis=0)


def largest_error(audio, s, unit, embedder=None):
    part = embedder or DIF()
    rows, want = part.residuals(audio, s), part([mixed(audio, v) for v in s])
    return np.max(np.abs(rows - want)[:, part.stereo] / unit[part.stereo])


def test_rows_equal_recomputing_from_audio():
    clips = [machine(seed, far_gain=0.1 + 0.1 * seed, delay=seed) for seed in range(6)]
    unit = spread(clips)
    for audio in clips:
        # Float32 sums in another order, as another processor has it, differ by some 1e-4 of a
        # spread; a wrong term by whole spreads.
        assert largest_error(audio, S, unit) < 1e-3


def test_rows_equal_recomputing_where_frames_are_silent():
    unit = spread([machine(seed) for seed in range(6)])
    for channels in ([0, 1], [1], [0]):
        audio = machine(0)
        audio[channels, 9_000:20_000] = 0
        assert largest_error(audio, np.r_[S, -1, 3], unit) < 2e-3


def test_rows_equal_recomputing_from_real_recordings():
    import soundfile

    folders = sorted((SHARED / "real").glob("*/train"))
    if not folders:
        pytest.skip("no shared/real beside the checkout")
    for folder in folders:
        paths = sorted(folder.glob("*.flac"))[::3]
        clips = [soundfile.read(path, dtype="float32")[0].T for path in paths]
        unit = spread(clips)  # within one machine, the smallest that is of use
        for audio in clips[:2]:
            assert largest_error(audio, S[:6], unit) < 2e-4, folder


@pytest.mark.parametrize("seed", range(3))
def test_an_s_of_one_is_the_clip_itself(seed):
    audio = machine(seed)
    everything = DIF(names=CANDIDATES)
    assert everything.residuals(audio, [1.0]).tobytes() == everything([audio]).tobytes()


def test_an_s_of_zero_has_identical_channels():
    audio = machine(0)
    row, want = DIF().residuals(audio, [0.0])[0], DIF()([audio[[0, 0]]])[0]
    np.testing.assert_allclose(row, want, rtol=1e-6, atol=2e-5)
    assert row[NAMES.index("lr_correlation")] == pytest.approx(1)
    assert row[NAMES.index("mid_side_ratio")] == pytest.approx(80)


def test_near_features_are_those_of_the_clip():
    audio = machine(3)
    rows, own = DIF().residuals(audio, S), DIF()([audio])[0]
    for row in rows:
        assert row[~STEREO].tobytes() == own[~STEREO].tobytes()


def test_a_row_does_not_depend_on_the_rows_beside_it():
    audio = machine(4)
    together = DIF().residuals(audio, S)
    assert together.dtype == np.float32
    assert together.shape == (24, 120)
    alone = np.concatenate([DIF().residuals(audio, [s]) for s in S])
    assert together.tobytes() == alone.tobytes()
    np.testing.assert_array_equal(DIF().residuals(audio, S[::-1]), together[::-1])
    assert DIF().residuals(audio, []).shape == (0, 120)


def test_level_mixes_a_scaled_near_channel():
    audio = machine(5)
    unit = spread([machine(seed) for seed in range(6)])
    for level in (0.05, 0.3, 2.0):
        rows = DIF().residuals(audio, S[:8], level=level)
        want = DIF()([mixed(audio, s, level) for s in S[:8]])
        assert (np.abs(rows - want)[:, STEREO] / unit[STEREO]).max() < 1e-3
    np.testing.assert_array_equal(DIF().residuals(audio, S, level=1.0), DIF().residuals(audio, S))


@pytest.mark.parametrize("s", [0.5, 1.25, 1.5])
@pytest.mark.parametrize(("decibels", "limit"), [(-20, 5e-2), (-40, 2.5)])
def test_a_far_channel_that_almost_cancels(s, decibels, limit):
    # (1 − s) + s·g = 0: what is left of R is the noise alone, 20 or 40 dB down. Powers cancel to
    # the same digits, and float32 has seven: the price of a row without an FFT.
    g = (s - 1) / s
    near, rest = noise(seed=7)
    audio = np.stack([near, g * near + 10 ** (decibels / 20) * rest]).astype(np.float32)
    unit = spread([machine(seed) for seed in range(6)])
    assert largest_error(audio, np.array([s]), unit) < limit


def test_total_cancellation_is_finite_and_at_the_floor():
    near = noise(seed=8)[0]
    row = DIF().residuals(np.stack([near, 0.2 * near]).astype(np.float32), [1.25])[0]
    assert np.isfinite(row).all()
    assert row[NAMES.index("rms_ratio")] > 75
    assert abs(row[NAMES.index("mid_side_ratio")]) < 1e-2


def test_a_subset_of_names_gives_the_same_columns():
    audio = machine(2)
    names = ("coherence_200_400", "kurtosis", "rms_ratio", "mfcc_difference_3")
    want = DIF().residuals(audio, S)[:, [NAMES.index(name) for name in names]]
    np.testing.assert_array_equal(DIF(names=names).residuals(audio, S), want)


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(SettingError, match="both must be finite"):
        DIF().residuals(machine(0), [1.0, np.nan])
    with pytest.raises(SettingError, match="both must be finite"):
        DIF().residuals(machine(0), [1.0], level=np.inf)
    with pytest.raises(AudioError, match="shape"):
        DIF().residuals(machine(0)[0], [1.0])
