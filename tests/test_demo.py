"""`make demo` again, and on other data: no detector is in the way, none of a user's is replaced."""

import csv
import json
import shutil
import subprocess
import sys

import pytest
from tools.wear import Outcome, outcome, told

from browser import drawn, opened, until
from conftest import TESTS

SCRIPT = TESTS.parent / "tools" / "demo.sh"
FAKE = """#!/bin/sh
echo "$@" >> calls.txt
"""


@pytest.fixture
def calls(tmp_path):
    """Run the demo with programs that only note what they were called with."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    place = tmp_path / ".venv" / "bin"
    place.mkdir(parents=True)
    for name in ("nearfar", "python"):
        (place / name).write_text(FAKE)
        (place / name).chmod(0o755)

    def call(data):
        command = ["bash", SCRIPT, data, "demo"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = (tmp_path / "calls.txt").read_text().splitlines()
        (tmp_path / "calls.txt").unlink()
        return found, done.stdout

    return call


@pytest.fixture
def demo(calls):
    """The demo's call of `nearfar fit`, and what it told."""

    def call(data):
        found, out = calls(data)
        return next(line for line in found if line.startswith("fit ")).split(), out

    return call


def test_each_data_has_a_folder_of_its_own(demo, tmp_path):
    outputs = set()
    for name in ("", "a/pump", "b/pump", "a b"):
        if name:
            (tmp_path / name).mkdir(parents=True)
        call, out = demo(name)
        outputs.add(call[call.index("-o") + 1])
        assert "$ nearfar fit " in out
    assert len(outputs) == 4


def test_only_what_the_demo_wrote_is_replaced(demo, tmp_path):
    (tmp_path / "demo" / "detector").mkdir(parents=True)  # somebody's
    assert "--replace" not in demo("")[0]
    assert "--replace" in demo("")[0]


def test_the_pump_is_fitted_on_its_healthy_part_and_watched_on_the_rest(calls):
    found, _ = calls("")
    words = {line.split()[0]: line.split() for line in found}
    made = words["simulate"][1]
    assert words["simulate"][2:4] == ["--preset", "wear"]
    assert words["fit"][1] == f"{made}/normal"
    assert words["timeline"][1:3] == [words["fit"][words["fit"].index("-o") + 1], f"{made}/watched"]
    # Fit and timeline never get the truth: only the program that tells what came out does.
    assert [line for line in found if made in line.split()] == [
        f"simulate {made} --preset wear --seed 0", f"-m tools.wear demo/timeline.json {made}"
    ]  # fmt: skip


def test_own_data_are_evaluated_where_they_have_tests(calls, tmp_path):
    (tmp_path / "hall" / "pump" / "test").mkdir(parents=True)
    (tmp_path / "normal").mkdir()
    with_tests = calls("hall")[0]
    assert [line.split()[0] for line in with_tests] == ["fit", "evaluate", "score", "report"]
    assert not any(line.startswith("evaluate") for line in calls("normal")[0])


@pytest.fixture
def real(tmp_path):
    """Run the demo with the real programs, or one command of it."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    place = tmp_path / ".venv" / "bin"
    place.mkdir(parents=True)
    for name, command in (("nearfar", "-m nearfar"), ("python", "")):
        (place / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (place / name).chmod(0o755)
    (tmp_path / "tools").symlink_to(TESTS.parent / "tools")

    def call(*words):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_a_new_user_s_way_from_the_demo_to_why_a_recording_of_his_own(real, tmp_path):
    """Demo, own folder, report, explanation of the clip that scores highest."""
    for _ in range(2):  # and again, over what it wrote
        said = real("bash", SCRIPT, "", "demo")
        assert "after the bearing began to wear, at severity 0." in said
        assert "pump: first lasting alarm 2026-03-" in said
    nearfar = tmp_path / ".venv" / "bin" / "nearfar"
    real(nearfar, "simulate", "hall", "--preset", "mini", "--machines", "fan", "--seed", "3")
    assert "nearfar report" in real("bash", SCRIPT, "hall", "demo")
    (own,) = (path.parent for path in (tmp_path / "demo").glob("hall-*/detector"))
    with (own / "scores.csv").open(encoding="utf-8") as file:
        highest = max(csv.DictReader(file), key=lambda row: float(row["score"]))
    why = tmp_path / "why.html"
    text = real(nearfar, "explain", own / "detector", tmp_path / highest["path"], "-o", why)
    assert highest["clip"].split("/")[-1] in text
    for page in (tmp_path / "demo" / "timeline.html", own / "report.html", why):
        with opened(page) as tab:
            assert drawn(tab) == []
            assert tab.locator("h1").count() == 1
    with opened(tmp_path / "demo" / "first-alarm.html") as tab:
        heard = "[...document.querySelectorAll('audio')].every(a => a.readyState >= 2 && !a.error)"
        until(tab, heard)
        # Near, far, and the healthy recording that sounds most like it.
        assert tab.locator("audio").count() == 3


# ---- tools.wear: what came out, held against the truth -------------------------------------------
def timeline(lasting, anomalous=None):
    marks = anomalous or lasting
    return {"scores": [
        {"path": f"watched/{n}.wav", "lasting": lasts == "x", "anomalous": mark == "x"}
        for n, (lasts, mark) in enumerate(zip(lasting, marks, strict=True))
    ]}  # fmt: skip


SEVERITIES = {f"{n}.wav": max(0, n - 3) / 4 for n in range(8)}  # worn from 4.wav on


def test_the_first_alarm_of_the_worn_machine_is_held_against_the_truth():
    assert outcome(timeline("......xx"), SEVERITIES) == Outcome(0.75, 2, 0, 0, 4)
    assert outcome(timeline("........"), SEVERITIES) == Outcome(None, None, 0, 0, 4)


def test_an_alarm_of_the_healthy_machine_is_a_false_one():
    found = outcome(timeline(".xx...xx", "xxx...xx"), SEVERITIES)
    assert found == Outcome(0.75, 2, lasting=1, single=3, healthy=4)


def test_an_alarm_that_stood_before_the_fault_did_not_find_it():
    assert outcome(timeline("..xxxx.x"), SEVERITIES) == Outcome(1.0, 3, 1, 2, 4)
    assert outcome(timeline("..xxxxxx"), SEVERITIES) == Outcome(None, None, 1, 2, 4)


def test_what_is_told_has_the_label_and_the_false_alarms():
    line = told(Outcome(0.5, 36, 0, 1, 48), "SIMULATED v1 seed 7")
    assert line.startswith("SIMULATED v1 seed 7: the alarm came 36 hours after")
    assert "12.0 dB below the pump" in line  # half way from −30 to +6
    assert line.endswith("in the 48 healthy hours before the fault: 0 lasting, 1 single recording.")
    assert "no lasting alarm" in told(Outcome(None, None, 0, 0, 48), "SIMULATED")


def test_the_recording_of_the_first_alarm_is_printed(tmp_path):
    alarms = [{"first": {"path": "watched/a.wav"}}, {"first": {"path": "watched/b.wav"}}]
    (tmp_path / "t.json").write_text(json.dumps({"machines": [{"alarms": alarms}]}))
    (tmp_path / "none.json").write_text(json.dumps({"machines": [{"alarms": []}]}))
    for name, line in (("t.json", "watched/a.wav\n"), ("none.json", "\n")):
        command = [sys.executable, "-m", "tools.wear", "--clip", tmp_path / name]
        done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=True)
        assert done.stdout == line
