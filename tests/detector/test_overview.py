"""What indexes say of a fleet: detectors wherever they lie, and never one that was replaced."""

import pytest

from nearfar.detector.detector import load
from nearfar.detector.folder.overview import detectors_in, overview
from nearfar.errors import FormatError


@pytest.fixture
def shelf(tmp_path):
    """A folder of two detectors' indexes, and of what is no detector of the fleet."""
    for name in ("b", "a", "a.previous"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "detector.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_detectors_are_found_once_and_in_order(shelf):
    a, b = shelf / "a", shelf / "b"
    assert detectors_in([shelf]) == [a, b]
    assert detectors_in([b, shelf]) == [b, a]
    with pytest.raises(FormatError, match="neither a detector"):
        detectors_in([shelf / "notes"])


def test_a_bank_is_read_where_something_was_learnt(detector_folder):
    asked = []
    rows = overview(detector_folder, lambda folder: asked.append(folder) or load(folder))
    assert not asked
    detector = load(detector_folder)
    assert [row.threshold for row in rows] == [
        detector.threshold(row.machine, row.section).value for row in rows
    ]
    assert {row.drift for row in rows} == {""}
