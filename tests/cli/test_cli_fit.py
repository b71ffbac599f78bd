"""The commands fit, score and threshold."""

import csv
import json
import shutil

import nearfar as nf


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
    code, told, _ = run("score", detector_folder, clips, "--json", "--csv", path)
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
