"""A detector is exported whole or not at all, and scores without PyTorch as it did with it."""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from conftest import PATIENCE, refused
from nearfar.detector.edge import departure
from nearfar.detector.edge.departure import export
from nearfar.detector.edge.verifying import RELATIVE, verify
from nearfar.detector.folder.index import seal
from nearfar.errors import DatasetError, FormatError, SettingError, StorageError, WeightsError

# What a small computer does not have; the program is as it is.
WITHOUT = """
import sys
import tempfile
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "onnxscript"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
sys.argv[0] = "nearfar"
from nearfar.cli.main import main
main()
"""


def bytes_in(folder):
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def score(folder, data, out):
    """`nearfar score` in a process without PyTorch: its CSV as rows."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "score", str(folder), str(data), "--csv", str(out),
         "--workers", "1", "--no-cache", "-q"],
        env=os.environ, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(out.read_text().splitlines()))


# ---- without an encoder --------------------------------------------------------------------------


def test_system_4_stays_what_it_is_to_the_byte(detector_folder, dcase, tmp_path):
    done = export(detector_folder, tmp_path / "edge", normals=dcase)
    assert (done.encoders, done.kept) == (0, None)
    assert done.verification.sounds == "normals"
    assert done.verification.largest == 0.0
    banks = [{k: v for k, v in bytes_in(f).items() if k.startswith("bank-")}
             for f in (detector_folder, tmp_path / "edge")]  # fmt: skip
    assert banks[0] == banks[1]
    record = done.detector.exported
    assert (record.source, record.opset) == (seal(detector_folder), None)
    assert record.proof == done.verification.proof
    full, small = nf.load(detector_folder), nf.load(tmp_path / "edge")
    assert repr(small.system) == repr(full.system)
    assert (small.order, small.false_alarm_rate) == (full.order, full.false_alarm_rate)


def test_what_is_told_stays(detector_folder, tmp_path):
    told = replace(nf.load(detector_folder), order="far-near", data_license="CC0",
                   false_alarm_rate=0.25, threshold_by_domain=True)  # fmt: skip
    folder = told.save(tmp_path / "full")
    small = export(folder, tmp_path / "edge", verify=False).detector
    for name in ("order", "data_license", "false_alarm_rate", "threshold_by_domain"):
        assert getattr(small, name) == getattr(told, name)
    assert small.exported.proof is None


def test_without_recordings_sounds_are_made(detector_folder, tmp_path):
    assert export(detector_folder, tmp_path / "edge").verification.sounds == "made"


def test_a_detector_that_says_something_else_is_not_written(
    detector_folder, dcase, tmp_path, monkeypatch
):
    """As if an encoder had come out wrong: the exported one's threshold is another."""
    clips = nf.Clips.open(dcase, split="test")
    real = departure._Work.exported
    monkeypatch.setattr(
        departure._Work, "exported",
        lambda work, hold: real(work, hold).with_false_alarm_rate(0.9),
    )  # fmt: skip
    line = refused(
        lambda: export(detector_folder, tmp_path / "edge", clips=clips), "not written", "verdicts",
        error=FormatError,
    )  # fmt: skip
    assert ".wav" in line
    assert not (tmp_path / "edge").exists()
    before = nf.load(detector_folder).save(tmp_path / "there")
    there = bytes_in(before)
    refused(lambda: export(detector_folder, before, clips=clips), "not written")
    assert bytes_in(before) == there


def test_bad_requests_are_a_line_each_and_leave_nothing(detector_folder, dcase, tmp_path):
    new = tmp_path / "edge"
    refused(lambda: export(detector_folder, detector_folder), "itself", error=SettingError)
    refused(lambda: export(detector_folder, new, precision="fp8"), "fp8", error=SettingError)
    refused(
        lambda: export(detector_folder, new, precision="int8", normals=dcase), "no encoder",
        error=SettingError,
    )  # fmt: skip
    refused(lambda: export(tmp_path / "gone", new), "no folder", error=FormatError)
    refused(lambda: export(detector_folder, new, clips=[]), "no clips", error=DatasetError)
    refused(lambda: export(detector_folder, detector_folder / "in"), "lies in", error=StorageError)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    refused(lambda: export(detector_folder, tmp_path / "notes"), "notes", error=StorageError)
    assert [p.name for p in tmp_path.iterdir()] == ["notes"]


def test_a_detector_of_other_machines_is_replaced_only_when_asked_and_kept(
    detector_folder, dcase, tmp_path
):
    folder = tmp_path / "there"
    nf.fit(nf.logmel(), nf.Clips.open(dcase / "fan", split="train")).save(folder)
    there = bytes_in(folder)
    refused(lambda: export(detector_folder, folder), "replace", error=StorageError)
    assert bytes_in(folder) == there
    done = export(detector_folder, folder, replace=True)
    assert bytes_in(done.kept) == there
    assert nf.load(folder).machines == ("fan", "pump")


# ---- with one ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(dcase, tmp_path_factory):
    """A tiny encoder with a trained head, as System 1 has it, beside System 4. Read only."""
    from trained_file import make_trained

    place = tmp_path_factory.mktemp("full")
    clips = nf.Clips.open(dcase, split="train")
    sounds = [clip.read("near-far") for clip in clips.select(machine="fan")]
    file = make_trained(place / "s1.safetensors", held_out=sounds)
    heard = replace(nf.s1(str(file)), calibration=nf.ZScore())
    both = nf.Ensemble((heard, replace(nf.s4(), calibration=nf.Percentile())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nf.NearfarWarning)  # of the machine it has not heard
        return nf.fit(both, clips).save(place / "both")


@pytest.fixture(scope="module")
def small(full, dcase, tmp_path_factory):
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("small") / "edge"
    export(full, folder, normals=dcase)
    return folder


@pytest.mark.slow
def test_it_scores_without_pytorch_as_the_detector_does_with_it(full, small, dcase, tmp_path):
    rows = score(small, dcase, tmp_path / "edge.csv")
    scores = nf.load(full).score(nf.Clips.open(dcase, split="test"))
    assert len(rows) == len(scores)
    units = {m: np.ptp(nf.load(full).self_scores(m)) for m in ("fan", "pump")}
    for row, verdict in zip(rows, scores, strict=True):
        assert row["clip"] == verdict.clip.name
        assert row["anomalous"] == str(verdict.anomalous)
        assert row["nearest"] == verdict.nearest
        far = RELATIVE * max(abs(verdict.score), units[verdict.clip.machine])
        assert abs(float(row["score"]) - verdict.score) <= far
    found = verify(small, full, nf.Clips.open(dcase, split="test"))
    assert found.passed
    assert found.largest > 0  # another program computed it


@pytest.mark.slow
def test_system_4_scores_without_pytorch_to_the_byte(detector_folder, dcase, tmp_path):
    export(detector_folder, tmp_path / "edge", verify=False)
    rows = [score(f, dcase, tmp_path / f"{n}.csv")
            for n, f in enumerate((detector_folder, tmp_path / "edge"))]  # fmt: skip
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_the_folder_goes_anywhere_and_a_changed_byte_is_refused(full, small, dcase, tmp_path):
    there = tmp_path / "elsewhere"
    small.rename(there)
    try:
        clips = nf.Clips.open(dcase / "fan", split="test")
        assert len(nf.load(there).score(clips)) == len(clips)
        (model,) = there.glob("weights-*/encoder.onnx")
        whole = model.read_bytes()
        spoiled = bytearray(whole)
        spoiled[len(spoiled) // 2] ^= 1
        model.write_bytes(spoiled)
        refused(lambda: nf.load(there).score(clips), "encoder.onnx", error=WeightsError)
        model.write_bytes(whole)
    finally:
        there.rename(small)


@pytest.mark.slow
def test_the_index_names_what_lies_beside_it_and_no_place_of_this_computer(small, dcase, tmp_path):
    here = tmp_path / "edge"
    shutil.copytree(small, here)
    clips = nf.Clips.open(dcase / "fan", split="test")
    before = [verdict.score for verdict in nf.load(here).score(clips)]
    for _ in range(2):  # as it was exported, and with thresholds that were drawn anew
        data = json.loads((here / "detector.json").read_text())
        (place,) = (one["place"] for one in data["embedders"] if one["place"])
        assert (here / place / "encoder.onnx").is_file()
        assert tempfile.gettempdir() not in json.dumps(data)
        nf.load(here).with_false_alarm_rate(0.2).save_over(here)
    assert [verdict.score for verdict in nf.load(here).score(clips)] == before


@pytest.mark.slow
def test_int8_is_calibrated_on_normals_and_refused_without(full, dcase, tmp_path):
    pytest.importorskip("onnxruntime")
    refused(
        lambda: export(full, tmp_path / "edge", precision="int8"), "calibrated", "normals",
        error=DatasetError,
    )  # fmt: skip
    assert not (tmp_path / "edge").exists()
    done = export(full, tmp_path / "edge", precision="int8", normals=dcase)
    assert done.detector.exported.precision == "int8"
    assert done.verification.passed
    assert done.verification.largest > RELATIVE


def test_ways_in_and_out_are_paths_or_texts(detector_folder, tmp_path):
    done = export(str(detector_folder), str(tmp_path / "edge"), verify=False)
    assert Path(tmp_path / "edge").is_dir()
    assert done.verification is None
