"""`nearfar timeline`: what it prints and writes, and what it refuses before clips are heard."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

import nearfar as nf
from command import failed
from conftest import machine_sound, write
from nearfar.scores.alarms import AlarmRule, histories


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Eight hours of a pump, the last four with clicks; hours are in their names. Read only."""
    folder = tmp_path_factory.mktemp("watched")
    rng = np.random.default_rng(3)
    for hour in (5, 1, 7, 0, 3, 2, 6, 4):
        write(folder / f"20260302_{hour:02d}0000.wav", machine_sound(rng, anomaly=hour > 3))
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A pump's detector. Read only."""
    rng = np.random.default_rng(2)
    folder = tmp_path_factory.mktemp("normal")
    for n in range(12):
        write(folder / f"{n}.wav", machine_sound(rng))
    place = tmp_path_factory.mktemp("detector") / "pump"
    nf.fit(nf.s4(), nf.Clips.open(folder, machine="pump")).save(place)
    return place


def test_the_first_alarm_is_told_with_its_time_and_what_came_before(run, detector, watched):
    scores = nf.load(detector).score(nf.Clips.open(watched))
    (history,) = histories(scores, AlarmRule(2, 3))
    spell = history.spells[0]
    alarms, judged = history.before(spell)
    code, out, _ = run("timeline", detector, watched, "--alarm", "2/3")
    assert code == 0
    line = next(x for x in out.splitlines() if x.startswith("pump: "))
    assert f"first lasting alarm {history.when(spell.first)}" in line
    assert f"{alarms} of {judged} recordings" in line
    assert "2 of the last 3 recordings above the threshold" in out
    assert all(len(x) <= 80 for x in out.splitlines() if x.startswith(("machine ", "pump ")))


@pytest.mark.slow
def test_files_have_every_recording_in_the_order_of_time(run, detector, watched, tmp_path):
    code, out, _ = run(
        "timeline", detector, watched, "--csv", tmp_path / "t.csv", "--json", tmp_path / "t.json",
        "-o", tmp_path / "t.html",
    )  # fmt: skip
    assert code == 0
    for name in ("t.csv", "t.json", "t.html"):
        assert f"wrote {tmp_path / name}" in out
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    told = json.loads((tmp_path / "t.json").read_text())
    times = [row["time"] for row in rows]
    assert times == sorted(times)
    assert times == [row["time"] for row in told["scores"]]
    assert [row["lasting"] == "True" for row in rows] == [r["lasting"] for r in told["scores"]]
    (pump,) = told["machines"]
    assert (pump["recordings"], pump["timed"], told["alarm"]) == (8, True, {"least": 3, "of": 5})
    first = pump["alarms"][0]["first"]["time"]
    assert first == next(row["time"] for row in rows if row["lasting"] == "True")
    # The same command again writes over what it wrote, and over nothing else.
    again = ("timeline", detector, watched, "--json", tmp_path / "t.json", "-o")
    assert run(*again, tmp_path / "t.html")[0] == 0
    (tmp_path / "mine.html").write_text("<!doctype html>\n<title>mine</title>")
    failed(run(*again, tmp_path / "mine.html"), "mine.html", "--replace")


def test_standard_output_may_be_one_table(run, detector, watched):
    code, out, _ = run("timeline", detector, watched, "--json", "-")
    assert (code, len(json.loads(out)["scores"])) == (0, 8)
    code, out, _ = run("timeline", detector, watched, "--csv", "-")
    assert (code, len(list(csv.DictReader(io.StringIO(out))))) == (0, 8)
    failed(run("timeline", detector, watched, "--json", "-", "--csv", "-"), "standard output")


def test_recordings_without_a_time_are_in_the_order_of_names_and_that_is_said(
    run, detector, watched, tmp_path
):
    for n, clip in enumerate(sorted(watched.iterdir())):
        shutil.copy(clip, tmp_path / f"clip {n + 5}.wav")
    code, out, _ = run("timeline", detector, tmp_path)
    assert code == 0
    assert "pump: not every recording says when it was made" in out
    assert "first lasting alarm clip 11.wav, of recordings since clip 9.wav" in out


def test_what_cannot_be_used_is_a_gap_and_counted(run, detector, watched, tmp_path):
    shutil.copytree(watched, tmp_path / "hall")
    (tmp_path / "hall" / "20260302_023000.wav").write_bytes(b"")
    failed(run("timeline", detector, tmp_path / "hall"), "20260302_023000.wav", "--skip-bad")
    code, out, err = run("timeline", detector, tmp_path / "hall", "--skip-bad")
    assert code == 0
    head, line = out.splitlines()[:2]
    assert head.endswith("not judged")
    assert line.split()[-1] == "1"
    assert "·" in line
    assert "20260302_023000.wav: not judged" in err


def test_a_script_is_told_by_the_exit_code_whether_an_alarm_stands(
    run, detector, watched, tmp_path
):
    given = ("timeline", detector, tmp_path, "--fail-on-alarm", "--alarm", "3/4")
    clips = sorted(watched.iterdir())
    shutil.copytree(watched, tmp_path, dirs_exist_ok=True)
    assert run(*given)[0] == 1
    for file in clips[4:]:  # those with clicks
        (tmp_path / file.name).unlink()
    assert run(*given)[0] == 0
    (tmp_path / "20260302_233000.wav").write_bytes(b"")
    assert run(*given, "--skip-bad")[0] == 3
    assert run(*given[:3], "--skip-bad")[0] == 0  # nobody asked
    for n, file in enumerate((*clips[4:], *clips[:4])):  # clicks first, then none
        shutil.copy(file, tmp_path / f"20260303_{n:02d}0000.wav")
    code, out, _ = run(*given, "--skip-bad")
    assert (code, "first lasting alarm 2026-03-03 02:00" in out) == (0, True)  # it is over


def test_a_long_recording_is_cut(run, detector, tmp_path):
    rng = np.random.default_rng(5)
    whole = np.concatenate([machine_sound(rng) for _ in range(6)], axis=1)
    write(tmp_path / "20260302_000000.wav", whole)
    code, out, _ = run("timeline", detector, tmp_path, "--clip-seconds", 1.5, "--json", "-")
    times = [row["time"] for row in json.loads(out)["scores"]]
    assert (code, len(set(times)), times) == (0, 6, sorted(times))


def test_machines_have_a_line_each(run, detector_folder, dcase):
    code, out, _ = run("timeline", detector_folder, dcase / "fan" / "test", dcase / "pump" / "test")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["fan", "pump"]


def test_of_a_data_set_training_clips_are_said_to_be_judged_too(run, detector_folder, dcase):
    code, _, err = run("timeline", detector_folder, dcase)
    assert (code, err.count("training clips of a data set")) == (0, 1)
    assert "training clips" not in run("timeline", detector_folder, dcase / "fan" / "test")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--alarm", "6/5"), ("6/5", "k/n")),
        (("--alarm", "often"), ("often", "3/5")),
        (("--machine", "valve"), ("valve", "pump")),
        (("-o", "t.txt"), ("t.txt", ".html")),
        (("-o", "gone/t.html"), ("gone",)),
        (("--csv", "t.json"), ("t.json", ".csv")),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    run, detector, watched, tmp_path, monkeypatch, arguments, words
):
    monkeypatch.chdir(tmp_path)
    failed(run("timeline", detector, watched, *arguments), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_recordings_is_refused(run, detector, tmp_path):
    (tmp_path / "empty").mkdir()
    failed(run("timeline", detector, tmp_path / "empty"), "empty")
    failed(run("timeline", tmp_path / "empty", tmp_path / "empty"), "empty")


def test_a_page_needs_its_extra_and_is_refused_before_clips_are_heard(
    run, detector, watched, tmp_path, monkeypatch
):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.setattr("nearfar.detector.detector.Detector.score", None)
    failed(run("timeline", detector, watched, "-o", tmp_path / "t.html"), "nearfar[report]")
