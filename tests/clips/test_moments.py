"""Times in names of files: as recorders write them, and never where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clip_files import refused
from nearfar.clips.moments import clock, time_of
from nearfar.errors import SettingError

THEN = datetime(2026, 6, 15, 8, 30, 5)


@pytest.mark.parametrize("stem", [
    "2026-06-15T08-30-05", "2026-06-15T08:30:05", "hall_2026-06-15_08-30-05_left",
    "20260615_083005", "20260615T083005", "SITE-4_20260615_083005", "260615-083005",
    "2026-06-15 08.30.05", "pump7 260615-083005 Tr1",
])  # fmt: skip
def test_times_as_recorders_write_them(stem: str) -> None:
    assert time_of(stem) == THEN


def test_zones() -> None:
    assert time_of("20260615_083005Z") == THEN.replace(tzinfo=UTC)
    # AudioMoth: seconds since 1970 in hexadecimal; 1,526,726,656 is 38,656 s into 19 May 2018.
    assert time_of("5B000000") == datetime(2018, 5, 19, 10, 44, 16, tzinfo=UTC)


@pytest.mark.parametrize("stem", [
    "ZOOM0059", "00000003", "20241104", "section_00_source_train_normal_0003_260615-083005",
    "20261315_083005", "20260615_253005", "12345678_123456", "120260615_0830055", "c05",
    "999999-999999", "1718440205", "FFFFFFFF", "00ABCDEF", "deadbeef",
])  # fmt: skip
def test_other_names_tell_no_time(stem: str) -> None:
    assert time_of(stem) is None


def test_a_pattern_of_ones_own() -> None:
    read = clock("%d%m%y-%H%M%S")
    assert read("hall_150626-083005") == THEN
    assert read("hall_990626-083005") is None
    assert read("hall") is None


@pytest.mark.parametrize("pattern", ["%H%M%S", "%Y%m%d_%Q", "%Y%m", "%Y%Y%m%d", "%Y%m%d%", ""])
def test_patterns_without_a_day_are_refused(pattern: str) -> None:
    refused(lambda: clock(pattern), "time pattern", error=SettingError)


@pytest.mark.parametrize("pattern", [3, True, b"%Y%m%d", ["%Y%m%d"]])
def test_a_pattern_that_is_no_text_is_one_line(pattern: object) -> None:
    with pytest.raises(SettingError, match="it is a text, as %Y"):
        clock(pattern)  # type: ignore[arg-type]
