"""Durations and sizes as people write them, in one place for the file and the command line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import refused
from nearfar.service.amounts import as_duration, duration, size, span


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2s", 2), ("10m", 600), ("2h", 7200), ("90d", 90 * 86_400), ("500ms", 0.5),
        ("1w", 604_800), ("2 min", 120), ("1.5 hours", 5400), ("1h30m", 5400),
        (" 3 d ", 259_200), ("0", 0), (7, 7), (0.25, 0.25), (".5s", 0.5),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_people_write_it(text, seconds):
    assert duration(text) == pytest.approx(seconds)
    assert span(text).total_seconds() == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "fast", "2", "-1s", "2x", "1h 30", "s", "1e9d", "2 months", "٣s", True, None,
             math.nan, math.inf, -1, [], "9" * 400 + "s", "9" * 400 + "!"],
)  # fmt: skip
def test_what_is_no_duration_is_told_in_a_line(text):
    if text == "2":  # a number alone is seconds, as of the options that say SECONDS
        assert duration(text) == 2
    else:
        assert len(refused(lambda: duration(text), "it is a duration", "90d")) < 200


@pytest.mark.parametrize(
    ("text", "count"),
    [("2 GB", 2e9), ("2g", 2e9), ("1KiB", 1024), ("1 kB", 1000), ("1.5 MB", 1_500_000), (10, 10),
     ("3 bytes", 3), ("4TiB", 4 * 2**40), ("0", 0)],
)  # fmt: skip
def test_a_size_is_read_as_people_write_it(text, count):
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "big", "2 GHz", "-1 GB", "1e400 B", True, None, "9" * 30])
def test_what_is_no_size_is_told_in_a_line(text):
    refused(lambda: size(text), "it is a size", "2 GB")


@given(st.integers(1, 10**9))
def test_what_is_written_is_read_back(thousandths):
    assert duration(as_duration(thousandths / 1000)) == pytest.approx(thousandths / 1000)


@pytest.mark.parametrize("number", [10**400, 1 << 20_000, -(10**400)], ids=range(3))
def test_a_number_larger_than_any_float_is_none(number):
    refused(lambda: duration(number), "it is a duration")
    refused(lambda: size(number), "it is a size")
