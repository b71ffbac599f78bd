"""Tables whose columns line up, numbers that can be compared by eye, messages of one line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.text import aligned, number, one_line

cells = st.text("aΩ–1 ", max_size=6)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[cells] * n), min_size=1)))
def test_columns_stand_below_one_another(rows):
    lines = aligned(rows).split("\n")
    assert len({len(line) for line in lines}) == 1  # every column as wide as its widest cell
    left = 0
    for n, column in enumerate(zip(*rows, strict=True)):
        width = max(map(len, column))
        for cell, line in zip(column, lines, strict=True):
            assert line[left : left + width] == f"{cell:{'>' if n else '<'}{width}}"
        left += width + 2


def test_rows_of_different_lengths_are_a_bug():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        aligned([("a", "b"), ("c",)])


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_number_reads_as_what_it_is(value, digits):
    error = abs(float(number(value, digits)) - value)
    assert error <= max(0.5 * 10.0**-digits, 0.005 * abs(value)) * (1 + 1e-9)


@given(st.floats(-0.009, 0.009).filter(bool))
def test_what_is_not_zero_never_reads_as_zero(value):
    assert float(number(value)) != 0
    assert math.copysign(1, float(number(value))) == math.copysign(1, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_a_dash(value):
    assert number(value) == "–"


@given(st.text())
def test_one_line_keeps_the_words_and_nothing_between_them(text):
    line = one_line(text)
    assert line.split() == text.split()
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
