"""The recording of a normal clip is found by its name and taken by its sound alone."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from conftest import refused, write
from nearfar.detector.explanation.recordings import find, normals_of, span_of
from nearfar.detector.section import TrainingClip
from nearfar.errors import DatasetError, SettingError
from nearfar.sound.audio import digest_of


def noise(seed, channels=2, samples=17_000):
    return (0.1 * np.random.default_rng(seed).standard_normal((channels, samples))).astype("f4")


def known(clip, channels=2):
    """As a detector that was fitted on a clip knows it."""
    return TrainingClip(clip.name, digest_of(clip.read()[:channels]))


@pytest.fixture
def data(tmp_path):
    for n in range(3):
        write(tmp_path / f"set/pump/train/{n}.wav", noise(n))
    write(tmp_path / "set/pump/test/new.wav", noise(9))
    return tmp_path / "set"


def clip_of(path):
    return nf.Clip(Path(path), machine="pump")


def test_it_is_found_beside_the_clip(data):
    wanted, asked = clip_of(data / "pump/train/1.wav"), clip_of(data / "pump/test/new.wav")
    found = find(known(wanted), asked, (), "near-far")
    assert found.clip.path == wanted.path
    np.testing.assert_array_equal(found.audio, wanted.read())


def test_what_sounds_otherwise_is_not_taken(data):
    wanted, asked = clip_of(data / "pump/train/1.wav"), clip_of(data / "pump/test/new.wav")
    was = known(wanted)
    audio, rate = soundfile.read(wanted.path, dtype="int16")
    audio[0, 0] += 1  # one sample, by one step
    soundfile.write(wanted.path, audio, rate)
    assert find(was, asked, (), "near-far") is None
    # Where a person says that they are it is no other.
    assert find(was, asked, normals_of(data / "pump/train"), "near-far") is None


def test_a_damaged_or_missing_file_is_none(data):
    wanted, asked = clip_of(data / "pump/train/1.wav"), clip_of(data / "pump/test/new.wav")
    was = known(wanted)
    wanted.path.write_bytes(b"RIFF")
    assert find(was, asked, (), "near-far") is None
    wanted.path.unlink()
    assert find(was, asked, (), "near-far") is None


def test_it_is_found_where_a_person_says(data, tmp_path):
    wanted = clip_of(data / "pump/train/1.wav")
    was, moved = known(wanted), tmp_path / "elsewhere" / "old"
    shutil.copytree(data / "pump/train", moved)
    asked = clip_of(write(tmp_path / "far/off/a/b/c/new.wav", noise(5)))
    shutil.rmtree(data)
    assert find(was, asked, (), "near-far") is None
    found = find(was, asked, normals_of(moved), "near-far")
    assert found.clip.path == moved / "1.wav"
    by_clips = find(was, asked, normals_of(nf.Clips.open(moved)), "near-far")
    assert by_clips.clip.path == found.clip.path


def test_of_machines_whose_files_are_called_alike_the_right_one_is_read(tmp_path):
    name = "train/section_00_source_train_normal_0001_noAttribute.wav"
    for n, machine in enumerate(("fan", "pump", "valve")):
        write(tmp_path / machine / name, noise(n))
    given_ones = normals_of(tmp_path)
    for machine in ("fan", "pump", "valve"):
        wanted = clip_of(tmp_path / machine / name)
        asked = clip_of(tmp_path / "new.wav")
        assert find(known(wanted), asked, given_ones, "near-far").clip.path == wanted.path


def test_a_name_relative_to_the_working_folder_is_looked_at(data, tmp_path, monkeypatch):
    wanted = clip_of(data / "pump/train/2.wav")
    monkeypatch.chdir(data)
    asked = clip_of(tmp_path.anchor + "nowhere/new.wav")
    assert os.path.samefile(find(known(wanted), asked, (), "near-far").clip.path, wanted.path)


def test_a_part_of_a_long_recording_is_that_part(tmp_path):
    write(tmp_path / "long.wav", noise(3, samples=72_000))
    parts = nf.Clips.open(tmp_path / "long.wav", machine="pump", clip_seconds=1.5)
    asked = clip_of(tmp_path / "new.wav")
    for part in parts:
        found = find(known(part), asked, (), "near-far")
        assert (found.clip.start, found.clip.stop) == (part.start, part.stop)
        assert found.audio.shape[1] == 24_000


def test_two_files_are_found_as_one_clip(tmp_path):
    near, far = noise(1)
    write(tmp_path / "train/1_near.wav", near)
    write(tmp_path / "train/1_far.wav", far)
    (wanted,) = nf.Clips.open(tmp_path / "train", machine="pump")
    found = find(known(wanted), clip_of(tmp_path / "test/new.wav"), (), "near-far")
    assert found.clip.far == wanted.far
    assert found.audio.shape[0] == 2


@pytest.mark.parametrize("channels", [1, 2])
def test_a_system_of_one_channel_knows_that_channel_or_both(data, channels):
    wanted, asked = clip_of(data / "pump/train/0.wav"), clip_of(data / "pump/test/new.wav")
    assert find(known(wanted, channels), asked, (), "near-far") is not None


def test_channels_turned_round_are_the_same_sound_in_that_order(data):
    wanted, asked = clip_of(data / "pump/train/0.wav"), clip_of(data / "pump/test/new.wav")
    was = TrainingClip(wanted.name, digest_of(wanted.read("far-near")))
    assert find(was, asked, (), "near-far") is None
    assert find(was, asked, (), "far-near") is not None


@given(
    st.floats(0, 90_000).map(lambda s: round(s, 3)),
    st.none() | st.floats(1, 9_000).map(lambda s: round(s, 3)),
)
def test_a_span_is_read_back_as_it_was_written(start, longer):
    stop = None if longer is None else round(start + longer, 3)
    clip = nf.Clip(Path("hall/pump/a@b.wav"), start=start, stop=stop)
    base, first, last = span_of(clip.name)
    assert base == "hall/pump/a@b.wav"
    assert first == pytest.approx(start, abs=1e-6)
    assert last == (None if stop is None else pytest.approx(stop, abs=1e-6))


def test_a_place_without_recordings_is_an_error_and_none_is_none(tmp_path):
    refused(lambda: normals_of(tmp_path), str(tmp_path), error=DatasetError)
    refused(lambda: normals_of(tmp_path / "gone"), "no such", error=DatasetError)
    assert normals_of(None) == ()
    for wrong in (clip_of("a.wav"), 3, ["a.wav"]):
        refused(lambda wrong=wrong: normals_of(wrong), error=SettingError)


@pytest.mark.parametrize(
    "name", ["a.wav@1..2-3", "a.wav@:-", "a.wav@::-::", "a.wav@²-3", "a@b.wav"]
)
def test_what_only_looks_like_a_part_is_a_file_s_name(name):
    assert span_of(name) == (name, 0.0, None)


def test_normal_recordings_may_lie_in_folders_of_nobody_knows_whom(data, tmp_path):
    """Each is found by its name and its sound; whose they are said the detector."""
    shutil.copytree(data / "pump/train", tmp_path / "all/normal/week 1")
    shutil.copytree(data / "pump/test", tmp_path / "all/later")
    wanted = clip_of(data / "pump/train/0.wav")
    known = TrainingClip(wanted.name, digest_of(wanted.read()))
    elsewhere = clip_of(tmp_path / "all/later/new.wav")
    found = find(known, elsewhere, normals_of(tmp_path / "all"), "near-far")
    assert found is not None
    assert found.clip.path == tmp_path / "all/normal/week 1/0.wav"
