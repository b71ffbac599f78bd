"""Rows of clips are read back as they were written, labels and all."""

import json

import pytest

from conftest import refused
from made_scores import made
from nearfar.errors import FormatError
from nearfar.metrics.official import evaluate
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.saved import read_json, read_table, rows_of, table_of, truth_of
from nearfar.scores.truth import LabelledFile, Truth
from reports import judged, official

PLACE = "a.json"


def back(rows):
    return json.loads(json.dumps(rows))


@pytest.mark.parametrize("domains", [True, False])
def test_scores_and_labels_come_back(tmp_path, domains):
    table, truth = made(5, domains=domains)
    rows = back(rows_of(table, truth))
    scores, labels = table_of(rows, tmp_path / PLACE), truth_of(rows, tmp_path / PLACE)
    assert [(r.machine, r.section, r.file, r.score, r.decision) for r in scores.rows] == [
        (r.machine, r.section, r.file, r.score, r.decision) for r in table.rows
    ]
    assert evaluate(scores, labels, draws=30) == evaluate(table, truth, draws=30)


def test_a_clip_is_found_again_under_both_its_names(tmp_path):
    """By the truth's name clips are sorted, and by that order a bootstrap draws."""
    table, truth = made(6, ties=False)
    names = {(r.machine, r.file): f"{n:04d}.wav" for n, r in enumerate(reversed(truth.rows))}
    anonymous = Truth(
        tuple(
            LabelledFile(r.machine, r.section, names[r.machine, r.file], r.domain, r.label, r.file)
            for r in truth.rows
        )
    )
    rows = back(rows_of(table, anonymous))
    assert rows[0]["labelled_as"] != rows[0]["file"] == table.rows[0].file
    labels = truth_of(rows, tmp_path / PLACE)
    wanted = evaluate(table, anonymous, draws=40)
    assert evaluate(table_of(rows, tmp_path / PLACE), labels, draws=40) == wanted
    other = ScoreTable(
        tuple(ScoredFile(r.machine, r.section, names[r.machine, r.file], r.score, r.decision)
              for r in table.rows)
    )  # fmt: skip
    assert evaluate(other, labels, draws=40) == wanted


def test_rows_without_labels_have_no_truth(tmp_path):
    table, truth = made(7)
    assert truth_of(rows_of(table), tmp_path / PLACE) is None
    rows = rows_of(table, truth)
    del rows[3]["label"]
    refused(lambda: truth_of(rows, tmp_path / PLACE), PLACE, "label", error=FormatError)
    rows = rows_of(table, truth)
    rows[3]["domain"] = "sauce"
    refused(lambda: truth_of(rows, tmp_path / PLACE), "'sauce'", error=FormatError)


def test_what_score_writes_is_read_as_json_and_as_csv(tmp_path):
    said = judged(official("fan", 5), silent=(2,)).scores
    (tmp_path / "s.csv").write_text(said.to_csv(), encoding="utf-8")
    rows = back(said.as_dict())["scores"]
    found = [read_table(tmp_path / "s.csv"), table_of(rows, tmp_path / PLACE)]
    for table in found:
        assert [(r.file, r.score, r.decision) for r in table.rows] == [
            (v.clip.key, v.score, v.anomalous) for v in said.judged
        ]


def test_what_is_no_table_of_ours_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    refused(lambda: read_table(path), "cannot be read", error=FormatError)
    head = "machine,section,clip,score,anomalous,path\n"
    for text in (
        "",
        "a,b\n1,2\n",
        "section_00_0000.wav,0.5\n",
        f"{head}fan,00,a,x,,p\n",
        f"{head}fan",
    ):
        path.write_text(text)
        refused(lambda: read_table(path), "t.csv", "nearfar score --csv", error=FormatError)
    path.write_text(f"{head}fan,00,a.wav,nan,,p\n")
    refused(lambda: read_table(path), "'a.wav' is nan", error=FormatError)
    path.write_bytes(b"\xff\xfe\x00")
    refused(lambda: read_table(path), "nearfar score --csv", error=FormatError)


def test_a_file_that_is_no_json(tmp_path):
    refused(lambda: read_json(tmp_path / PLACE), "cannot be read", error=FormatError)
    (tmp_path / PLACE).write_text("{")
    assert read_json(tmp_path / PLACE) is None
