"""A folder of official files is whole or not there, and nothing of others is written over."""

import os

import pytest

import nearfar.scores.official_files as official
from conftest import refused
from nearfar.clips import Clip
from nearfar.errors import DatasetError, StorageError
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.official_files import check_folder_for, official_table, write_official
from nearfar.scores.verdict import Verdict

TABLE = ScoreTable(
    tuple(
        ScoredFile(machine, "00", f"section_00_{n:04d}.wav", n / 3, decision=bool(n % 2))
        for machine in ("drill", "lathe")
        for n in range(4)
    )
)


def test_files_have_the_official_names_and_every_digit(tmp_path):
    folder = tmp_path / "deep" / "OUT"
    written = write_official(folder, TABLE)
    assert sorted(path.name for path in folder.iterdir()) == [
        "anomaly_score_drill_section_00_test.csv", "anomaly_score_lathe_section_00_test.csv",
        "decision_result_drill_section_00_test.csv", "decision_result_lathe_section_00_test.csv",
    ]  # fmt: skip
    assert sorted(written) == sorted(folder.iterdir())
    text = (folder / "anomaly_score_drill_section_00_test.csv").read_bytes()
    assert text.splitlines()[1] == f"section_00_0001.wav,{1 / 3!r}".encode()
    assert text.endswith(b"\n")
    assert b"\r" not in text
    assert b"\n\n" not in text
    back = {(r.machine, r.file): (r.score, r.decision) for r in read_scores(folder).rows}
    assert back == {(r.machine, r.file): (r.score, r.decision) for r in TABLE.rows}
    assert os.listdir(folder.parent) == ["OUT"]


@pytest.mark.parametrize("replace", [False, True])
def test_what_is_somebodys_stays(tmp_path, replace):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    (tmp_path / "det").mkdir()
    (tmp_path / "det" / "detector.json").write_text("{}")
    for place, said in (("file", "is a file"), ("notes", "a.txt"), ("det/out", "in a detector")):
        refused(
            lambda place=place: write_official(tmp_path / place, TABLE, replace=replace),
            said, error=StorageError,
        )  # fmt: skip
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["det", "file", "notes"]


def test_earlier_files_are_replaced_as_a_whole_and_only_when_asked(tmp_path):
    write_official(tmp_path / "out", TABLE)
    refused(lambda: check_folder_for(tmp_path / "out"), "4 official files", "--replace")
    fewer = ScoreTable(TABLE.rows[:4])
    write_official(tmp_path / "out", fewer, replace=True)
    assert len(os.listdir(tmp_path / "out")) == 2  # the other machine's are gone with them
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("there", [False, True])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, there):
    if there:
        write_official(tmp_path / "out", ScoreTable(TABLE.rows[:4]))
    before = sorted(tmp_path.rglob("*"))

    def full(folder, table):
        (folder / "anomaly_score_drill_section_00_test.csv").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(official, "write_scores", full)
    refused(lambda: write_official(tmp_path / "out", TABLE, replace=True), error=StorageError)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_run_left_is_swept_when_it_is_old(tmp_path):
    for name, age in ((".out.aaaaaaaa.nearfar", 7200), (".out.bbbbbbbb.nearfar", 0)):
        (tmp_path / name).mkdir()
        when = os.stat(tmp_path).st_mtime - age
        os.utime(tmp_path / name, (when, when))
    write_official(tmp_path / "out", TABLE)
    assert sorted(os.listdir(tmp_path)) == [".out.bbbbbbbb.nearfar", "out"]


def test_a_clip_that_was_not_judged_makes_no_official_file():
    silent = [
        Verdict.none(Clip(f"{name}.wav", machine="fan"), 1.0, f"{name}.wav: far is silent")
        for name in ("dead", "gone")
    ]
    refused(
        lambda: official_table(silent[:1]), "dead.wav: far is silent", "every test clip",
        error=DatasetError,
    )  # fmt: skip
    open_end = Verdict(Clip("a.wav", machine="fan"), 1.0, 0.5, float("nan"), nearest="b.wav")
    refused(lambda: official_table([open_end]), "no decision on a.wav", error=DatasetError)
    with pytest.raises(DatasetError, match="2 of 2 clips cannot be judged") as caught:
        official_table(silent)
    assert caught.value.faults == ("dead.wav: far is silent", "gone.wav: far is silent")
