"""When a clip is anomalous: above the threshold, never at it. Percentiles make ties an everyday."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nearfar as nf
from nearfar.files import as_bytes
from nearfar.scores.verdict import Scores, is_score_table
from nearfar.scoring.calibrate import threshold

CLIP = nf.Clip(Path("new.wav"), machine="fan")


def verdict(score, at):
    return nf.Verdict(CLIP, score, percentile=0.5, threshold=at, nearest="old.wav")


@given(st.floats(-1e300, 1e300, allow_subnormal=False))
def test_a_score_at_the_threshold_is_normal_and_the_next_one_is_not(at):
    assert not verdict(at, at).anomalous
    assert not verdict(np.nextafter(at, -np.inf), at).anomalous
    assert verdict(np.nextafter(at, np.inf), at).anomalous


ties = st.lists(st.sampled_from([0.2, 0.5, 0.9, 1.0]), min_size=1, max_size=40)


@given(ties, st.floats(0.01, 0.99))
def test_of_normals_with_equal_scores_no_more_are_anomalous_than_allowed(self_scores, rate):
    drawn = threshold(np.array(self_scores), rate)
    alarms = sum(verdict(score, drawn.value).anomalous for score in self_scores)
    assert alarms <= rate * len(self_scores) + 1e-9


@pytest.mark.filterwarnings("ignore::nearfar.errors.NearfarWarning")
def test_with_flat_percentiles_and_few_clips_nothing_can_be_anomalous(dcase):
    """Twelve clips and a rate of 1 in 20: the threshold is 1.0, and the loudest anomaly is at 1.0.

    The fit says so in a warning; a verdict must not say the opposite.
    """
    rare = replace(nf.s4(), calibration=nf.Percentile(), false_alarm_rate=0.05)
    detector = nf.fit(rare, nf.Clips.open(dcase, split="train"))
    scores = detector.score(nf.Clips.open(dcase, split="test"))
    at = [v for v in scores if v.score == v.threshold == 1.0]
    assert len(at) > 3
    assert not any(v.anomalous for v in scores)


# ---- rows out = clips in -------------------------------------------------------------------------


def refuse(word):
    raise AssertionError(word)


@pytest.fixture
def day():
    """One clip judged, one that could not be heard, of which the time is known."""
    begun = datetime(2024, 11, 4, 6, 30)
    silent = nf.Verdict.none(replace(CLIP, time=begun), 1.0, "new.wav: far is silent; see to it")
    return Scores([verdict(2.0, 1.0), silent])


def test_a_clip_that_was_not_judged_is_neither_normal_nor_anomalous(day):
    heard, silent = day
    assert (heard.judged, silent.judged, silent.anomalous) == (True, False, False)
    assert silent.warning == "far is silent; see to it"  # the row says whose it is
    assert np.isnan(day.values).tolist() == [False, True]
    assert list(day.judged) == [heard]
    assert day.summary == "1 of 1 clips anomalous, 1 not judged"
    assert repr(day) == "<Scores: 2 clips, 1 anomalous, 1 not judged>"
    assert repr(day.judged) == "<Scores: 1 clip, 1 anomalous>"


def test_a_rule_that_gives_nan_is_a_fault_not_an_unheard_clip():
    assert verdict(float("nan"), 1.0).judged


def test_csv_has_empty_cells_and_json_null_where_nothing_is_known(day):
    heard, silent = csv.DictReader(io.StringIO(day.to_csv()))
    assert {k for k, v in silent.items() if not v} == {
        "score",
        "percentile",
        "anomalous",
        "nearest",
        "p_value",
    }
    assert (heard["score"], heard["anomalous"], heard["time"]) == ("2.0", "True", "")
    assert (silent["time"], silent["threshold"]) == ("2024-11-04T06:30:00", "1.0")
    text = json.dumps(day.as_dict(), allow_nan=False)
    said = json.loads(text, parse_constant=refuse)
    assert said["schema"] == 1
    assert [row["score"] for row in said["scores"]] == [2.0, None]
    assert [row["anomalous"] for row in said["scores"]] == [True, None]
    assert list(said["scores"][0]) == list(heard)  # the same columns


def test_a_table_of_no_clips_has_its_columns(day):
    assert Scores([]).to_csv() == day.to_csv().splitlines()[0] + "\n"
    assert Scores([]).summary == "0 of 0 clips anomalous"


def test_scores_of_ours_are_told_from_other_files(day, tmp_path):
    path = tmp_path / "a"
    assert not is_score_table(path)
    for text in (day.to_csv(), json.dumps(day.as_dict(), indent=1), json.dumps(day.as_dict())):
        path.write_text(text)
        assert is_score_table(path)
    for other in (b"machine,section,file,domain,label\n", b"[]", b"RIFF\xff\xff", b""):
        path.write_bytes(other)
        assert not is_score_table(path)


def test_an_evaluation_names_what_was_not_judged_and_goes_on(dcase, detector_folder):
    test = nf.Clips.open(dcase, split="test", machines=["fan"])
    judged = nf.load(detector_folder).score(test)
    some = Scores([*judged[1:], nf.Verdict.none(judged[0].clip, 1.0, "silent")])
    with pytest.warns(nf.NearfarWarning, match=f"not judged: {judged[0].clip.name}"):
        found = nf.evaluate(some, draws=0)
    assert found == nf.evaluate(judged[1:], draws=0)


@pytest.mark.parametrize("name", ["a\rb.wav", "a\nb.wav", 'q"\r\n,.wav', " lead.wav", "c.wav"])
def test_a_csv_has_a_row_a_clip_whatever_it_is_called(name, tmp_path):
    clips = [nf.Clip(Path(name)), nf.Clip(Path("z.wav"))]
    table = Scores(nf.Verdict(c, 1.0, 0.5, 2.0, name) for c in clips).csv(tmp_path / "o.csv")
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["nearest"]) for row in rows] == [(name, name), ("z.wav", name)]
    plain = table.read_bytes().replace(f'"{name}"'.encode(), b"")
    assert b"\r" not in plain or "\r" not in name or '"' in name  # lines end as they always did
    assert table.read_bytes().endswith(b"z.wav\n")


def test_bytes_that_are_no_text_can_be_had_back_from_json_and_csv(tmp_path):
    """As docs/outputs.md says how."""
    name = os.fsdecode(b"b\xff.wav")
    said = Scores([nf.Verdict(nf.Clip(Path(name)), 1.0, 0.5, 2.0, "n")])
    assert (
        json.loads(as_bytes(json.dumps(said.as_dict(), ensure_ascii=False)))["scores"][0]["path"]
        == name
    )
    table = said.csv(tmp_path / "o.csv")
    with table.open(encoding="utf-8", newline="") as file:
        path = next(csv.DictReader(file))["path"]
    assert path == r"b\udcff.wav"
    assert re.sub(r"\\udc([89a-f][0-9a-f])", lambda m: chr(0xDC00 + int(m[1], 16)), path) == name
