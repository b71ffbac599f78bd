"""Clips that stand out from what is known are named before they are learnt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.clips.clip import Clip
from nearfar.detector.learning.suspicion import refusal_of, suspects_among, told, unjudged
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.detector.traces import AT, NUMBERS, Traces
from nearfar.embedding.jobs import Heard
from nearfar.health.suspects import Suspect
from nearfar.sound.look import Look

N = 40


@pytest.fixture(scope="module")
def section():
    """Forty clips of 10 s at 48 kHz, near 4 dB over far, close together."""
    rng = np.random.default_rng(0)
    rows = (1 + 0.1 * rng.standard_normal((N, 128))).astype(np.float32)
    numbers = np.full((N, len(NUMBERS)), np.nan)
    said = {"seconds": 10.0, "near_dbfs": -30.0, "far_dbfs": -34.0, "ratio_db": 4.0, "lr_corr": 0.3,
            "coherence": 0.2, "sample_rate": 48_000, "near_clipped": 0.0, "far_clipped": 0.0,
            "near_zeros": 0.0, "far_zeros": 0.0}  # fmt: skip
    for name, value in said.items():
        numbers[:, AT[name]] = value
    scores = np.abs(0.005 + 0.0005 * rng.standard_normal(N))
    member = Member(rows, np.arange(N), np.zeros(N, np.int8), None, scores)
    clips = tuple(TrainingClip(f"{i}.wav", f"{i:064x}") for i in range(N))
    traces = Traces(("",) * N, ("",) * N, numbers)
    return Section((member,), clips, (4.0, 4.0), 10.0, near=(-30.0, -30.0), traces=traces)


def heard(name, row=None, **look):
    said = {"seconds": 10.0, "levels": (-30.0, -34.0), "ratio": 4.0, "lr_corr": 0.3}
    said |= {"coherence": 0.2, "sample_rate": 48_000, "clipped": (0.0, 0.0), "zeros": (0.0, 0.0)}
    seen = Look(**said | look)
    new = np.ones(128, np.float32) if row is None else row
    return Clip(Path(name)), Heard((new,), seen.seconds, level=seen.ratio, look=seen)


def kinds(section, *pairs):
    rows = [np.stack([what.rows[0] for _, what in pairs])]
    return [(one.clip.file, one.kind) for one in suspects_among(nf.logmel(), section, rows, pairs)]


FAR = np.tile([1.0, -1.0], 64).astype(np.float32)


def test_one_that_is_like_them_is_none(section):
    assert kinds(section, heard("a.wav"), heard("b.wav")) == []


@pytest.mark.parametrize(
    ("look", "kind"),
    [
        ({"seconds": 12.0}, "length"),
        ({"sample_rate": 16_000}, "rate"),
        ({"ratio": -7.0}, "ratio"),
        ({"levels": (-45.0, -49.0)}, "off"),
        ({"levels": (-10.0, -14.0)}, "loud"),
        ({"clipped": (0.01, 0.0)}, "clipped"),
        ({"lr_corr": 1.0, "coherence": 1.0}, "twice"),
        ({"levels": (-30.0, -95.0)}, "far floor"),
    ],
)
def test_each_kind_that_a_fit_names(section, look, kind):
    assert ("odd.wav", kind) in kinds(section, heard("a.wav"), heard("odd.wav", **look))


@pytest.mark.parametrize("count", [1, 3, 60])
def test_however_many_they_are_they_do_not_vouch_for_each_other(section, count):
    strangers = [heard(f"day/{i:02d}.wav", FAR, seconds=5.0) for i in range(count)]
    found = kinds(section, *strangers, heard("a.wav"))
    assert found == [(f"{i:02d}.wav", k) for i in range(count) for k in ("length", "score")]


def test_a_detector_of_an_older_nearfar_tells_lengths_and_ratios(section):
    older = Section(section.members, section.clips, section.levels, section.seconds)
    odd = heard("odd.wav", seconds=12.0, ratio=-20.0, sample_rate=16_000)
    assert kinds(older, heard("a.wav"), odd) == [("odd.wav", "length"), ("odd.wav", "ratio")]


def test_one_line_for_one_and_for_many():
    one = Suspect(Clip(Path("a.wav")), "score", "×9.1")
    assert told(one) == "sounds far from every normal clip known (×9.1 the usual score)"
    line = str(refusal_of([one], 3))
    assert line.startswith("a.wav: sounds far from every normal clip known")
    assert "accept_suspects=True" in line
    many = refusal_of([one, Suspect(Clip(Path("b.wav")), "length", "5 s", "10 s")], 3)
    assert "2 of 3 clips stand out" in str(many)
    assert len(many.faults) == 2


def test_what_is_not_judged_is_said(section):
    fan = ("fan", "00")
    assert unjudged(fan, section, "source") == ""
    assert unjudged(fan, section, "target") == (
        "fan: 0 target clips are too few to judge new ones by score (12 are needed); listen to "
        "what is learnt"
    )
    member = section.members[0]
    some = replace(member, embeddings=member.embeddings[:10], domain=member.domain[:10])
    few = replace(section, members=(some,), clips=section.clips[:10])
    assert "10 source clips are too few" in unjudged(fan, few, "source")
    assert "or to tell copies at another gain (12" in unjudged(fan, few, "source")
