"""The sound of labelled clips: kept as it was heard, found by its digest alone."""

import shutil

import numpy as np
import pytest
import soundfile

import nearfar as nf
from conftest import RATE, machine_sound, refused, write
from nearfar.clips.export import written
from nearfar.errors import AudioError, StorageError
from nearfar.service.history.changes import ClipLabel
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.labelled import KnownClip, LabelledSound, labelled_clips
from nearfar.sound.audio import digest_of

DIGEST = "9f" * 32


@pytest.fixture
def sound(tmp_path):
    """A recording of three seconds."""
    audio = machine_sound(np.random.default_rng(1), 3.0)
    return write(tmp_path / "hall/a.WAV", audio)


@pytest.mark.parametrize("order", ["near-far", "far-near", (1, 2), (2, 1)])
@pytest.mark.parametrize("kind", ["whole", "part", "pair", "one of three", "swapped"])
def test_who_reads_the_copy_hears_what_was_heard(tmp_path, sound, kind, order):
    near_far = {"near-far": (1, 2), "far-near": (2, 1)}.get(order, order)
    clip = nf.Clip(sound, channels=near_far)
    if kind == "part":
        clip = nf.Clip(sound, channels=near_far, start=0.5, stop=2.0)
    if kind == "pair":
        audio, _ = soundfile.read(sound, dtype="float32")
        paths = [tmp_path / f"{name}.wav" for name in ("near", "far")]
        for path, channel in zip(paths, audio.T, strict=True):
            write(path, channel[None])
        clip = nf.Clip(paths[0], far=paths[1])
    if kind == "one of three":
        rng = np.random.default_rng(2)
        three = write(tmp_path / "three.wav", 0.1 * rng.standard_normal((3, RATE)))
        clip = nf.Clip(three, channels=(3, 1))
    if kind == "swapped":
        clip = nf.Clip(sound, channels=near_far[::-1])
    kept = LabelledSound(tmp_path / "labelled")
    assert kept.keep(DIGEST, clip, order)
    copy = kept.path(DIGEST)
    assert digest_of(nf.Clip(copy).read(order)) == digest_of(clip.read(order))
    if kind == "whole":  # to the byte, and by the name of its kind
        assert copy.read_bytes() == sound.read_bytes()
    assert [p.name for p in kept.folder.iterdir()] == [f"{DIGEST}.wav"]
    assert not kept.keep(DIGEST, clip, order)
    kept.remove(DIGEST)
    kept.remove(DIGEST)
    assert list(kept.folder.iterdir()) == []


@pytest.mark.parametrize("digest", ["../a", "*", "", "a/b", "a\0", "9f..", "[0-9]"])
def test_what_is_no_digest_is_no_file(tmp_path, sound, digest):
    assert LabelledSound(sound.parent).path(digest) is None


def test_what_cannot_be_kept_leaves_nothing(tmp_path, sound, monkeypatch):
    kept = LabelledSound(tmp_path / "labelled")
    refused(lambda: kept.keep(DIGEST, nf.Clip(tmp_path / "gone.wav", start=1.0), "near-far"),
            error=AudioError)  # fmt: skip

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert written.shutil is shutil
    refused(lambda: kept.keep(DIGEST, nf.Clip(sound), "near-far"), "No space", error=StorageError)
    assert list(kept.folder.iterdir()) == []


def test_only_what_was_not_learnt_is_to_be_judged(tmp_path, sound):
    store, kept = HistoryStore.open(""), LabelledSound(tmp_path / "labelled")
    given = [("11", "fault", False, "hall/section_02_target_test_normal_0003_spd_2.wav"),
             ("22", "normal", False, "hall/b.wav"), ("33", "normal", True, "hall/c.wav"),
             ("44", "fault", False, "hall/gone.wav")]  # fmt: skip
    for digits, word, learnt, name in given:
        digest = digits * 32
        store.label(ClipLabel(0, "pump", "00", digest, word, now(), learnt=learnt, name=name))
        if digits != "44":
            kept.keep(digest, nf.Clip(sound), "near-far")
    found = labelled_clips(store, kept.folder)
    assert [(c.label, c.domain, c.attributes, c.split, c.section) for c in found.clips] == [
        ("anomaly", "target", "spd_2", "test", "00"), ("normal", "source", "", "test", "00"),
    ]  # fmt: skip
    learnt, gone = found.told
    assert learnt.startswith("left out 1 clip: the detector learnt")
    assert "not kept any more" in gone
    store.close()


def test_a_clip_has_the_name_that_people_know():
    clip = KnownClip("labelled/9f86.wav", start=1.0, known_as="hall/pump/1.wav")
    assert (clip.name, clip.file) == ("hall/pump/1.wav", "1.wav")
