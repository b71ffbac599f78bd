"""Detectors side by side in a folder are opened as one, if they judge alike."""

from dataclasses import replace

import numpy as np
import pytest

import nearfar as nf
from conftest import refused
from nearfar.detector.detector import Detector, load
from nearfar.detector.folder.late import LateSections
from nearfar.detector.folder.siblings import (
    check_fleet,
    check_owners,
    check_single,
    detectors_within,
    digest_of,
    folders_for,
    read_any,
)
from nearfar.detector.member import Member
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import FormatError, SettingError, StorageError
from nearfar.scoring.rule import KNN
from nearfar.system.presets import logmel

NAMES = ("fan", "pump", "saw")


def section_of(seed):
    rows = np.random.default_rng(seed).standard_normal((4, 128)).astype(np.float32)
    member = Member(rows, np.arange(4), np.zeros(4, np.int8), None, np.array([1.0, 2.0, 3.0, 4.0]))
    clips = tuple(TrainingClip(f"{seed}{name}.wav", digest="") for name in "abcd")
    return Section((member,), clips, levels=None, seconds=1.0)


def detector_of(name):
    return Detector(logmel(), {(name, "00"): section_of(len(name))}, data_license="CC0")


@pytest.fixture
def plant(tmp_path):
    """Three machines, each in a folder of its own, and what is none of them."""
    for name in NAMES:
        detector_of(name).save(tmp_path / "plant" / name)
    detector_of("old").save(tmp_path / "plant" / "fan.previous")
    detector_of("hidden").save(tmp_path / "plant" / ".trash")
    return tmp_path / "plant"


def test_they_are_one_detector(plant):
    assert [path.name for path in detectors_within(plant)] == list(NAMES)
    found = nf.load(plant)
    assert (found.machines, found.data_license) == (NAMES, "CC0")
    for name in NAMES:
        assert found.threshold(name) == detector_of(name).threshold(name)


def test_a_detector_is_read_as_it_is(plant):
    assert detectors_within(plant / "fan") == []
    assert load(plant / "fan").machines == ("fan",)
    refused(lambda: load(plant / "none"), "is no folder", error=FormatError)


def test_banks_are_read_when_they_are_asked_for_and_let_go(plant):
    for bank in (plant / "saw").glob("bank-*"):
        bank.write_bytes(b"damaged")
    late = load(plant, late=True, most=0)
    for name in ("fan", "pump", "fan"):
        late.threshold(name)
    assert isinstance(late.sections, LateSections)
    assert [name for name in NAMES if late.sections.keeps((name, "00"))] == ["fan"]
    refused(lambda: late.threshold("saw"), plant / "saw", "bank-", error=FormatError)
    refused(lambda: load(plant), plant / "saw", error=FormatError)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("system", {"system": replace(logmel(), rule=KNN(weights=(0.5, 0.5)))}),
        ("channel order", {"order": "far-near"}),
        ("false-alarm rate", {"false_alarm_rate": 0.2}),
        ("thresholds by domain", {"threshold_by_domain": True}),
    ],
)
def test_one_that_judges_otherwise_is_named(plant, what, change):
    replace(detector_of("pump"), **change).save(plant / "pump")
    refused(lambda: load(plant, late=True), plant / "pump", "fan", what, error=FormatError)


def test_one_whose_embedder_was_another_is_named(plant):
    from nearfar.detector.origin import origins

    was = replace(origins(logmel())[0], fingerprint="logmel-0")
    replace(detector_of("pump"), origins=(was,)).save(plant / "pump")
    refused(lambda: load(plant, late=True), plant / "pump", "embedder", error=FormatError)


def test_a_machine_in_two_folders_is_refused(plant):
    detector_of("fan").save(plant / "hall 2")
    refused(lambda: load(plant), plant / "hall 2", plant / "fan", error=FormatError)


def test_one_that_lost_its_index_is_not_passed_over(plant):
    (plant / "pump" / "detector.json").unlink()
    refused(lambda: load(plant, late=True), plant / "pump", "no readable", error=FormatError)


def test_licences_that_differ_are_no_licence_of_all(plant):
    replace(detector_of("saw"), data_license="CC-BY-4.0").save(plant / "saw")
    assert read_any(plant).data_license == ""


def test_of_many_none_learns(plant):
    found = load(plant, late=True)
    for call in (
        lambda: found.learn([]),
        lambda: found.forget(["a.wav"]),
        lambda: check_single(plant),
    ):
        refused(call, plant, "folder of detectors", plant / "fan", error=SettingError)
    check_single(plant / "fan")


def test_a_digest_is_of_all_of_them(plant):
    before = digest_of(plant)
    assert digest_of(plant / "fan") != before == digest_of(plant)
    replace(detector_of("saw"), data_license="").save(plant / "saw")
    assert digest_of(plant) != before


def test_names_are_what_any_disk_takes(tmp_path):
    found = folders_for(["a/b", "..", "Ω 1"], tmp_path)
    assert [path.name for path in found.values()] == ["a_b", "machine", "Ω 1"]
    refused(lambda: folders_for(["Fan", "fan"], tmp_path), "Fan", "fan", error=StorageError)


def test_a_place_with_other_things_is_refused(plant, tmp_path):
    assert check_fleet(plant) is check_fleet(tmp_path / "new") is False
    refused(lambda: check_fleet(plant / "fan"), "lies in the detector", error=StorageError)
    (plant / "notes").mkdir()
    (plant / "notes" / "a.txt").write_text("mine")
    refused(lambda: check_fleet(plant), plant, "notes", error=StorageError)


def test_a_machine_that_lies_elsewhere_is_refused(plant):
    check_owners(plant, folders_for(["fan", "drill"], plant))
    (plant / "fan").rename(plant / "hall 2")
    refused(lambda: check_owners(plant, folders_for(["fan"], plant)), plant / "hall 2",
            plant / "fan", error=StorageError)  # fmt: skip
