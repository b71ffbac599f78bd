"""From clips to log-mels on disk: known again without being opened, all errors in one."""

import os
from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import write
from finetune_sounds import EAR, write_lengths
from nearfar.clips import Clips
from nearfar.embedding.kept import stamp_of
from nearfar.errors import AudioError, NearfarError, NearfarWarning, StorageError
from nearfar.frontend import CoherenceMask, Near
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import read
from nearfar.training.examples import prepare as of_prepare
from nearfar.training.examples.mels import MelStore
from nearfar.training.examples.prepare import prepare, store_key, usable


@pytest.fixture
def clips(tmp_path):
    return Clips.open(write_lengths(tmp_path / "sounds"), split="train")


@pytest.fixture
def store(tmp_path):
    return MelStore.open(tmp_path / "cache", "key")


def prepared(clips, store, workers=1, progress=None):
    runtime = Runtime(workers=workers, progress=progress)
    return prepare(clips, Near(), EAR, runtime, "near-far", store)


def test_a_key_is_the_front_ends_settings():
    keys = [store_key(part, EAR) for part in (Near(), CoherenceMask(), CoherenceMask(floor=0.1))]
    assert len(set(keys)) == 3
    assert store_key(CoherenceMask(floor=0.1), EAR) == keys[2]
    # Neither weights nor the length that is read: those are cut of the same log-mel.
    assert store_key(Near(), nf.EAT("other", frames=64)) == keys[0]
    assert store_key(Near(), nf.BEATs("-")) not in keys


def test_a_stamp_changes_with_the_file_the_order_and_the_part(clips):
    clip = clips[0]
    stamp = stamp_of(clip, "near-far")
    assert stamp == stamp_of(clip, "near-far") != ""
    assert stamp_of(clip, "far-near") != stamp
    facts = os.stat(clip.path)
    copy = clip.path.with_suffix(".copy")
    copy.write_bytes(clip.path.read_bytes())
    os.utime(copy, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    copy.replace(clip.path)  # of one size, time and content: still not the file that was read
    assert stamp_of(clip, "near-far") != stamp
    clip.path.unlink()
    assert stamp_of(clip, "near-far") == ""


def test_room_is_asked_for_as_much_as_is_written(clips, store, monkeypatch):
    asked = []
    monkeypatch.setattr(of_prepare, "check_room", lambda folder, size: asked.append(size))
    sources = prepared(clips, store)
    assert asked == [sum(store[source.digest].nbytes for source in sources)]
    prepared(clips, store)
    assert len(asked) == 1  # nothing is missing


def test_workers_change_nothing_and_progress_ends(clips, tmp_path):
    told = []
    one = prepared(clips, MelStore.open(tmp_path / "a", "key"))
    two = prepared(
        clips, MelStore.open(tmp_path / "b", "key"), 2, lambda *what: told.append(what[1:])
    )
    assert one == two
    assert (told[0], told[-1]) == ((0, len(clips)), (len(clips), len(clips)))
    assert told == sorted(told)


@pytest.mark.parametrize("workers", [1, 2])
def test_all_clips_that_cannot_be_used_are_named_in_one_go(clips, store, workers):
    for i in (9, 4):
        write(clips[i].path, np.zeros((2, 16_000), np.float32))
    clips[6].path.write_bytes(b"no sound")
    with pytest.raises(AudioError, match=f"3 of {len(clips)} .*{clips[4].path.name}") as caught:
        prepared(clips, store, workers)
    found = caught.value.faults
    assert len(found) == 3
    for i, fault in zip((4, 6, 9), found, strict=True):
        assert clips[i].path.name in fault
        assert "skip_bad=True" in fault  # its way out, in Python's words


def test_what_listing_found_is_told_with_the_rest_before_any_clip_is_heard(
    clips, store, monkeypatch
):
    write(clips[2].path, np.zeros((2, 16_000), np.float32))
    listed = replace(clips[5], fault=f"{clips[5].name}: mp3 is not read")
    monkeypatch.setattr(of_prepare, "_run", lambda *what: pytest.fail("heard in vain"))
    both = Clips([*clips[:5], listed, *clips[6:]])
    with pytest.raises(AudioError) as caught:
        prepared(both, store)
    assert [
        name in fault
        for name, fault in zip((clips[2].name, "mp3 is not read"), caught.value.faults, strict=True)
    ] == [True, True]


def test_clips_left_out_leave_the_others_as_they_are(clips, store, tmp_path):
    whole = prepared(clips, MelStore.open(tmp_path / "whole", "key"))
    write(clips[4].path, np.zeros((2, 16_000), np.float32))
    with pytest.warns(NearfarWarning, match=f"left out: .*{clips[4].path.name}"):
        left = prepare(clips, Near(), EAR, Runtime(), "near-far", store, skip_bad=True)
    assert left == [None if i == 4 else source for i, source in enumerate(whole)]


def test_a_clip_that_listing_refuses_now_is_left_out_though_it_is_stored(clips, store):
    whole = prepared(clips, store)
    both = Clips([replace(clips[0], fault=f"{clips[0].name}: listed as broken"), *clips[1:]])
    with pytest.warns(NearfarWarning, match="listed as broken"):
        left = prepare(both, Near(), EAR, Runtime(), "near-far", store, skip_bad=True)
    assert left == [None, *whole[1:]]


def test_many_clips_are_looked_through_first_and_their_notes_are_read_once(
    clips, store, monkeypatch
):
    monkeypatch.setattr(of_prepare, "JOB", len(clips) - 1)
    monkeypatch.setattr(of_prepare, "_run", lambda *what: pytest.fail("heard in vain"))
    write(clips[4].path, np.zeros((2, 16_000), np.float32))
    write(clips[0].path, read(clips[-1].path))  # fan's and pump's
    with pytest.raises(NearfarError, match=f"3 of {len(clips)}") as caught:
        prepared(clips, store)
    places = (0, 4, len(clips) - 1)
    named = zip(places, caught.value.faults, strict=True)
    assert all(fault.startswith(clips[i].name) for i, fault in named)
    monkeypatch.undo()
    monkeypatch.setattr(of_prepare, "JOB", len(clips) - 1)
    asked, source = [], MelStore.source
    monkeypatch.setattr(
        MelStore, "source", lambda self, stamp: asked.append(stamp) or source(self, stamp)
    )
    with pytest.warns(NearfarWarning, match="left out") as told:
        left = prepare(clips, Near(), EAR, Runtime(), "near-far", store, skip_bad=True)
    assert [i for i, one in enumerate(left) if one is None] == list(places)
    assert [str(each.message.about) for each in told] == [clips[i].name for i in places]
    assert len(asked) == len(clips)


def test_of_one_sound_in_two_classes_each_warning_has_its_name(clips):
    both = Clips([clips[0], clips[-1]])
    with pytest.warns(NearfarWarning, match="the same near channel") as told:
        assert usable(both, ["a", "a"], skip_bad=True) == []
    assert [each.message.about for each in told] == [clip.name for clip in both]


def test_other_channels_of_a_file_are_other_sounds(tmp_path, store):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "four.wav", 0.1 * rng.standard_normal((4, 16_000)))
    one, other = (Clips.open(path, channels=pair) for pair in ((1, 2), (3, 4)))
    (first,), (second,) = prepared(one, store), prepared(other, store)
    assert first.digest != second.digest  # the first one's note is not taken for the second's


def test_a_store_emptied_meanwhile_is_said(clips, store, monkeypatch):
    monkeypatch.setattr(MelStore, "__contains__", lambda self, digest: False)
    with pytest.raises(StorageError, match="removed while others were computed"):
        prepared(clips, store)


def test_a_front_end_that_makes_no_numbers_is_named(clips, store):
    class Broken(Near):
        def __call__(self, audio):
            return super().__call__(audio) * np.nan

    with pytest.raises(AudioError, match="NaN or infinite samples"):
        prepare(clips, Broken(), EAR, Runtime(), "near-far", store)


def test_a_silent_swap_of_the_file_is_heard_but_not_remembered(clips, store, monkeypatch):
    """What is written while it is read has a sound that nobody can vouch for."""
    stamps = iter(range(10_000))
    monkeypatch.setattr(of_prepare, "stamp_of", lambda clip, order: f"{next(stamps)}")
    prepared(clips, store)
    assert not list(store.folder.glob("*.note"))
    assert list(store.folder.glob("*.npy"))
