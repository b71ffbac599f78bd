"""What is wrong with a recording is told whole, the worst first."""

from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.explanation.reasons import sensor_reasons
from nearfar.detector.member import Member
from nearfar.detector.section import Judge, Section, TrainingClip
from nearfar.embedding.jobs import describe
from nearfar.sound.recorded import measure

CLIP = nf.Clip(Path("new.wav"), machine="fan")
RATE = 16_000


def judge():
    """Of 2 s clips, near 6 dB above far, at −20 dBFS."""
    member = Member(
        np.eye(3, 4, dtype=np.float32), np.arange(3), np.zeros(3, np.int8), None, np.ones(3)
    )
    clips = tuple(TrainingClip(f"{n}.wav", "") for n in "abc")
    section = Section((member,), clips, (5.0, 7.0), seconds=2.0, near=(-21.0, -19.0))
    system = nf.System(nf.Near(), nf.LogMel(), nf.KNN())
    return Judge(system, (system.chain,), section, 0.1)


def reasons(audio, distance=1.0, salvaged=""):
    recorded = measure(audio, RATE, salvaged)
    return sensor_reasons(CLIP, describe(audio, "", recorded), judge(), distance)


def sound(near=0.1, far=0.05, seconds=2.0):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, round(seconds * RATE)))
    return (noise * [[near], [far]]).astype(np.float32)


def zeroed():
    audio = sound()
    audio[:, 5000:12_000] = 0
    return audio


def damaged():
    """Nearly everything at once."""
    audio = np.clip(30 * sound(seconds=9.0), -0.9, 0.9)
    audio[:, :40_000] = 0
    return np.stack([audio[0], audio[0]])


CASES = {
    "fine": (sound(), []),
    "swapped": (sound()[::-1].copy(), ["swapped or moved", "quieter"][:1]),
    "far away": (sound(near=0.001, far=0.0005), ["dB quieter than any normal clip"]),
    "long": (sound(seconds=30.0), ["30 s long, normal clips were 2 s"]),
    "clipped": (np.clip(2 * sound(), -0.2, 0.2), ["samples clipped"]),
    "lost": (zeroed(), ["exactly zero"]),
    "dead far": (
        sound(far=1e-5), ["far microphone is at the noise floor", "swapped or moved"]
    ),
    "twice": (
        np.stack([sound()[0], 0.5 * sound()[0]]), ["both channels are one, up to gain or noise"]
    ),
    "identical": (
        np.stack([sound()[0], sound()[0]]), ["both channels are identical", "swapped or moved"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_told_in_its_words_and_nothing_else(case):
    audio, words = CASES[case]
    said = reasons(audio)
    assert len(said) == len(words), said
    for line, word in zip(said, words, strict=True):
        assert word in line
        assert "\n" not in line


def test_all_that_is_wrong_is_told():
    said = reasons(damaged(), distance=0.0, salvaged="its header says 12 s")
    order = ["this very recording", "identical", "9 s long", "swapped", "louder", "clipped", "zero",
             "its header says 12 s"]  # fmt: skip
    assert len(said) == len(order), said
    for line, word in zip(said, order, strict=True):
        assert word in line


def test_the_first_doubt_is_the_verdicts_warning():
    from dataclasses import replace

    for audio, _ in CASES.values():
        what = replace(describe(audio, "", measure(audio, RATE)), rows=(np.ones(4, np.float32),))
        warning = judge()([(CLIP, what)])[0].warning
        said = sensor_reasons(CLIP, what, judge(), 1.0)
        assert not warning or warning in said
        assert judge().doubts(what, 1.0)[:1] == ((warning,) if warning else ())
