"""The commands fit, score and threshold."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import machine_sound, write


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_looking_at_thresholds_writes_nothing(run, detector_folder, tmp_path):
    folder = tmp_path / "s4"
    shutil.copytree(detector_folder, folder)
    before = contents(folder)
    code, told, _ = run("threshold", folder)
    assert (code, "wrote" in told, contents(folder) == before) == (0, False, True)


def test_a_rate_of_the_command_is_the_rate_of_a_detector(run, detector_folder, tmp_path):
    folder = tmp_path / "s4"
    shutil.copytree(detector_folder, folder)
    code, told, _ = run("threshold", folder, "--false-alarm-rate", 0.5)
    assert (code, f"wrote {folder}" in told) == (0, True)
    wanted = nf.load(detector_folder).with_false_alarm_rate(0.5)
    for machine, section in wanted.sections:
        found = nf.load(folder).threshold(machine, section)
        assert found == wanted.threshold(machine, section)
        assert found.value <= nf.load(detector_folder).threshold(machine, section).value


def test_table_json_and_csv_say_the_same(run, detector_folder, dcase, tmp_path):
    clips, path = dcase / "fan" / "test", tmp_path / "scores.csv"
    code, told, _ = run("score", detector_folder, clips, "--json", "-", "--csv", path)
    assert code == 0
    spoken = json.loads(told)["scores"]
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(spoken) == len(written) == len(nf.Clips.open(clips))
    assert [v["score"] for v in spoken] == [float(row["score"]) for row in written]


def test_places_are_refused_before_the_recordings_are_looked_for(run, detector_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for arguments in (
        ("fit", "no such folder", "-o", tmp_path / "mine"),
        ("score", detector_folder, "no such folder", "--csv", tmp_path / "none" / "a.csv"),
    ):
        code, _, err = run(*arguments)
        assert (code, err.count("\n"), str(tmp_path) in err) == (2, 1, True), err


# ---- rows out = clips in -------------------------------------------------------------------------


@pytest.fixture
def day(tmp_path):
    """Today: one good recording, three with a dead far microphone."""
    rng = np.random.default_rng(5)
    for i in range(4):
        write(tmp_path / "today" / f"c{i}.wav", machine_sound(rng) * [[1], [i == 0]])
    return tmp_path / "today"


@pytest.fixture
def score(run, detector_folder):
    def call(*arguments):
        return run("score", detector_folder, *arguments, "--machine", "fan", "--workers", 1)

    return call


def test_clips_that_cannot_be_used_stay_in_every_output(score, day, tmp_path):
    code, told, err = score(day, "--skip-bad", "--csv", tmp_path / "o.csv")
    assert code == 0
    *_, summary, wrote = told.splitlines()
    assert summary.endswith("clips anomalous, 3 not judged")
    assert wrote == f"wrote {tmp_path / 'o.csv'}"
    assert err.count("\n") == 1  # one warning about three
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["clip"]).name for row in rows] == [f"c{i}.wav" for i in range(4)]
    for row in rows[1:]:
        assert (row["score"], row["percentile"], row["anomalous"]) == ("", "", "")
        assert "the far channel is digitally silent" in row["warning"]
    spoken = json.loads(score(day, "--skip-bad", "--json", "-")[1])["scores"]
    assert [row["score"] is None for row in spoken] == [False, True, True, True]
    assert [row["warning"] for row in spoken[1:]] == [row["warning"] for row in rows[1:]]


def test_silence_is_no_good_news(score, day, dcase):
    alarm = next((dcase / "fan" / "test").glob("*source*anomaly*"))
    quiet = ("--false-alarm-rate", "0.08")  # one of twelve normals would be above nothing
    judge = ("--skip-bad", "--fail-on-anomaly")
    assert score(*day.glob("c[123].wav"), *judge)[0] == 3  # none was judged at all
    assert score(*day.glob("c[123].wav"), "--skip-bad")[0] == 0
    assert score(day, alarm, *judge)[0] == 1  # an anomaly that was found comes first
    anomalous = "ANOMALOUS" in score(day / "c0.wav", *quiet)[1]
    assert score(day / "c0.wav", *judge, *quiet)[0] == int(anomalous)


def test_nothing_that_can_be_used_is_a_fault_of_a_fit_alone(run, score, day, tmp_path):
    code, told, _ = score(*sorted(day.glob("c[123].wav")), "--skip-bad")
    assert (code, told.splitlines()[-1]) == (0, "0 of 0 clips anomalous, 3 not judged")
    (day / "c0.wav").unlink()
    code, _, err = run("fit", day, "-o", tmp_path / "d", "--skip-bad", "--workers", 1)
    assert (code, "none of its clips can be used" in err) == (2, True)


@pytest.mark.parametrize("command", ["fit", "score"])
def test_all_that_is_wrong_is_said_in_one_run(command, run, score, day, tmp_path):
    (day / "c2.wav").write_bytes(b"no sound")
    run_it = {"fit": lambda: run("fit", day, "-o", tmp_path / "d", "--workers", 1),
              "score": lambda: score(day, "--csv", tmp_path / "o.csv")}[command]  # fmt: skip
    code, told, err = run_it()
    assert (code, told) == (2, "")
    *faults, line = err.splitlines()
    told = "\n".join(faults or [line])  # a cause that all share stands in the error itself
    assert all(f"c{i}.wav" in told for i in (1, 2, 3))
    assert all(fault.startswith("fault: ") for fault in faults)
    assert line.startswith("error: 3 of 4 clips cannot be used; leave them out with --skip-bad: ")
    assert len(line) <= 500 + len("error: ")
    assert not (tmp_path / "o.csv").exists()
    assert not (tmp_path / "d").exists()


def test_a_clip_named_by_itself_and_by_its_folder_is_one(score, day):
    code, told, _ = score(day, day / "c0.wav", day, "--skip-bad", "--json", "-")
    assert (code, len(json.loads(told)["scores"])) == (0, 4)


# ---- nothing that is an input is ever written to -------------------------------------------------


def test_what_a_shell_makes_of_a_star_destroys_no_recording(score, day, tmp_path, detector_folder):
    first, *others = sorted(day.glob("*.wav"))
    (tmp_path / "mine.csv").write_text("name,phone")
    before = contents(tmp_path) | contents(detector_folder)
    for place, said in (
        (first, "call it c0.csv"),
        (tmp_path / "mine.csv", "--replace"),
        (detector_folder / "a.csv", "is an input of this command|lies in a detector"),
    ):
        code, _, err = score("--csv", place, *others, "--skip-bad")
        assert (code, err.count("\n")) == (2, 1)
        assert any(words in err for words in said.split("|")), err
    assert contents(tmp_path) | contents(detector_folder) == before
    for _ in range(2):  # an earlier table is made anew unasked
        assert score("--csv", tmp_path / "o.csv", *others, "--skip-bad")[0] == 0
    assert score("--csv", tmp_path / "mine.csv", *others, "--skip-bad", "--replace")[0] == 0
    assert (tmp_path / "mine.csv").read_text().startswith("machine,section,clip,")
    assert score("--csv", os.devnull, *others, "--skip-bad")[0] == 0


def test_a_first_fit_says_what_it_is_without_a_warning(run, tmp_path):
    rng = np.random.default_rng(6)
    for i in range(10):
        write(tmp_path / "pump7" / f"{i}.wav", machine_sound(rng))
    code, told, err = run("fit", tmp_path / "pump7", "-o", tmp_path / "d", "--workers", 1)
    assert (code, err) == (0, "")
    assert "no target clips, so enrichment is off: pump7" in told


def test_a_licence_is_said_once_and_stays(run, dcase, tmp_path):
    det = tmp_path / "det"
    fit = ("fit", dcase / "fan", "-s", "logmel", "-o", det, "--workers", 1)
    assert run(*fit, "--license", " CC BY-NC-SA 4.0 ")[0] == 0
    assert nf.load(det).data_license == "CC BY-NC-SA 4.0"
    code, out, _ = run(*fit)
    assert (code, "licence CC BY-NC-SA 4.0" in out) == (0, True)
    assert run("threshold", det, "--false-alarm-rate", 0.2)[0] == 0
    assert "| CC BY-NC-SA 4.0 |" in (det / "README.md").read_text()
    for bad in ("", "a\nb", "x" * 300):
        code, _, err = run(*fit, "--license", bad)
        assert (code, err.count("\n"), "--license" in err) == (2, 1, True)
