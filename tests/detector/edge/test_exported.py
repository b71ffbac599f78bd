"""What an exported detector's index says of its export, and that it stays with the detector."""

import math
from dataclasses import replace

import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.edge.exported import KEY, ExportRecord, Proof, exported_in
from nearfar.errors import FormatError

PROOF = Proof("given", clips=24, equal=23, difference=3e-6, omega=(0.91, 0.905))
RECORD = ExportRecord("9f86", "int8", 17, "0.1.0", "2026-11-30T12:00:00+00:00", PROOF)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        replace(RECORD, proof=None, opset=None, precision="fp32"),
        replace(RECORD, proof=replace(PROOF, omega=None, difference=math.inf)),
    ],
    ids=["whole", "no proof", "no number"],
)
def test_what_is_written_is_read(record):
    assert exported_in({KEY: record.as_dict()}) == record


@pytest.mark.parametrize(
    "spoiled",
    [
        {"precision": "fp8"},
        {"opset": "new"},
        {"proof": 7},
        {"proof": PROOF.__dict__ | {"omega": [0.5]}},
        {"time": None, "proof": {}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_what_is_none_is_refused(spoiled):
    refused(lambda: exported_in({KEY: RECORD.as_dict() | spoiled}), "export", error=FormatError)
    refused(lambda: exported_in({KEY: [1]}), "export it again", error=FormatError)


def test_it_stays_when_thresholds_are_drawn_anew(detector_folder, tmp_path):
    plain = nf.load(detector_folder)
    assert plain.exported is None
    small = replace(plain, exported=RECORD)
    folder = small.with_false_alarm_rate(0.3).save(tmp_path / "edge")
    assert nf.load(folder).exported == RECORD


def test_an_ordinary_detector_says_nothing_of_it(detector_folder):
    assert KEY not in (detector_folder / "detector.json").read_text()
