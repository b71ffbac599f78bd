"""The option --parquet of score and timeline."""

import csv
import sys

import pytest

from conftest import refused
from nearfar.cli.parquet import check_parquet
from nearfar.errors import StorageError

pytest.importorskip("pyarrow")


@pytest.mark.parametrize("command", ["score", "timeline"])
def test_the_file_has_the_rows_of_the_csv(run, detector_folder, dcase, tmp_path, command):
    from pyarrow.parquet import read_schema, read_table

    clips, path, plain = dcase / "fan" / "test", tmp_path / "s.parquet", tmp_path / "s.csv"
    asked = (command, detector_folder, clips, "--parquet", path, "--csv", plain, "--workers", 1)
    code, out, err = run(*asked)
    assert (code, f"wrote {path}" in out) == (0, True), err
    with plain.open(newline="") as file:
        wanted = list(csv.DictReader(file))
    found = read_table(path).to_pylist()
    said = [{k: "" if v is None else str(v) for k, v in row.items()} for row in found]
    assert said == wanted
    assert read_schema(path).metadata[b"nearfar.detector"] == str(detector_folder).encode()
    assert run(*asked)[0] == 0  # an earlier output is made anew


def test_what_cannot_be_written_is_refused_first(run, detector_folder, tmp_path, monkeypatch):
    gone = tmp_path / "no such folder"
    code, _, err = run("score", detector_folder, gone, "--parquet", "-")
    assert (code, err.count("\n"), "give it a file" in err) == (2, 1, True)
    for path in (tmp_path / "a.csv", gone / "a.parquet", tmp_path):
        code, _, err = run("score", detector_folder, gone, "--parquet", path)
        assert (code, err.count("\n"), str(tmp_path) in err) == (2, 1, True)
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    refused(lambda: check_parquet(tmp_path / "mine.parquet", [], replace=False), "--replace",
            error=StorageError)  # fmt: skip
    check_parquet(tmp_path / "mine.parquet", [], replace=True)
    check_parquet(None, [], replace=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    code, _, err = run("score", detector_folder, gone, "--parquet", tmp_path / "a.parquet")
    assert (code, err.count("\n"), "pip install 'nearfar[parquet]'" in err) == (2, 1, True)
