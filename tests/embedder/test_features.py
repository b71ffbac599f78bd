"""EAT's front end: lengths, padding and what it does not hear."""

import numpy as np
import pytest

from conftest import refused
from nearfar.embedder.eat.features import (
    MAX_FRAMES,
    MEAN,
    PADDING,
    SD,
    check_frames,
    features,
    frames_of,
)
from nearfar.errors import AudioError, NearfarWarning, SettingError
from nearfar.testing import noise

FRAME, HOP = 400, 160  # samples: 25 ms, 10 ms


def sound(frames, seed=0):
    """(samples,): exactly so many frames, and not one more."""
    return noise(1, (FRAME + (frames - 1) * HOP) / 16_000, seed=seed)[0]


@pytest.mark.parametrize(
    ("own", "rounded"), [(1, 16), (15, 16), (16, 16), (17, 32), (32, 32), (33, 48)]
)
def test_frames_are_rounded_up_to_whole_patches(own, rounded):
    clip = sound(own)
    assert frames_of(len(clip)) == rounded
    mel = features(clip)
    assert mel.shape == (rounded, 128)
    assert mel.dtype == np.float32
    real = np.abs(mel - PADDING).max(axis=1) > 1e-3
    assert real.tolist() == [True] * own + [False] * (rounded - own)


def test_padding_is_a_zero_of_the_log_mel_normalised_like_any_other():
    """The published feature extraction pads first; its constants are AudioSet's."""
    padded = features(sound(20), frames=64)
    assert np.allclose(padded[20:], (0 + 4.268) / (2 * 4.569), atol=1e-6)
    assert (MEAN, SD) == (-4.268, 4.569)
    assert np.isclose(PADDING, 0.4670606, atol=1e-6)


def test_padding_changes_no_frame_of_the_clip():
    clip = sound(20)
    assert np.array_equal(features(clip, frames=64)[:20], features(clip)[:20])


def test_a_longer_clip_is_cut_with_a_warning():
    """The mean that goes first is still the whole clip's, as published."""
    clip = sound(40)
    clip[5600:] += 1  # behind the cut
    with pytest.warns(NearfarWarning, match=r"longer than 32 frames \(0\.3 s\) are cut"):
        cut = features(clip, frames=32)
    assert cut.shape == (32, 128)
    assert np.allclose(cut, features(clip)[:32], atol=1e-5)


def test_a_constant_added_to_the_sound_is_not_heard():
    """Exact: so few bits are used that adding and taking away the mean round nothing."""
    half = np.random.default_rng(0).integers(-512, 512, 8_000)
    clip = (np.concatenate([half, -half]) / 4096).astype(np.float32)  # mean 0
    assert np.array_equal(features(clip), features(clip + np.float32(0.25)))


def test_twice_as_loud_is_the_same_step_everywhere():
    """log 4, divided by 2 · SD; normalising depends on no clip. Low bands may lie at the floor."""
    clip = 0.1 * sound(32)
    step = features(2 * clip) - features(clip)
    assert np.allclose(step[:, 40:], np.log(4) / (2 * SD), atol=1e-3)


def test_the_sound_given_is_not_changed():
    clip = sound(17) + np.float32(0.1)
    before = clip.copy()
    features(clip)
    assert np.array_equal(clip, before)


@pytest.mark.parametrize("frames", [0, -16, 8, 1000, MAX_FRAMES + 16, 1024.0, "1024"])
def test_frames_that_the_encoder_cannot_read(frames):
    refused(lambda: check_frames(frames), repr(frames), "multiple of 16", error=SettingError)


def test_frames_that_it_can():
    for frames in (None, 16, 1024, MAX_FRAMES):
        check_frames(frames)


def test_clips_too_short_too_long_or_of_two_channels():
    refused(lambda: features(noise(2, 1.0)), "one channel", error=AudioError)
    refused(lambda: frames_of(FRAME - 1), "399 samples", "400", error=AudioError)
    longest = FRAME + (MAX_FRAMES - 1) * HOP + HOP - 1
    assert frames_of(longest) == MAX_FRAMES
    refused(lambda: frames_of(longest + 1), "12289 frames", "cut the clip", error=AudioError)
    assert frames_of(longest + 1, MAX_FRAMES) == MAX_FRAMES
