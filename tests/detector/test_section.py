"""What a section says of a clip beside its score: the nearest normal clip, and doubts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nearfar as nf
from nearfar.detector.member import Member
from nearfar.detector.section import LEVEL_MARGIN, Judge, Section, TrainingClip
from nearfar.detector.trained import MACHINE_HEARD
from nearfar.embedding.jobs import Heard
from nearfar.scoring.bank import SOURCE
from nearfar.scoring.calibrate import ENOUGH

EUCLIDEAN = nf.KNN((1.0,), "euclidean")
QUIET, LOUD = -4.0, 11.0  # lowest and highest near/far ratio of the normal clips, dB
CLIP = nf.Clip(Path("new.wav"), machine="fan")
NAMES = ("a.wav", "b.wav", "c.wav")


def member(*rows):
    """Unwhitened; each clip's self-score is 1."""
    n = len(rows)
    return Member(
        np.array(rows, np.float32), np.arange(n), np.full(n, SOURCE, np.int8), None, np.ones(n)
    )


def judge(*members, weights=None, usual=10.0):
    """Members whose embedders differ, so that each has a row of its own in what is heard."""
    systems = tuple(
        nf.System(frontend=nf.Near() if i else nf.Far(), embedder=nf.LogMel(), rule=EUCLIDEAN)
        for i in range(len(members))
    )
    system = nf.Ensemble(systems, weights=weights or (1.0,) * len(systems))
    clips = tuple(TrainingClip(name, "") for name in NAMES)
    section = Section(members, clips, (QUIET, LOUD), seconds=usual)
    return Judge(system, tuple(s.chain for s in systems), section, 0.1)


def said(level, rows=((0.5, 0.0),)):
    """The verdict of one clip of 10 s whose near channel is this much over the far one, dB."""
    heard = Heard(tuple(np.array(r, np.float32) for r in rows), seconds=10.0, level=level)
    one = judge(member((0, 0), (1, 0), (5, 5)))
    return one([(CLIP, heard)])[0]


# ---- the two channels' levels ----------------------------------------------------------------


@pytest.mark.parametrize("beyond", [0.01, 1.0, 40.0])
def test_a_near_channel_that_is_too_loud_or_too_quiet_is_doubted(beyond):
    for level in (LOUD + LEVEL_MARGIN + beyond, QUIET - LEVEL_MARGIN - beyond):
        warning = said(level).warning
        assert f"near is {level:+.1f} dB over far" in warning
        assert "-4.0 to +11.0 dB" in warning


@pytest.mark.parametrize("share", np.linspace(0, 1, 7))
def test_levels_within_the_margin_are_no_surprise(share):
    low, high = QUIET - LEVEL_MARGIN, LOUD + LEVEL_MARGIN
    assert said(low + share * (high - low)).warning == ""


def test_a_clip_without_a_level_is_not_doubted_for_it():
    assert said(float("nan")).warning == ""


# ---- the nearest normal clip -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "name"),
    [((0.6, 0.4), "a.wav"), ((0.4, 0.6), "c.wav"), ((1.0, 9.0), "c.wav"), ((0.5, 0.5), "a.wav")],
)
def test_the_nearest_clip_is_that_of_the_member_that_counts_most(weights, name):
    """Of two that count as much it is the first."""
    first = member((0, 0), (5, 0), (9, 0))  # to which the clip is a
    second = member((9, 0), (5, 0), (0, 0))  # to which it is c
    row = np.array([0.5, 0.0], np.float32)
    verdict = judge(first, second, weights=weights)([(CLIP, Heard((row, row), seconds=10.0))])[0]
    assert verdict.nearest == name


def test_the_nearest_clip_and_the_doubt_are_of_one_member():
    """A clip that lies on a row of the heaviest member is a clip it was fitted on."""
    first, second = member((0, 0), (5, 0), (9, 0)), member((1, 0), (5, 0), (9, 0))
    row = np.zeros(2, np.float32)
    heard = [(CLIP, Heard((row, row), seconds=10.0))]
    assert "this very recording" in judge(first, second, weights=(0.6, 0.4))(heard)[0].warning
    assert judge(first, second, weights=(0.4, 0.6))(heard)[0].warning == ""


# ---- the near channel's level ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "reason"),
    [(0.0316, "30 dB quieter than any normal clip"), (0.5, ""), (2.0, ""), (5.0, "dB louder than")],
)
def test_a_level_far_from_all_normal_clips_is_doubted(gain, reason, tmp_path):
    """Of the near channel alone too, where there is no ratio; and after a detector is loaded."""
    rng, paths = np.random.default_rng(0), [tmp_path / f"{i}.wav" for i in range(6)]
    for path in paths:
        soundfile.write(path, 0.05 * rng.standard_normal(20_000), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "x.wav", gain * soundfile.read(paths[0])[0][::-1], 16_000, "FLOAT")
    nf.fit(nf.logmel(), [nf.Clip(p, machine="fan") for p in paths]).save(tmp_path / "saved")
    new = [nf.Clip(tmp_path / "x.wav", machine="fan")]
    warning = nf.load(tmp_path / "saved").score(new)[0].warning
    assert reason in warning
    assert bool(warning) == bool(reason)


# ---- few days --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"sessions": 4.0, "days": 0.0}, "3 clips from 4 recordings: the threshold holds for these "
         "four; expect more alarms on another day"),
        ({"sessions": 2.0, "days": 2.0}, "3 clips from 2 days: the threshold holds for these two;"),
        ({"sessions": 1.0, "days": 0.0}, "from 1 recording: the threshold holds for this one;"),
        ({"sessions": 1.0, "days": 1.0}, "from 1 day: the threshold holds for this one;"),
        ({"sessions": 9.0, "days": 2.0}, "from 9 recordings or days: the threshold holds for"),
        ({"sessions": 3.0}, "3 recordings or days: the threshold holds for these three;"),
        ({"sessions": 10.0, "days": 0.0}, ""), ({}, ""), ({"sessions": float("nan")}, ""),
    ],
)  # fmt: skip
def test_what_few_recordings_cannot_tell_is_said_in_a_line(facts, words):
    """A detector of an earlier nearfar counts both kinds together."""
    one = replace(member((0, 0), (1, 0), (5, 5)), facts=facts)
    said = Section((one,), tuple(TrainingClip(n, "") for n in NAMES), None, 10.0).caveat
    assert words in said
    assert bool(words) == bool(said)


def test_parts_of_files_are_recordings_and_folders_of_dates_are_days(tmp_path):
    rng = np.random.default_rng(0)
    for place in ("hall/a.wav", "hall/b.wav", "zoom/2024-11-04/1.wav", "zoom/2024-11-05/1.wav"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        noise = 0.05 * rng.standard_normal(6 * 16_000)
        soundfile.write(tmp_path / place, noise, 16_000, subtype="FLOAT")
    for folder, kind in (("hall", "2 recordings"), ("zoom", "2 days")):
        clips = nf.Clips.open(tmp_path / folder, machine="fan", clip_seconds=2)
        said = nf.fit(nf.logmel(), clips).sections["fan", "00"].caveat
        assert said.startswith(f"6 clips from {kind}: ")


def test_a_length_of_its_own_is_told_as_people_say_it():
    def doubt(usual, seconds):
        heard = Heard((np.array((0.5, 0.0), np.float32),), seconds=seconds)
        return judge(member((0, 0), (1, 0), (5, 5)), usual=usual)([(CLIP, heard)])[0].warning

    # 20 min scored by clips of 10 s can be cut; 5 s cannot.
    assert doubt(10.0, 1200.0).startswith("20 min long, normal clips were 10 s: ")
    assert doubt(10.0, 1200.0).endswith("record 10 s, or cut with clip_seconds=10")
    assert doubt(10.0, 5.0).endswith("; record 10 s")
    assert doubt(1200.0, 3600.0).endswith("record 20 min, or cut with clip_seconds=1200")
    assert doubt(10.0, 12.0) == ""


# ---- whose self-scores calibrate a member ----------------------------------------------------


class Own:
    """A calibration of a person's own."""

    def fit(self, self_scores):
        return lambda scores: scores


def yardstick(calibration, fresh=ENOUGH, trained=True, known=True):
    """How many self-scores calibrate a member, and their least, of 100 clips; fresh ones have 2."""
    n = 100
    facts = {MACHINE_HEARD: 1.0} if trained else {}
    is_fresh = tuple(i < fresh for i in range(n))
    scores = np.where(is_fresh, 2.0, 1.0)  # clips it was trained on lie nearer to the bank
    one = Member(np.eye(n, 4, dtype=np.float32), np.arange(n), np.full(n, SOURCE, np.int8), None,
                 scores, facts)  # fmt: skip
    clips = tuple(TrainingClip(f"{i}.wav", "") for i in range(n))
    section = Section((one,), clips, None, 10.0, fresh=is_fresh if known else None)
    system = nf.System(nf.Near(), nf.LogMel(), rule=EUCLIDEAN, calibration=calibration)
    found = section.yardstick(system, one)
    judge = Judge(system, (system.chain,), section, 0.1)
    return (len(found), found.min()), judge


def test_a_trained_member_is_calibrated_on_clips_its_encoder_never_heard():
    for calibration in (nf.Percentile(), nf.ZScore()):
        assert yardstick(calibration)[0] == (ENOUGH, 2.0)
    # A new clip as far as the fresh ones is in the middle of what is normal, not at its end.
    assert yardstick(nf.ZScore())[1].threshold().value == 0.0
    assert yardstick(nf.ZScore(clips="all"))[1].threshold().value > 1.0


@pytest.mark.parametrize(
    ("calibration", "more"),
    [
        (nf.Percentile(clips="all"), {}),
        (nf.ZScore(clips="all"), {}),  # System 2's, the report's words
        (nf.Percentile(), {"fresh": ENOUGH - 1}),
        (nf.Percentile(), {"trained": False}),
        (nf.ZScore(), {"known": False}),
        (Own(), {}),
    ],
)
def test_all_clips_calibrate_where_few_are_fresh_or_nothing_was_trained(calibration, more):
    assert yardstick(calibration, **more)[0] == (100, 1.0)
