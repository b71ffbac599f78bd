"""An ensemble taken apart: what each member says, and what it holds nearest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.explanation.members import heed, heeded, names_of, neighbours_of, shares_of
from nearfar.detector.member import Member
from nearfar.detector.section import Judge, Section, TrainingClip
from nearfar.embedding.jobs import Heard
from nearfar.scoring.bank import SOURCE, TARGET

EUCLIDEAN = nf.KNN((1.0,), "euclidean")
CLIP = nf.Clip(Path("new.wav"), machine="fan")
CALIBRATIONS = {"raw": nf.Raw(), "z": nf.ZScore(), "percentile": nf.Percentile()}


def judge(calibration, weights, seed=0, clips=12, fusion="mean"):
    rng = np.random.default_rng(seed)
    frontends = (nf.Near(), nf.Far(), nf.CoherenceMask())[: len(weights)]
    systems = tuple(
        nf.System(f, nf.LogMel(), EUCLIDEAN, calibration=calibration) for f in frontends
    )
    members = tuple(
        Member(
            rng.standard_normal((clips, 3)).astype(np.float32), np.arange(clips),
            np.zeros(clips, np.int8), None, rng.uniform(0.5, 2, clips),
        )
        for _ in systems
    )  # fmt: skip
    section = Section(members, tuple(TrainingClip(f"{i}.wav", "") for i in range(clips)), None, 1.0)
    system = nf.Ensemble(systems, weights=weights, fusion=fusion)
    return Judge(system, tuple(s.chain for s in systems), section, 0.1)


def heard(members, seed=1, far=1.0):
    rng = np.random.default_rng(seed)
    rows = tuple(far * rng.standard_normal(3).astype(np.float32) for _ in range(members))
    return Heard(rows, seconds=1.0)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("weights", [(1.0,), (0.6, 0.4), (1.0, 2.0, 1.0)], ids=len)
@pytest.mark.parametrize("far", [0.0, 1.0, 30.0])
def test_parts_sum_to_the_score_and_shares_to_one(calibration, weights, far):
    ours = judge(CALIBRATIONS[calibration], weights)
    what = heard(len(weights), far=far)
    shares = shares_of(ours, heeded(ours, what))
    assert sum(s.part for s in shares) == pytest.approx(ours([(CLIP, what)])[0].score, abs=1e-12)
    assert sum(s.share for s in shares) == pytest.approx(1)
    assert sum(s.weight for s in shares) == pytest.approx(1)
    assert all(0 <= s.share <= 1 for s in shares)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("seed", range(4))
def test_of_a_minimum_one_member_says_all(calibration, seed):
    """The score is its, the nearest clip is its, and so is the whole share."""
    ours = judge(CALIBRATIONS[calibration], (1.0, 1.0, 1.0), fusion="minimum")
    what = heard(3, seed=seed)
    members, verdict = heeded(ours, what), ours([(CLIP, what)])[0]
    scores = [
        float(calibrated(np.array([one.distance]))[0])
        for calibrated, one in zip(ours.calibrated, members, strict=True)
    ]
    assert verdict.score == min(scores)
    least = scores.index(min(scores))
    shares = shares_of(ours, members)
    assert [s.weight for s in shares] == [float(i == least) for i in range(3)]
    assert sum(s.part for s in shares) == verdict.score
    assert sum(s.share for s in shares) == 1
    assert verdict.nearest == f"{members[least].nearest[1][0]}.wav"


def test_many_clips_have_the_minimum_that_each_has_alone():
    ours = judge(nf.ZScore(), (1.0, 1.0), fusion="minimum")
    asked = [(CLIP, heard(2, seed=i)) for i in range(20)]
    together = ours(asked)
    assert together == [ours([one])[0] for one in asked]
    assert len({v.nearest for v in together}) > 2
    own = [c(m.self_scores) for c, m in zip(ours.calibrated, ours.section.members, strict=True)]
    np.testing.assert_array_equal(ours.own, np.minimum(*own))  # thresholds are drawn of the same


def test_what_lowers_the_score_has_no_share_in_it():
    ours = judge(nf.ZScore(), (0.5, 0.5))
    rows = [m.embeddings[0] for m in ours.section.members]
    # As near as can be for the one, far away for the other.
    shares = shares_of(ours, heeded(ours, Heard((rows[0], 50 + rows[1]), seconds=1.0)))
    assert shares[0].part < 0 < shares[1].part
    assert [s.share for s in shares] == [0, 1]


def test_where_nothing_raises_the_score_shares_are_the_weights():
    ours = judge(nf.Percentile(), (0.6, 0.4))
    rows = [m.embeddings[0] for m in ours.section.members]
    shares = shares_of(ours, heeded(ours, Heard(tuple(rows), seconds=1.0)))
    assert [s.score for s in shares] == [0, 0]
    assert [s.share for s in shares] == pytest.approx([0.6, 0.4])


def bank():
    """Three clips; of the last there is a made row too, nearer to 0 than any real one."""
    rows = np.array([[2.0], [3.0], [4.0], [1.0], [2.5]], np.float32)
    domain = np.array([SOURCE, SOURCE, TARGET, TARGET, TARGET], np.int8)
    member = Member(rows, np.array([0, 1, 2, 2, 0]), domain, None, np.ones(3))
    return heed(nf.System(nf.Near(), nf.LogMel(), EUCLIDEAN), member, "it", np.zeros(1, np.float32))


def test_neighbours_are_clips_each_once_by_their_nearest_row():
    clips = [TrainingClip(f"{name}.wav", name) for name in "abc"]
    found = neighbours_of(bank(), clips, 5)
    assert [(clip.digest, n.name) for clip, n in found] == [
        ("c", "c.wav"), ("a", "a.wav"), ("b", "b.wav"),
    ]  # fmt: skip
    assert [(n.distance, n.domain, n.made) for _, n in found] == [
        (1.0, "target", True), (2.0, "source", False), (3.0, "source", False),
    ]  # fmt: skip
    assert neighbours_of(bank(), clips, 2) == found[:2]


def test_the_nearest_clip_is_the_verdicts():
    ours = judge(nf.Raw(), (1.0, 3.0, 1.0), clips=40)
    for seed in range(20):
        what = heard(3, seed)
        ranked = heeded(ours, what)[1]
        ((_, nearest),) = neighbours_of(ranked, ours.section.clips, 1)
        assert nearest.name == ours([(CLIP, what)])[0].nearest


class Beats:
    """An embedder of a person's own."""

    channels, dim, fingerprint = 1, 2, "beats-1"

    def __call__(self, audios):
        return np.zeros((len(audios), 2), np.float32)


def test_members_have_names_that_tell_them_apart():
    assert names_of([nf.System(nf.Far(), Beats(), EUCLIDEAN)]) == ["Beats of the far microphone"]
    seeds = names_of(nf.s2("a", "b", "c").members)
    assert len(set(seeds)) == 3
    assert all("through the coherence mask" in name for name in seeds)
    both = replace(nf.s4(), frontend=nf.Stereo())
    assert names_of([both, nf.logmel()]) == [
        "named features (DIF) of both microphones",
        "mean log-mel spectrum of the near microphone",
    ]
