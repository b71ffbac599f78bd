"""The command fleet tells of every machine what its detector's index says, and reads no bank."""

import csv
import json
import os

import numpy as np
import pytest

from command import failed
from nearfar.detector.detector import Detector
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.system.presets import logmel


def section_of(clips):
    rows = np.random.default_rng(clips).standard_normal((clips, 128)).astype(np.float32)
    scores = np.arange(1.0, clips + 1)
    member = Member(rows, np.arange(clips), np.zeros(clips, np.int8), None, scores)
    known = tuple(TrainingClip(f"{i}.wav", digest="") for i in range(clips))
    return Section((member,), known, levels=None, seconds=1.0)


@pytest.fixture
def plant(tmp_path):
    """A folder of two detectors; one knows two machines."""
    both = {("pump", "00"): section_of(5), ("fan", "00"): section_of(4)}
    a = Detector(logmel(), both, false_alarm_rate=0.2).save(tmp_path / "plant" / "a")
    b = Detector(logmel(), {("saw", "00"): section_of(3)}).save(tmp_path / "plant" / "b")
    for bank in (*a.glob("bank-*"), *b.glob("bank-*")):
        bank.write_bytes(b"not read")
        os.utime(bank, (86_400, 86_400))
    return tmp_path / "plant"


def test_each_machine_is_a_row(run, plant):
    _, out, _ = run("fleet", plant, "--json", "-")
    found = json.loads(out)["machines"]
    assert [(row["machine"], row["clips"]) for row in found] == [
        ("fan", 4),
        ("pump", 5),
        ("saw", 3),
    ]
    assert {row["fitted"] for row in found} == {"1970-01-02"}
    assert [row["false_alarm_rate"] for row in found] == [0.2, 0.2, 0.1]
    rows = list(csv.DictReader(run("fleet", plant, "--csv", "-")[1].splitlines()))
    assert [{k: str(v) for k, v in row.items()} for row in found] == rows
    assert "pump" in run("fleet", plant / "a", plant / "b")[1]


def test_damaged_ones_are_told_together(run, plant):
    for name in ("a", "b"):
        (plant / name / "detector.json").write_text("{}")
    failed(run("fleet", plant), "2 detectors cannot be read")


def test_skip_bad_lists_the_others(run, plant):
    (plant / "a" / "detector.json").write_text("{}")
    code, out, err = run("fleet", plant, "--skip-bad")
    assert code == 0
    assert "saw" in out
    assert "pump" not in out
    assert "left out" in err


def test_a_folder_without_a_detector_is_refused(run, tmp_path):
    failed(run("fleet", tmp_path), "neither a detector nor a folder of detectors")
