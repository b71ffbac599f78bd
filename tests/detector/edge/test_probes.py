"""Sounds to compare two detectors by: the bank's own clips where they are found, or made ones."""

import shutil

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.edge import probes
from nearfar.detector.folder.index import INDEX
from nearfar.sound.look import look


@pytest.fixture(scope="module")
def detector(detector_folder):
    return nf.load(detector_folder)


def test_made_sounds_are_the_same_each_time_and_like_the_banks(detector):
    made, again = (probes.made(detector.sections, 2) for _ in range(2))
    assert len(made) == probes.MADE
    assert {p.clip.machine for p in made} == set(detector.machines)
    for one, two in zip(made, again, strict=True):
        assert np.array_equal(one.audio, two.audio)
        section = detector.sections[one.clip.machine, one.clip.section]
        assert one.audio.shape == (2, round(section.seconds * 16_000))
        seen = look(one.audio)
        assert section.near[0] - 1 <= seen.levels[0] <= section.near[1] + 1
        assert section.levels[0] - 1 <= seen.ratio <= section.levels[1] + 1
    assert not np.array_equal(made[0].audio, probes.made(detector.sections, 2, seed=1)[0].audio)
    assert probes.made(detector.sections, 1)[0].audio.shape[0] == 1


def test_normals_are_found_around_the_detector_by_name_and_sound(
    detector, detector_folder, dcase, tmp_path
):
    def found(beside, given=()):
        return probes.normals(detector.sections, detector.order, 2, beside, given)

    assert found(detector_folder / INDEX) == []  # nothing lies around it
    shutil.copytree(dcase, tmp_path / "plant")
    beside = tmp_path / "plant" / "made" / "s4" / INDEX
    clips = sum(len(section.clips) for section in detector.sections.values())
    there = found(beside)
    assert len(there) == min(clips, probes.MOST)
    assert {p.clip.machine for p in there} == {"fan", "pump"}
    told = found(detector_folder / INDEX, nf.Clips.open(dcase))
    assert len(told) == len(there)
    # Another sound under a normal clip's name is no normal clip.
    for path in (tmp_path / "plant").rglob("*_train_*.wav"):
        path.write_bytes((dcase / "fan/test/section_00_source_test_anomaly_0000_noAttribute.wav")
                         .read_bytes())  # fmt: skip
    assert found(beside) == []


def test_a_turned_clip_is_news_to_the_bank_that_has_it(detector, detector_folder, dcase):
    given = nf.Clips.open(dcase, split="train")
    probe = probes.normals(detector.sections, detector.order, 2, detector_folder / INDEX, given)[0]
    turned = probes.turned(probe)
    scores = [detector.judge_audio(p.clip, p.audio, look(p.audio)).score for p in (probe, turned)]
    assert scores[0] < 0.01 * scores[1]
    back = probes.turned(turned).audio
    assert np.array_equal(back, probe.audio)
