"""What is a valid value, and the one line that says so."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.errors import SettingError
from nearfar.parts.valid import check_rate, choice, flag, is_number, is_whole, number, whole

NO_NUMBERS = [True, False, None, "3", b"3", "", [3], (), 3j, Fraction(3), object(), int]


@given(value=st.integers(), least=st.integers(), most=st.integers())
def test_a_whole_number_lies_between_its_bounds(value, least, most):
    assert is_whole(value, least, most) == (least <= value <= most)
    assert is_whole(value, least) == (value >= least)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, 3.0, math.nan, math.inf, np.int64(3), np.float32(3)]
)
def test_what_is_no_whole_number(value):
    """NumPy's are none either: they are no JSON, and settings are saved as that."""
    assert not is_whole(value, -math.inf)


@given(value=st.floats() | st.integers(-(10**9), 10**9))
def test_a_number_lies_between_its_bounds(value):
    assert is_number(value, -2, 3) == (-2 <= value <= 3)
    assert is_number(value) == (abs(value) <= 1e6)


@pytest.mark.parametrize("value", [*NO_NUMBERS, math.nan, np.int64(3), np.float32(3)])
def test_what_is_no_number(value):
    assert not is_number(value, -math.inf, math.inf)


def test_products_of_numbers_stay_finite():
    """The bounds that nobody names: eight settings multiplied are still far from overflow."""
    assert math.isfinite(max(v for v in (1e6, 1e7) if is_number(v)) ** 8)
    assert not is_number(math.inf)
    assert not is_number(-math.inf)


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        (lambda: whole("Part.n", 0, 1), "Part.n is 0; it is a whole number from 1 up"),
        (lambda: whole("n", 9, 1, 8), "n is 9; it is a whole number from 1 to 8"),
        (lambda: whole("n", True, 0), "n is True; it is a whole number from 0 up"),
        (
            lambda: whole("workers", "2", 1, what="a number of processes"),
            "workers is '2'; it is a number of processes from 1 up",
        ),
        (lambda: number("r", 2.5, 0, 1), "r is 2.5; it is a number from 0 to 1"),
        (lambda: number("r", math.nan, -0.5, 1e6), "r is nan; it is a number from -0.5 to 1e+06"),
        (lambda: flag("on", 1), "on is 1; it is True or False"),
        (lambda: flag("on", None), "on is None; it is True or False"),
        (
            lambda: check_rate(1),
            "false_alarm_rate is 1; it is above 0 and below 1, as in 0.1",
        ),
    ],
)
def test_one_line_says_what_it_is_and_what_it_may_be(refuse, words):
    with pytest.raises(SettingError) as caught:
        refuse()
    assert str(caught.value) == words


def test_bounds_themselves_are_valid():
    whole("n", 1, 1)
    whole("n", 8, 1, 8)
    number("r", 0, 0, 1)
    number("r", 1.0, 0, 1)
    flag("on", False)
    choice("word", "b", ("a", "b"))


def test_a_word_that_is_none_is_guessed():
    with pytest.raises(SettingError, match=r"metric is 'cosin'; did you mean 'cosine'\?"):
        choice("metric", "cosin", ("cosine", "euclidean"))
    with pytest.raises(SettingError, match="metric is 3; it has: cosine, euclidean"):
        choice("metric", 3, iter(("cosine", "euclidean")))  # gone through once, asked twice


def test_a_word_is_a_text():
    """An object that calls itself equal to a word is not saved as that word."""

    class Sly:
        def __eq__(self, other):
            return True

        __hash__ = None

    with pytest.raises(SettingError):
        choice("metric", Sly(), ("cosine",))


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, True, math.nan, "0.1", None])
def test_a_rate_is_a_share_of_clips(rate):
    with pytest.raises(SettingError, match="above 0 and below 1"):
        check_rate(rate)


@given(rate=st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_rate_comes_back(rate):
    assert check_rate(rate) == rate
