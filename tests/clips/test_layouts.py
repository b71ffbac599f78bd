"""Folders as people have them: recorders' cards, class folders, several days."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from clip_files import lay, record, refused
from nearfar.clips import Clips
from nearfar.errors import AudioError, NearfarWarning, SettingError

DAYS = ("2024-11-04/ZOOM0001.WAV", "2024-11-05/ZOOM0002.WAV", "2024-11-06/ZOOM0003/ZOOM0003.WAV")


def test_days_of_a_recorder_are_one_machine(tmp_path: Path) -> None:
    zoom = lay(tmp_path / "zoom", *DAYS)
    for split in (None, "train"):
        assert {c.machine for c in Clips.open(zoom, split)} == {"zoom"}
        clips = Clips.open(zoom, split, machine="pump7")
        assert [c.machine for c in clips] == ["pump7"] * 3
    several = Clips.open([zoom / d.split("/")[0] for d in DAYS] + [zoom / DAYS[0]])
    assert several == Clips.open(zoom)  # a clip given twice counts once
    assert Clips.open(zoom / DAYS[2]).machines == ("zoom",)


def test_a_name_given_takes_any_depth(tmp_path: Path) -> None:
    lay(tmp_path, "1.wav", "a/2.wav", "a/b/c/d/e/f/g/h/3.wav")
    refused(lambda: Clips.open(tmp_path), "--machine NAME")
    assert [c.machine for c in Clips.open(tmp_path, machine="m")] == ["m"] * 3


def test_the_folders_of_mimii(tmp_path: Path) -> None:
    unit = lay(tmp_path / "mimii/fan/id_04", "normal/1.wav", "normal/2.wav", "abnormal/1.wav")
    for root in (tmp_path / "mimii", tmp_path / "mimii/fan", unit):
        with pytest.warns(NearfarWarning, match="abnormal"):
            train = Clips.open(root, "train")
        assert [(c.machine, c.section, c.label) for c in train] == [("fan", "04", "normal")] * 2
        test = Clips.open(root, "test")
        assert sorted(str(c.label) for c in test) == ["anomaly", "normal", "normal"]
    assert Clips.open(unit / "normal", "train") == train


@pytest.mark.parametrize("word", ["abnormal", "anomaly", "broken", "faulty", "ng", "e2_defect"])
def test_law_4_a_folder_of_anomalies_is_not_fitted_on(tmp_path: Path, word: str) -> None:
    folder = lay(tmp_path / "hall", f"{word}/1.wav", f"{word}/2024-11-04/1.wav") / word
    for data in (folder, folder / "1.wav", folder / "2024-11-04", tmp_path / "hall"):
        for machine in (None, "pump"):
            text = refused(lambda d=data, m=machine: Clips.open(d, "train", machine=m), "anomal")
            assert "give this folder" not in str(text)
    assert {c.label for c in Clips.open(folder, machine="x")} == {"anomaly"}


def test_class_folders_below_splits(tmp_path: Path) -> None:
    root = lay(tmp_path / "engine", "train/good/1.wav", "test/good/1.wav", "test/e2_broken/1.wav")
    told = [(c.machine, c.split, c.label) for c in Clips.open(root)]
    assert told == [("engine", "train", "normal"), ("engine", "test", "anomaly"),
                    ("engine", "test", "normal")]  # fmt: skip
    assert [c.label for c in Clips.open(root, "train")] == ["normal"]
    assert Clips.open(root / "train").machines == ("engine",)


def test_foreign_files_of_a_data_set_are_faults(tmp_path: Path) -> None:
    lay(tmp_path / "fan/train", "section_00_source_train_normal_0000_a.wav", "note.mp3")
    bad, good = sorted(Clips.open(tmp_path, "train"), key=lambda c: c.path)
    assert (bool(bad.fault), bool(good.fault)) == (True, False)


def test_times_come_from_names_and_run_on_in_parts(tmp_path: Path) -> None:
    record(tmp_path / "pump/240615-083000.wav", 2)
    clips = Clips.open(tmp_path / "pump", clip_seconds=1)
    assert [c.time for c in clips] == [datetime(2024, 6, 15, 8, 30, s) for s in (0, 1)]
    (tmp_path / "pump/240615-083000.wav").rename(tmp_path / "pump/15.06.24.wav")
    assert Clips.open(tmp_path / "pump", time_pattern="%d.%m.%y")[0].time == datetime(2024, 6, 15)


def test_channels_and_salvage_are_said_for_all_clips(tmp_path: Path) -> None:
    lay(tmp_path / "pump", "1.wav", "2_near.wav", "2_far.wav")
    clips = Clips.open(tmp_path / "pump", channels=(3, 7), salvage=True)
    assert [(c.channels, c.salvage) for c in clips] == [((3, 7), True), (None, True)]
    for wrong in ((3, 3), (0, 1), (1, 2, 3), "37", (1.0, 2)):
        refused(lambda w=wrong: Clips.open(tmp_path / "pump", channels=w), "counted from 1",
                error=SettingError)  # fmt: skip


def test_two_recorders_have_a_common_length_in_parts(tmp_path: Path) -> None:
    record(tmp_path / "pump/r_near.wav", 3, 1)
    record(tmp_path / "pump/r_far.wav", 2.96, 1)
    with pytest.warns(NearfarWarning, match="no whole clip"):
        clips = Clips.open(tmp_path / "pump", clip_seconds=1)
    assert [c.read().shape for c in clips] == [(2, 16_000)] * 2
    refused(Clips.open(tmp_path / "pump")[0].read, "cut both", error=AudioError)
