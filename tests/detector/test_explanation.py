"""What an explanation says of itself: one sentence, and plain data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.detector.explanation.explanation import (
    Explanation,
    Neighbour,
    Regions,
    Share,
    strongest,
)
from nearfar.detector.explanation.movement import Movement

CLIP = nf.Clip(Path("fan/<b>&\x1b[31m\n.wav"), machine="fan")
HIGH = nf.Verdict(CLIP, score=9.0, percentile=1.0, threshold=5.0, nearest="a.wav")


def movement(feature, movement, adjusted):
    return Movement(
        feature, f"the {feature}", "family", "near", "dB", (0.0, 200.0), 1.0, 0.0, movement,
        movement, adjusted,
    )  # fmt: skip


MOVED = (movement("hum", 2.0, 3.0), movement("hiss", -1.0, -2.0), movement("rest", 1.0, 0.0))
REGIONS = Regions(
    "encoder", (0.0, 1.0, 2.0), (0.0, 4000.0, 8000.0), np.array([[0.0, 3.0], [1.0, -1.0]]),
    score=4.0, replaced_by="a.wav", took=0.5,
)  # fmt: skip
FULL = Explanation(
    HIGH,
    shares=(Share("features", 0.6, 3.0, 1.0, 0.7), Share("encoder", 0.4, 2.0, 0.6, 0.3)),
    member="features",
    neighbours=(Neighbour("a.wav", "source", 3.0, made=True, path=Path("b/a.wav")),),
    moved="features",
    movements=MOVED,
    squared=13.0,
    regions=REGIONS,
)


def test_the_sentence_names_what_moved_most_and_its_part():
    assert FULL.why == "the hum rose: 69 % of what sets it apart"


def test_a_reason_in_the_microphones_comes_first():
    assert replace(FULL, sensor=("both channels are identical", "loud")).why.startswith("both")


def test_where_an_encoder_says_more_the_place_is_the_reason():
    encoder = replace(FULL, shares=(replace(FULL.shares[0], share=0.2), FULL.shares[1]))
    encoder = replace(encoder, shares=(encoder.shares[0], replace(encoder.shares[1], share=0.8)))
    assert encoder.why == "the sound below 4 kHz, 1–2 s, is unlike that of normal clips"
    assert "no normal clip" in replace(encoder, regions=None).why


def test_a_clip_that_is_no_alarm_is_not_called_strange():
    low = replace(FULL, verdict=replace(HIGH, score=1.0))
    assert low.why == "not above the threshold: normal clips score as high"


def test_the_strongest_are_those_that_say_something():
    assert [m.feature for m in strongest(MOVED)] == ["hum", "hiss"]
    assert [m.feature for m in strongest(MOVED, 1)] == ["hum"]
    assert [t.features for t in strongest(FULL.themes)] == [("hum",), ("hiss",)]


def test_data_are_plain_and_finite_whatever_is_in_them():
    strange = replace(
        FULL, squared=float("nan"), sensor=("near is -inf dB",), verdict=replace(HIGH, score=np.inf)
    )
    for told in (FULL, strange, Explanation(HIGH)):
        data = json.loads(json.dumps(told.as_dict(), allow_nan=False))
        assert list(data) == [
            "schema", "verdict", "why", "sensor", "member", "shares", "neighbours", "moved",
            "squared", "themes", "movements", "regions", "banded", "bands", "unmarked", "missing",
        ]  # fmt: skip
    data = FULL.as_dict()
    assert data["themes"][0]["sentence"] == "the hum rose"
    assert sum(theme["contribution"] for theme in data["themes"]) == FULL.squared
    assert data["movements"][0]["contribution"] == 9.0
    assert data["movements"][0]["sentence"] == "the hum rose"
    assert data["shares"][0]["part"] == pytest.approx(0.6)
    assert data["regions"]["fall"] == REGIONS.fall.tolist()
    assert data["regions"]["where"] == REGIONS.where
    assert data["neighbours"][0] == {
        "clip": "a.wav", "domain": "source", "distance": 3.0, "made": True,
        "path": str(Path("b/a.wav")),
    }  # fmt: skip
