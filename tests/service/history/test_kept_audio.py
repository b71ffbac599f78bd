"""Sound beside the history: as the policy says, whole or not at all, never more than the limit."""

import os

import numpy as np
import pytest
import soundfile

from conftest import RATE, machine_sound, write
from made_history import seen
from nearfar.service.history.kept_audio import KeptAudio, audio_folder
from tiny_disk import tiny_disk  # noqa: F401


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / "in" / "a.WAV", machine_sound(np.random.default_rng(0)))


def kept(tmp_path, policy="all", most=10_000_000):
    return KeptAudio(tmp_path / "plant.db-audio", policy, most)


def names(audio):
    return sorted(path.name for path in audio.folder.iterdir())


@pytest.mark.parametrize(("policy", "count"), [("all", 2), ("alarms", 1), ("none", 0)])
def test_the_policy_says_what_is_kept(tmp_path, clip, policy, count):
    audio = kept(tmp_path, policy)
    audio.take(seen(1), clip, alarmed=False)
    audio.take(seen(2), clip, alarmed=True)
    assert audio.trouble == ""
    assert sum(audio.path(seen(i).digest) is not None for i in (1, 2)) == count
    assert audio.folder.exists() == (policy != "none")


def test_a_file_is_copied_as_it_is_and_a_stream_as_flac(tmp_path, clip):
    audio = kept(tmp_path)
    audio.take(seen(1), clip, alarmed=True)
    copy = audio.path(seen(1).digest)
    assert copy.name == f"{seen(1).digest}.wav"
    assert copy.read_bytes() == clip.read_bytes()
    sound = machine_sound(np.random.default_rng(1))
    audio.take(seen(2), (sound, RATE), alarmed=True)
    back, rate = soundfile.read(audio.path(seen(2).digest), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(back.T, sound, atol=2**-23)
    assert audio.path("gone") is None
    assert audio.path("*") is None
    assert audio.path("../in/a") is None


def test_the_oldest_makes_room(tmp_path, clip):
    size = clip.stat().st_size
    audio = kept(tmp_path, most=3 * size)
    for i in range(5):
        audio.take(seen(i), clip, alarmed=True)
    assert [audio.path(seen(i).digest) is not None for i in range(5)] == [False] * 2 + [True] * 3
    for i in range(5):
        if path := audio.path(seen(i).digest):
            os.utime(path, ns=(i, i))
    # One that begins anew knows what is there, and which is the oldest.
    again = kept(tmp_path, most=3 * size)
    again.take(seen(4), clip, alarmed=True)  # there already
    again.take(seen(9), clip, alarmed=True)
    assert names(again) == sorted(f"{seen(i).digest}.wav" for i in (3, 4, 9))
    small = KeptAudio(tmp_path / "small", "all", most=size - 1)
    small.take(seen(1), clip, alarmed=True)
    assert "not kept" in small.trouble
    assert names(small) == []


def test_what_was_pruned_goes_and_halves_are_swept(tmp_path, clip):
    audio = kept(tmp_path)
    for i in range(3):
        audio.take(seen(i), clip, alarmed=True)
    half = audio.folder / f".{seen(7).digest[:40]}.0123abcd.nearfar"
    half.write_bytes(b"RIFF")
    mine = audio.folder / "notes"
    mine.write_text("mine")
    again = kept(tmp_path)
    again.forget([seen(0).digest, seen(2).digest, seen(8).digest])
    assert names(again) == sorted([f"{seen(1).digest}.wav", "notes"])


def test_what_cannot_be_kept_is_told_and_raises_nothing(tmp_path, clip):
    audio = kept(tmp_path)
    audio.take(seen(1), tmp_path / "gone.wav", alarmed=True)
    assert "No such file" in audio.trouble
    assert seen(1).name in audio.trouble
    audio.take(seen(2), clip, alarmed=True)
    assert audio.trouble == ""
    taken = tmp_path / "taken"
    taken.write_text("a file")
    other = KeptAudio(taken, "all", 10_000_000)
    other.take(seen(1), clip, alarmed=True)
    other.forget([seen(1).digest])
    assert str(taken) in other.trouble
    assert "\n" not in other.trouble


def test_a_folder_that_was_removed_is_made_again(tmp_path, clip):
    audio = kept(tmp_path)
    audio.take(seen(1), clip, alarmed=True)
    audio.path(seen(1).digest).unlink()
    audio.folder.rmdir()
    audio.take(seen(2), clip, alarmed=True)
    assert names(audio) == [f"{seen(2).digest}.wav"]
    assert audio_folder(tmp_path / "plant.db") == audio.folder


@pytest.mark.slow
def test_a_full_disk_leaves_no_half(tiny_disk, tmp_path, clip):  # noqa: F811
    audio = KeptAudio(tiny_disk / "audio", "all", 10**9)
    sound = machine_sound(np.random.default_rng(1), seconds=20)
    for i in range(60):
        audio.take(seen(i), clip if i % 2 else (sound, RATE), alarmed=True)
    assert "No space left" in audio.trouble
    for name in names(audio):
        soundfile.read(audio.folder / name)
    assert not [name for name in names(audio) if name.startswith(".")]
