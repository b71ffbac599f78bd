"""Detectors, scores, clips and systems are taken elsewhere: pickled, copied, shown in a line."""

import copy
import pickle

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.member import NormalRows

COPIES = {
    "pickled": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deep copy": copy.deepcopy,
    "copy": copy.copy,
}
copied = pytest.mark.parametrize("copy_of", COPIES.values(), ids=COPIES)


@pytest.fixture(scope="module")
def clips(dcase):
    return nf.Clips.open(dcase, split="test", machines=["fan"])


@copied
@pytest.mark.parametrize("used", [False, True], ids=["as loaded", "after use"])
def test_a_copy_of_a_detector_scores_the_same_to_the_bit(detector_folder, clips, copy_of, used):
    detector = nf.load(detector_folder)
    # What is worked out on use holds functions, which cannot be pickled.
    before = detector.score(clips) if used else None
    again = copy_of(detector)
    assert repr(again) == repr(detector)
    assert again.system == detector.system
    scores = detector.score(clips)
    assert copy_of(again).score(clips) == scores
    assert before in (None, scores)
    assert again.threshold("fan") == detector.threshold("fan")


def test_a_pickle_of_a_used_detector_is_no_larger(detector_folder, clips):
    detector = nf.load(detector_folder)
    size = len(pickle.dumps(detector))
    detector.score(clips)
    assert len(pickle.dumps(detector)) <= size


def test_a_detector_of_two_members_is_copied_too(dcase, clips):
    system = nf.Ensemble((nf.logmel(), nf.System(nf.Far(), nf.LogMel(n_mels=40))))
    detector = nf.fit(system, nf.Clips.open(dcase, split="train", machines=["fan"]))
    assert pickle.loads(pickle.dumps(detector)).score(clips) == detector.score(clips)


@copied
@pytest.mark.parametrize("made", [nf.s4, nf.logmel, nf.s3], ids=["s4", "logmel", "s3"])
def test_copies_of_systems_are_equal_and_hash_alike(made, copy_of):
    system = made() if made is not nf.s3 else made("somewhere/weights")
    again = copy_of(system)
    assert again == system
    assert hash(again) == hash(system)
    assert eval(repr(again), vars(nf) | {n: getattr(nf, n) for n in nf.__all__}) == system


@copied
def test_copies_of_scores_and_clips_are_equal(detector_folder, clips, copy_of):
    scores = nf.load(detector_folder).score(clips)
    assert copy_of(scores) == scores
    assert copy_of(clips) == clips
    assert copy_of(scores)[0].clip == clips[0]


def test_everything_held_is_shown_in_one_short_line(detector_folder, clips):
    detector = nf.load(detector_folder)
    section = detector.sections["fan", "00"]
    member = section.members[0]
    rows = NormalRows(np.zeros((1, 2), np.float32), np.arange(1), np.zeros(1), np.zeros(1))
    shown = {
        "Detector": detector, "Section": section, "Member": member, "MemoryBank": member.bank,
        "Whitening": member.whitening, "Scores": detector.score(clips), "Clips": clips,
        "NormalRows": rows,
    }  # fmt: skip
    for name, thing in shown.items():
        line = repr(thing)
        assert line.startswith(f"<{name}: ")
        assert line.endswith(">")
        assert len(line) <= 80
        assert "\n" not in line


def test_one_is_one_and_many_machines_are_cut():
    assert repr(nf.Clips([nf.Clip("a.wav", machine="fan")])) == "<Clips: 1 clip, machines: fan>"
    assert repr(nf.Scores([])) == "<Scores: 0 clips, 0 anomalous>"
    many = {(f"machine {n}", "00"): None for n in range(40)}
    line = repr(nf.Detector(nf.s4(), many))
    assert "40 sections" in line
    assert len(line) < 120
