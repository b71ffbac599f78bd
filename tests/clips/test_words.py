"""What names of folders say, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from nearfar.clips.words import Place, is_day, label_of, names_machine, place_of

DAYS = ("2024-11-04", "20241104", "2024_11_04", "04.11.2024", "240615", "2024-11", "11-04",
        "day03", "2024-11-04_08-30", "20241104T083000", "session 2", "08h30", "2024")  # fmt: skip
RECORDERS = ("ZOOM0001", "FOLDER01", "100MEDIA", "DCIM", "TASCAM_0003", "STEREO")
MACHINES = ("pump7", "fan", "7", "00", "123456", "2024-13-04", "20249999", "ToyCar", "id_pump",
            "100pump", "line 02", "valve-2", "99-99")  # fmt: skip


@pytest.mark.parametrize("name", [*DAYS, *RECORDERS])
def test_days_and_recorders_are_no_machines(name: str) -> None:
    assert place_of(Path("/hall/pump7") / name) == Place("pump7")
    assert not names_machine(name)


@pytest.mark.parametrize("name", MACHINES)
def test_all_else_is_a_machine(name: str) -> None:
    assert place_of(Path("/hall") / name) == Place(name)
    assert not is_day(name)


def test_numbers_below_a_year_are_months_and_days() -> None:
    assert place_of(Path("/pump7/2024/11/04")).machine == "pump7"
    assert place_of(Path("/hall/01/02")).machine == "02"


@pytest.mark.parametrize("word", ["abnormal", "Anomaly", "anomalous", "broken", "faulty", "FAULT",
                                  "defect", "defective", "ng", "NG_02", "engine2_broken",
                                  "not ok", "fault3"])  # fmt: skip
def test_words_of_anomalies(word: str) -> None:
    assert label_of(word) == "anomaly"


@pytest.mark.parametrize("word", ["normal", "good", "OK", "healthy", "engine1_good", "no_fault"])
def test_words_of_normals(word: str) -> None:
    assert label_of(word) == "normal"


@pytest.mark.parametrize("word", ["pump", "bangle", "default", "goodrich", "okapi", "unbroken7"])
def test_words_within_words_are_none(word: str) -> None:
    assert label_of(word) is None


def test_the_worse_word_counts() -> None:
    assert place_of(Path("/fan/abnormal/good")).label == "anomaly"
    assert place_of(Path("/mimii/fan/id_04/normal")) == Place("fan", "04", None, "normal")
    assert place_of(Path("/data/fan/test/broken")) == Place("fan", "00", "test", "anomaly")
