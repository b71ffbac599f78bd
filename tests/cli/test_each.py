"""fit --each writes a detector for each machine, and together they are the one of all."""

import csv
import shutil

import numpy as np
import pytest

import nearfar as nf
from command import failed
from conftest import machine_sound, write

SYSTEM = ("-s", "logmel", "--workers", 1)
MACHINES = [f"m{number:02d}" for number in range(12)]


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def recordings(root, machines, clips=4):
    """A folder a machine, of short recordings."""
    rng = np.random.default_rng(7)
    for machine in machines:
        for number in range(clips):
            for side in ("train", "test"):
                name = f"section_00_source_{side}_normal_{number:04d}_noAttribute.wav"
                write(root / machine / side / name, machine_sound(rng, seconds=1))
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("many"), MACHINES)


@pytest.fixture(scope="module")
def few(many, tmp_path_factory):
    """Three of them."""
    root = tmp_path_factory.mktemp("few")
    for machine in MACHINES[:3]:
        shutil.copytree(many / machine, root / machine)
    return root


def test_a_fleet_scores_as_the_detector_of_all(run, many, tmp_path):
    fleet, whole = tmp_path / "fleet", tmp_path / "whole"
    code, told, err = run("fit", many, "-o", fleet, "--each", *SYSTEM)
    assert (code, f"wrote 12 detectors of 48 clips in {fleet}" in told) == (0, True), err
    code, _, alone = run("fit", many, "-o", whole, *SYSTEM)
    assert (code, err) == (0, alone)
    assert sorted(path.name for path in fleet.iterdir()) == MACHINES
    tables = []
    for detector in (fleet, whole):
        tables.append(tmp_path / f"{detector.name}.csv")
        assert run("score", detector, many, "--csv", tables[-1], "--workers", 1)[0] == 0
    assert tables[0].read_bytes() == tables[1].read_bytes()
    one = tmp_path / "one"
    data = many / MACHINES[4]
    assert run("fit", data, "-o", one, "--machine", MACHINES[4], *SYSTEM)[0] == 0
    assert contents(one) == contents(fleet / MACHINES[4])
    rows = list(csv.DictReader(run("fleet", fleet, "--csv", "-")[1].splitlines()))
    assert [row["machine"] for row in rows] == MACHINES
    assert {row["clips"] for row in rows} == {"4"}


def test_a_second_fit_keeps_what_each_was_and_was_told(run, few, tmp_path):
    fleet = tmp_path / "fleet"
    command = ("fit", few, "-o", fleet, "--each", *SYSTEM)
    assert run(*command, "--false-alarm-rate", 0.3)[0] == 0
    before = contents(fleet)
    code, told, _ = run(*command)
    assert (code, "false-alarm rate 0.3 (m00, m01, m02)" in told) == (0, True)
    assert "replacing 3" in told
    for machine in MACHINES[:3]:
        kept = {f"{machine}/{name}": content
                for name, content in contents(fleet / f"{machine}.previous").items()}  # fmt: skip
        assert kept == {name: text for name, text in before.items() if name.startswith(machine)}
    assert nf.load(fleet).false_alarm_rate == 0.3
    assert nf.load(fleet).machines == tuple(MACHINES[:3])


def test_loss_is_refused_before_a_clip_is_heard(run, few, many, tmp_path):
    fleet = tmp_path / "fleet"
    assert run("fit", few, "-o", fleet, "--each", *SYSTEM)[0] == 0
    before = contents(fleet)
    less = recordings(tmp_path / "less", MACHINES[1:2], clips=1)
    for number in range(4):
        (less / "m00" / "train").mkdir(parents=True, exist_ok=True)
        name = f"section_00_source_train_normal_{number:04d}_noAttribute.wav"
        (less / "m00" / "train" / name).write_bytes(b"never read")
    failed(run("fit", less, "-o", fleet, "--each", *SYSTEM), fleet / "m01", "--replace")
    assert contents(fleet) == before


def test_places_are_refused_in_one_line(run, few, tmp_path):
    command = ("fit", few, "--each", *SYSTEM, "-o")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    failed(run(*command, tmp_path / "mine"), "other things than detectors in it (notes.txt)")
    (tmp_path / "file").write_text("mine")
    failed(run(*command, tmp_path / "file"), "is a file")
    whole = tmp_path / "whole"
    assert run("fit", few, "-o", whole, *SYSTEM)[0] == 0
    failed(run(*command, whole), "lies in the detector")
    failed(run(*command, tmp_path / "part", "--shard", "1/2"), "exclude each other")
    fleet = tmp_path / "fleet"
    assert run(*command, fleet)[0] == 0
    (fleet / "m01").rename(fleet / "hall 2")
    failed(run(*command, fleet), fleet / "hall 2", "which would lie in", fleet / "m01")
    failed(run("fit", few, *SYSTEM, "-o", fleet), "detectors in it", "with --each")


def test_two_machines_share_no_folder(run, tmp_path):
    data = recordings(tmp_path / "data", ["fan", "fan?", "fan*"], clips=1)
    failed(run("fit", data, "-o", tmp_path / "fleet", "--each", *SYSTEM), "fan*", "fan?", "fan_")
    assert not (tmp_path / "fleet").exists()


def test_what_is_of_one_detector_is_refused_of_many(run, few, tmp_path):
    fleet = tmp_path / "fleet"
    assert run("fit", few, "-o", fleet, "--each", *SYSTEM)[0] == 0
    before = contents(fleet)
    for command in (
        ("learn", fleet, few / "m00" / "test"),
        ("learn", fleet, "--log"),
        ("learn", fleet, "--forget", "a.wav"),
        ("threshold", fleet, "--false-alarm-rate", 0.2),
    ):
        failed(run(*command), "is a folder of detectors", fleet / "m00")
    assert contents(fleet) == before
    part = tmp_path / "scores.part"
    code, _, err = run("score", fleet, few, "-o", part, "--shard", "1/1", "--workers", 1)
    assert code == 0, err
    for name, command in {"a": ("merge", part), "b": ("score", fleet, few)}.items():
        assert run(*command, "--csv", tmp_path / f"{name}.csv", "--workers", 1)[0] == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_what_stands_out_is_told_as_of_all(run, tmp_path):
    data = recordings(tmp_path / "data", ["fan", "pump", "saw"], clips=12)
    odd = data / "pump" / "train" / "section_00_source_train_normal_0004_noAttribute.wav"
    write(odd, machine_sound(np.random.default_rng(3), seconds=1, anomaly=True))
    said = []
    for option in ((), ("--each",)):
        code, _, err = run("fit", data, "-o", tmp_path / f"det{len(said)}", *option, *SYSTEM)
        assert code == 0, err
        said.append(err.splitlines())
    assert any("pump" in line and odd.name in line for line in said[0])
    assert sorted(said[1]) == sorted(said[0])


def test_clips_that_cannot_be_used_are_told_together(run, few, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(few, data)
    for machine in ("m00", "m02"):
        bad = data / machine / "train" / "section_00_source_train_normal_0001_noAttribute.wav"
        bad.write_bytes(b"no sound")
    command = ("fit", data, "-o", tmp_path / "fleet", "--each", *SYSTEM)
    failed(run(*command), "2 of 12 clips cannot be used")
    assert not (tmp_path / "fleet").exists()
    assert run(*command, "--skip-bad")[0] == 0
    assert [len(nf.load(tmp_path / "fleet" / name).sections[name, "00"].clips)
            for name in ("m00", "m01", "m02")] == [3, 4, 3]  # fmt: skip
