"""Labelled clips as a DCASE data set: read back as what they are, whole or not at all."""

import shutil
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

import nearfar as nf
from conftest import refused, write
from nearfar.clips.export.dcase import check_new_folder, dcase_places, export_dcase
from nearfar.errors import DatasetError, StorageError


def clip(path, machine="pump", **of):
    return nf.Clip(Path(path), machine=machine, **{"label": "anomaly"} | of)


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(3)
    given = [
        ("a.wav", {"label": "anomaly"}), ("b.flac", {"label": "anomaly"}),
        ("c.wav", {"label": "normal", "domain": "target"}),
        ("d.wav", {"label": "normal", "machine": "fan 7", "attributes": "spd_2"}),
        ("e.wav", {"label": "anomaly", "section": "03"}),
    ]  # fmt: skip
    return [
        clip(write(tmp_path / "kept" / name, 0.1 * rng.standard_normal((2, 8000))), **of)
        for name, of in given
    ]


def test_it_is_read_back_as_what_people_said(clips, tmp_path):
    made = export_dcase(clips, tmp_path / "set")
    assert (made.anomalies, made.normals) == (3, 2)
    read = nf.Clips.open(tmp_path / "set")
    assert {c.split for c in read} == {"test"}

    def told(one):
        return (one.machine, one.section, one.domain or "source", one.label, one.attributes)

    assert sorted(map(told, read)) == sorted(map(told, clips))
    # Byte for byte what was kept.
    both = [sorted(Path(c.path).read_bytes() for c in some) for some in (clips, read)]
    assert both[0] == both[1]
    assert (tmp_path / "set").stat().st_mode & 0o777 == 0o755


def test_numbers_are_of_each_machine_section_domain_and_label():
    places = [place for place, _ in dcase_places([clip("1.wav"), clip("2.wav"),
                                                  clip("3.wav", label="normal")])]  # fmt: skip
    assert [place.name.split("_")[4:6] for place in places] == [
        ["anomaly", "0000"], ["anomaly", "0001"], ["normal", "0000"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "word"),
    [({"label": None}, "no label"), ({"section": "hall"}, "two digits"),
     ({"section": "7"}, "two digits")],
)  # fmt: skip
def test_what_no_such_name_can_say_is_refused(tmp_path, bad, word):
    refused(lambda: export_dcase([clip("1.wav", **bad)], tmp_path / "set"), word,
            error=DatasetError)  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("machine", ["../../etc", "a/b", "..", "", "broken", "test", "x" * 300,
                                     "a\nb", "b\udcff"])  # fmt: skip
def test_no_machine_s_name_leads_out_of_the_folder(machine):
    ((place, _),) = dcase_places([clip("1.wav", machine=machine)])
    assert len(place.parts) == 3
    assert place.parts[0] not in ("..", ".", "", "broken", "test")
    assert PurePosixPath("set") in (PurePosixPath("set") / place).parents
    assert place.parts[0].isprintable()
    assert len(place.parts[0]) <= 120


def test_two_machines_of_one_folder_are_not_mixed():
    refused(lambda: list(dcase_places([clip("1.wav", "a/b"), clip("2.wav", "a_b")])), "a_b",
            error=DatasetError)  # fmt: skip


def test_nothing_is_written_over_and_nothing_left_half_made(clips, tmp_path, monkeypatch):
    mine = tmp_path / "set"
    mine.mkdir()
    refused(lambda: export_dcase(clips, mine), "is there already", error=StorageError)
    mine.rmdir()
    refused(lambda: export_dcase([], mine), "no labelled clips", error=DatasetError)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    refused(lambda: export_dcase(clips, mine), "No space left", error=StorageError)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_it_lies_in_no_detector_and_not_in_what_is_read(tmp_path):
    (tmp_path / "det").mkdir()
    (tmp_path / "det/detector.json").touch()
    refused(lambda: check_new_folder(tmp_path / "det/set", ()), "in a detector")
    (tmp_path / "kept").mkdir()
    refused(lambda: check_new_folder(tmp_path / "kept/set", [tmp_path / "kept"]), "what is read")
    refused(lambda: check_new_folder(tmp_path / "gone/set", ()), "cannot be written")
