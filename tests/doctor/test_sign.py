"""One thing is asked by itself, and what it raises is one line."""

import warnings

import pytest

from nearfar.doctor.sign import LONGEST, Sign, asked, fault, timed


@pytest.mark.parametrize(
    "error", [ImportError("a\nb"), OSError("gone"), RuntimeError(), KeyError("x"), SystemExit(3)]
)
def test_whatever_is_raised_is_a_broken_sign_of_one_line(error):
    def ask():
        raise error

    found = asked("works", "it", ask, "pip install it")
    assert (found.state, found.way) == ("broken", "pip install it")
    assert found.told.startswith(type(error).__name__)
    assert found.told.isprintable()


def test_what_is_said_is_ok_and_a_sign_stays_what_it_is():
    assert asked("g", "n", lambda: 1.5) == Sign("g", "n", "ok", "1.5")
    note = Sign("g", "n", "note", "look")
    assert asked("g", "n", lambda: note) is note


def test_warnings_of_libraries_are_not_the_doctors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asked("g", "n", lambda: warnings.warn("old", stacklevel=1) or "fine").state == "ok"


def test_pages_are_cut_and_escapes_do_not_repaint():
    assert len(fault(ValueError("x" * 5000))) < LONGEST + 20
    assert "\x1b" not in fault(ValueError("\x1b[31mred"))


def test_how_long_it_took_is_said():
    assert timed(lambda: "done")().startswith("done, ")
