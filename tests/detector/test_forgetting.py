"""Clips are named as people name them, and none is forgotten by mistake."""

from hashlib import sha256
from pathlib import Path

import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.learning.forgetting import forget, found
from nearfar.detector.section import Section, TrainingClip


def section(*names):
    clips = tuple(TrainingClip(name, sha256(name.encode()).hexdigest()) for name in names)
    return Section((), clips, None, 1.0)


PLANT = {
    ("fan", "00"): section("plant/monday/a.wav", "plant/monday/b.wav", "plant/friday/a.wav"),
    ("saw", "00"): section("plant/monday/c.wav", "hour.wav@00:00:00-00:00:10", "plant/x/b.wav"),
}


def names(wanted, plant=PLANT):
    return sorted(clip.name for _, clip in found(plant, wanted))


@pytest.mark.parametrize(
    ("wanted", "clips"),
    [
        ("plant/monday/a.wav", ["plant/monday/a.wav"]),
        ("monday/a.wav", ["plant/monday/a.wav"]),
        ("c.wav", ["plant/monday/c.wav"]),
        ("/data/plant/friday/a.wav", ["plant/friday/a.wav"]),
        ("friday", ["plant/friday/a.wav"]),
        ("monday/", ["plant/monday/a.wav", "plant/monday/b.wav", "plant/monday/c.wav"]),
        ("monday/*", ["plant/monday/a.wav", "plant/monday/b.wav", "plant/monday/c.wav"]),
        ("hour.wav@*", ["hour.wav@00:00:00-00:00:10"]),
        ("*/a.wav", ["plant/friday/a.wav", "plant/monday/a.wav"]),
    ],
)
def test_a_name_means(wanted, clips):
    assert names(wanted) == clips


def test_a_digest_names_a_clip():
    clip = PLANT["saw", "00"].clips[0]
    assert names(clip.digest[:16]) == names(clip.digest) == [clip.name]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("plant/monday/aa.wav", ["no such clip", "did you mean 'plant/monday/a.wav'?"]),
        ("zzz", ["no such clip in the detector; it has: "]),
        ("", ["no such clip"]),
        ("a.wav", ["2 clips end so", "say more of the name"]),
        ("b.wav", ["is in fan, saw", "--machine"]),
    ],
)
def test_what_it_cannot_mean_is_asked_about(wanted, words):
    refused(lambda: names(wanted), *words)


def test_a_folder_that_is_there_means_the_clips_of_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("plant/monday/a.wav", "hour.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names("plant") == ["plant/monday/a.wav"]
    assert names(".") == ["hour.wav@00:00:00-00:00:10", "plant/monday/a.wav"]


def test_what_nobody_may_look_at_is_passed_over(tmp_path, monkeypatch):
    """`--forget /` said that the output cannot be written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plant/monday").mkdir(parents=True)
    (tmp_path / "plant/monday/a.wav").touch()
    there = Path.stat

    def stat(path, **how):
        if path.name == "locked":
            raise PermissionError(path)
        return there(path, **how)

    (tmp_path / "plant/locked").touch()
    monkeypatch.setattr(Path, "stat", stat)
    assert names("plant") == ["plant/monday/a.wav"]


def test_no_names_and_none_of_a_machine():
    refused(lambda: forget(nf.logmel(), PLANT, [], None, None), "no clips to forget")
    refused(lambda: forget(nf.logmel(), PLANT, ["a"], "fen", None), "unknown machine 'fen'")
    refused(lambda: forget(nf.logmel(), PLANT, ["a"], "fan", "01"), "fan has no section '01'")
    refused(lambda: forget(nf.logmel(), PLANT, "monday/a.wav", "fan", None), "leaves 2, need")
