"""Tables whose columns line up, numbers that can be compared by eye, messages of one line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.text import (
    NAMED,
    aligned,
    alike,
    figure,
    lasting,
    named,
    number,
    one_line,
    plain,
    turned,
)

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


# ---- many at once --------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a", "b", "c.wav", "d"]), max_size=9))
def test_no_name_is_uncounted(names):
    told, _, more = named(names).partition(" and ")
    listed = told.split(", ") if told else []
    assert listed == names[:NAMED]
    assert len(listed) + (int(more.split()[0]) if more else 0) == len(names)


def test_forty_two_alike_are_one_line_with_a_count_and_names():
    said = [f"day {d}/ZOOM{n:04d}.WAV: {n / 7:.2f} dB" for d in (1, 2) for n in range(21)]
    (line,) = alike(said)
    assert line == f"{said[0]} (and 41 more like it: 1/ZOOM0001.WAV, 1/ZOOM0002.WAV, "\
        "1/ZOOM0003.WAV and 38 more)"  # fmt: skip


@pytest.mark.parametrize("count", [2, 3, 12, 500])
@pytest.mark.parametrize("name", ["day 1/ZOOM{:04d}.WAV", "hall/a b, c {}.wav", "x{}"])
def test_of_clips_left_out_none_goes_without_its_name(name, count):
    names = [name.format(n) for n in range(count)]
    lines = alike(f"left out: {one}: {n / 7:.2f} s are short" for n, one in enumerate(names))
    assert lines[0].startswith(f"left out: {names[0]}: 0.00 s are short (and {count - 1} more")
    told = ", ".join(lines).replace(", left out: ", ", ")
    for one in names:
        assert told.count(one) >= 1
    assert max(map(len, lines)) <= 500
    # Not a line each: two hundred are read by nobody.
    assert len(lines) <= 2 + sum(len(one) + 2 for one in names) / 400


def test_clips_left_out_for_two_reasons_are_two_lines():
    said = ["left out: a.wav: silent", "left out: b.wav: empty", "left out: c.wav: silent"]
    assert alike(said) == [
        "left out: a.wav: silent (and 1 more like it: c.wav)", "left out: b.wav: empty"
    ]  # fmt: skip


def test_what_is_not_alike_stays_apart_and_in_order():
    said = [
        "fan: 3 clips are few", "pump: 4 clips are few", "fan 1: the shift is 2",
        "fan 2: the shift is 2", "a.wav: silent", "b.wav: loud", "e.g. 1", "e.g. 2",
    ]  # fmt: skip
    assert alike(said + said) == said


def test_parts_of_a_recording_are_names_too():
    first, *others = (f"hall/long.wav@00:0{n}:00-00:0{n + 1}:00: silent" for n in range(3))
    told = "hall/long.wav@00:01:00-00:02:00, hall/long.wav@00:02:00-00:03:00"
    assert alike([first, *others]) == [f"{first} (and 2 more like it: {told})"]


def test_names_of_letters_are_names_too():
    said = ["press/left.WAV: silent", "press/right.WAV: silent"]
    assert alike(said) == ["press/left.WAV: silent (and 1 more like it: press/right.WAV)"]


@given(st.floats(0.01, 1e7))
def test_a_figure_has_three_digits_that_tell_and_no_power_of_ten(value):
    told = figure(value)
    assert "e" not in told
    assert abs(float(told.replace(",", "")) - value) <= 0.0051 * value


def test_a_table_too_wide_is_turned_and_keeps_every_cell():
    facts = [(f"fan{i}", *(f"{i}.{k}00" for k in range(8))) for i in range(9)]
    rows = [("machine", *"abcdefgh"), *facts]
    assert turned(rows, None) == aligned(rows)
    assert turned(rows, 1000) == aligned(rows)
    told = turned(rows, 40)
    assert max(map(len, told.split("\n"))) <= 40
    for row in rows:
        assert all(cell in told.split() for cell in row)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(10.0, "10 s"), (90.0, "90 s"), (119.9, "120 s"), (120.0, "2 min"), (1200.0, "20 min"),
     (1234.0, "1,234 s"), (999.7, "1,000 s"), (86_400.0, "1,440 min"), (0.5, "0.5 s")],
)  # fmt: skip
def test_a_length_of_time_is_said_as_people_do(seconds, said):
    assert lasting(seconds) == said


@given(st.floats(0.001, 1e9))
def test_a_length_of_time_has_no_exponent(seconds):
    assert "e" not in lasting(seconds)


def test_plain_data_have_no_number_that_json_lacks():
    given = {"a": [math.nan, 1, (math.inf, "x", None, True)], "b": -math.inf}
    assert plain(given) == {"a": [None, 1, [None, "x", None, True]], "b": None}


@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_line_that_sums_up_is_not_summed_up_again(count):
    """Folders are summed one by one, and all that was said once more at a command's end."""
    once = [
        line
        for folder in ("fan", "pump")
        for line in alike(f"left out: ds/{folder}/c{i}.mp4: films" for i in range(count))
    ]
    assert alike(once) == once
    told = " ".join(alike(once))
    assert all(f"ds/{folder}/c{i}.mp4" in told for folder in ("fan", "pump") for i in range(count))
