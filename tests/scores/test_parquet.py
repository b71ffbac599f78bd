"""A Parquet file says what the CSV says, in types that a table's reader knows."""

import csv
import io
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import nearfar as nf
from conftest import refused
from nearfar.files import as_bytes
from nearfar.scores.parquet import SCHEMA_KEY, is_score_parquet
from nearfar.scores.verdict import Verdict

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CLIP = nf.Clip(Path("hall/fan/new.wav"), machine="fan")


def said(*clips):
    rows = [nf.Verdict(c, 1.5 + n, 0.5, 2.0, "old.wav", p_value=0.1) for n, c in enumerate(clips)]
    return nf.Scores([*rows, Verdict.none(CLIP, 2.0, "hall/fan/new.wav: empty file")])


def table(content):
    return parquet.read_table(io.BytesIO(content))


def test_columns_and_values_are_those_of_the_csv():
    scores = said(CLIP, replace(CLIP, path=Path("b,\n.wav")))
    found = table(scores.to_parquet())
    rows = list(csv.DictReader(io.StringIO(scores.to_csv(), newline="")))
    assert found.column_names == list(rows[0])
    for ours, theirs in zip(found.to_pylist(), rows, strict=True):
        assert {k: "" if v is None else str(v) for k, v in ours.items()} == theirs


def test_types_are_numbers_truths_texts_and_a_time():
    found = table(said(CLIP).to_parquet()).schema
    kinds = {field.name: str(field.type) for field in found}
    assert kinds == {
        "machine": "string", "section": "string", "clip": "string", "score": "double",
        "percentile": "double", "anomalous": "bool", "threshold": "double", "nearest": "string",
        "warning": "string", "time": "timestamp[us]", "p_value": "double", "path": "string",
    }  # fmt: skip
    assert table(nf.Scores(()).to_parquet()).schema.names == list(kinds)  # of no clips, too


def test_times_are_times():
    local = datetime(2026, 6, 15, 8, 30, 0, 250000)
    zoned = local.replace(tzinfo=timezone(timedelta(hours=2)))
    plain = table(said(replace(CLIP, time=local)).to_parquet())
    assert plain["time"].to_pylist() == [local, None]
    utc = table(said(replace(CLIP, time=zoned)).to_parquet())
    assert utc["time"].to_pylist()[0] == zoned
    assert str(utc.schema.field("time").type) == "timestamp[us, tz=UTC]"
    both = said(replace(CLIP, time=local), replace(CLIP, time=zoned.astimezone(UTC)))
    assert table(both.to_parquet())["time"].to_pylist()[:2] == [
        local.isoformat(), zoned.astimezone(UTC).isoformat(),
    ]  # fmt: skip


def test_the_file_says_what_judged_and_which_nearfar(tmp_path):
    path = said(CLIP).parquet(tmp_path / "a.parquet", detector="pump7.detector")
    about = parquet.read_schema(path).metadata
    assert about[b"nearfar.detector"] == b"pump7.detector"
    assert about[b"nearfar.version"] == nf.__version__.encode()
    assert about[SCHEMA_KEY.encode()] == b"1"


def test_names_that_are_no_text_are_spelled_out():
    odd = "b\udcff.wav"
    found = table(said(replace(CLIP, path=Path(odd))).to_parquet(detector=odd))
    assert found["path"][0].as_py() == as_bytes(odd).decode()


def test_whether_an_alarm_stood_is_a_column_of_its_own():
    found = table(said(CLIP).to_parquet(lasting=[True, False]))
    assert found["lasting"].to_pylist() == [True, False]


def test_a_file_of_ours_is_known(tmp_path):
    ours = said(CLIP).parquet(tmp_path / "a.parquet")
    assert is_score_parquet(ours)
    parquet.write_table(pyarrow.table({"score": [1.0]}), tmp_path / "b.parquet")
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    (tmp_path / "d.parquet").write_bytes(b"\xff\xff\xff\xffPAR1")
    for other in ("b.parquet", "c.parquet", "d.parquet", "none.parquet"):
        assert not is_score_parquet(tmp_path / other)


def test_without_pyarrow_one_line_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    refused(lambda: said(CLIP).parquet(tmp_path / "a.parquet"), "pyarrow", "nearfar[parquet]")
    assert not list(tmp_path.iterdir())
