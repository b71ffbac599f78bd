"""BEATs' front end: the official numbers, and what of a clip is heard."""

import numpy as np
import pytest

from conftest import DATA
from nearfar.embedder.beats.features import features, frames_of, heard
from nearfar.sound.audio import read
from nearfar.sound.fbank import fbank, n_frames, povey, window
from nearfar.testing import noise


def test_it_is_the_official_log_mel():
    with np.load(DATA / "beats" / "tiny" / "wav6s.npz") as file:
        want = file["fbank"]
    have = features(read(DATA / "eat" / "wav" / "wav6s.wav")[0])
    assert have.shape == want.shape
    # What the official float32 itself is from the exact value in a quiet band beside a loud one.
    assert np.abs(have - want).max() <= 2e-5
    assert np.abs(have - want).mean() <= 1e-6


def test_the_window_is_kaldis_own():
    n = np.arange(400)
    want = (0.5 - 0.5 * np.cos(2 * np.pi * n / 399)) ** 0.85
    assert np.abs(povey() - want).max() <= 1e-7
    assert povey()[0] == povey()[-1] == 0
    assert not povey().flags.writeable


@pytest.mark.parametrize("samples", [2_800, 5_000, 16_000, 160_000, 159_999])
def test_whole_patches_are_heard_and_no_frame_more_is_computed(samples):
    x = noise(1, 10.0)[0, :samples]
    assert frames_of(samples) == n_frames(samples) // 16 * 16
    assert np.array_equal(heard(x), features(x)[: frames_of(samples)])


def test_exact_is_the_same_but_for_rounding_and_the_first_is_untouched():
    x = noise(1, 1.0)[0]
    assert np.abs(fbank(x, exact=True) - fbank(x)).max() <= 1e-3
    assert np.array_equal(fbank(x), fbank(x, shape=window()))
