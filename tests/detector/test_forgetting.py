"""Clips are named as people name them, and none is forgotten by mistake."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import refused, write
from nearfar.clips.clip import Clip
from nearfar.detector.learning.forgetting import forget, found
from nearfar.detector.section import Section, TrainingClip
from nearfar.sound.audio import digest_of


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


@pytest.mark.parametrize(("channels", "heard"), [(2, 2), (2, 1), (1, 1)])
def test_of_clips_called_alike_the_file_that_is_there_says_which(tmp_path, channels, heard):
    rng = np.random.default_rng(3)
    paths = [tmp_path / place / "today/00.wav" for place in ("east", "west")]
    for path in paths:
        write(path, rng.uniform(-0.1, 0.1, (channels, 16_000)))
    digests = [digest_of(Clip(path).read()[:heard]) for path in paths]
    clips = tuple(TrainingClip("today/00.wav", digest) for digest in digests)
    one = {("fan", "00"): Section((), clips, None, 1.0)}
    two = {(m, "00"): Section((), (c,), None, 1.0) for m, c in zip("ab", clips, strict=True)}
    for plant in (one, two):
        for path, digest in zip(paths, digests, strict=True):
            assert [clip.digest for _, clip in found(plant, str(path))] == [digest]
    # A file of another sound, or of none, says nothing.
    write(paths[0], rng.uniform(-0.1, 0.1, (channels, 16_000)))
    refused(lambda: found(one, str(paths[0])), "2 clips end so", digests[0][:12])
    paths[0].write_bytes(b"no sound")
    refused(lambda: found(two, str(paths[0])), "is in a, b")


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
