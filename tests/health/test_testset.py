"""Test clips: their recorders are judged, their sound is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.health.copies import Sound
from nearfar.health.testset import across, balances, by_format
from nearfar.sound.look import Look

GOOD = Look(10.0, (-30.0, -38.0), ratio=8.0, lr_corr=0.4, coherence=0.3, sample_rate=16_000,
            clipped=(0.0, 0.0), zeros=(0.0, 0.0))  # fmt: skip


def sounds(count, split, look=GOOD, machine="fan", **fields):
    clips = [
        nf.Clip(Path(machine) / split / f"{i}.wav", machine=machine, split=split, **fields)
        for i in range(count)
    ]
    return [Sound(clip, look, f"{machine}{split}{clip.path.stem}") for clip in clips]


TRAIN = sounds(10, "train")


def kinds(tests, train=TRAIN):
    return {suspect.kind for suspect in by_format(tests, train)}


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("length", {"seconds": 12.0}),
        ("rate", {"sample_rate": 48_000}),
        ("far floor", {"levels": (-30.0, -95.0)}),
        ("twice", {"lr_corr": 1.0}),
        ("clipped", {"clipped": (0.1, 0.0)}),
        ("zeros", {"zeros": (0.4, 0.0)}),
    ],
)
def test_faults_of_the_recording_are_named(kind, changed):
    assert kinds(sounds(1, "test", replace(GOOD, **changed))) == {kind}


@pytest.mark.parametrize(
    "changed", [{"levels": (-8.0, -16.0)}, {"levels": (-60.0, -68.0)}, {"ratio": -20.0}]
)
def test_no_clip_is_named_for_how_it_sounds(changed):
    tests = sounds(6, "test") + sounds(1, "test", replace(GOOD, **changed), label="anomaly")
    assert kinds(tests) == set()


def test_where_training_clips_differ_anyway_nothing_is_special():
    train = [replace(one, look=replace(GOOD, seconds=5.0 + i)) for i, one in enumerate(TRAIN)]
    assert kinds(sounds(3, "test"), train) == set()
    assert kinds(sounds(3, "test", replace(GOOD, seconds=1.0)), TRAIN[:2]) == set()
    assert kinds(sounds(3, "test", replace(GOOD, seconds=1.0)), []) == set()


def test_copies_beyond_a_machine(tmp_path):
    train = [*TRAIN, *sounds(2, "train", machine="pump")]
    tests = sounds(3, "test")
    train[-1] = replace(train[-1], digest=train[0].digest)
    train[3] = replace(train[3], digest=train[0].digest)
    tests[0] = replace(tests[0], digest=train[4].digest)
    tests[2] = replace(tests[2], digest=tests[1].digest)
    found = {(s.kind, s.clip.machine, s.clip.path.stem, s.value) for s in across(train, tests)}
    assert found == {
        ("elsewhere", "pump", "1", "of 0.wav (fan)"), ("same", "fan", "3", "of 0.wav"),
        ("leak", "fan", "0", "of 4.wav"), ("tested twice", "fan", "2", "of 1.wav"),
    }  # fmt: skip
    assert across(np.array(train, dtype=object)[:3].tolist(), []) == []


def test_the_balance_of_a_machine_is_that_of_its_clips():
    one, other = (replace(TRAIN[0], look=replace(GOOD, balance=x)) for x in (-2.0, -8.0))
    assert balances([one, other, *sounds(1, "train", machine="saw")]) == pytest.approx(
        {"fan": -5.0, "saw": float("nan")}, nan_ok=True
    )
    assert balances([]) == {}
