"""Mistakes in how a command was called: one line, with its way out."""

import pytest
import typer

from command import failed
from nearfar.cli.usage import explained
from nearfar.errors import LONGEST

MISTAKES = [  # arguments, what the line names, whose help is the way out
    ("fot", ("fot", "did you mean 'fit'?"), ""),
    ("weights chek", ("chek", "did you mean 'check'?"), " weights"),
    ("fit --sytem s4", ("--sytem", "did you mean --system?"), " fit"),
    ("fit --machine", ("--machine", "requires an argument"), " fit"),
    ("fit", ("DATA is missing",), " fit"),
    ("fit x", ("--output is missing",), " fit"),
    ("score", ("DETECTOR is missing",), " score"),
    ("weights check", ("WEIGHTS is missing",), " weights check"),
    ("check x --near a", ("--near", "'a'", "whole number"), " check"),
    ("check x --near 0", ("--near", "at least 1"), " check"),
    ("watch d x --channels 65", ("--channels", "at most 64"), " watch"),
    ("check x --clip-seconds abc", ("--clip-seconds", "'abc'", "number"), " check"),
    (
        "fit x -o y --channel-order up",
        ("--channel-order", "'up'", "'near-far', 'far-near'"),
        " fit",
    ),
    ("completion ksh", ("SHELL", "'ksh'", "'bash', 'zsh', 'fish'"), " completion"),
    ("cache one two", ("unexpected", "one two"), " cache"),
    ("cache --clear=1", ("--clear",), " cache"),
    ("--bogus", ("--bogus",), ""),
]


@pytest.mark.parametrize(("args", "words", "command"), MISTAKES)
def test_a_mistake_is_one_line_that_names_the_value_and_the_help(run, args, words, command):
    result = run(*args.split())
    line = failed(result, *words)
    assert line.casefold().endswith(f"see nearfar{command} --help")
    assert result[1] == ""


@pytest.mark.parametrize("argument", ["x" * 5000, "a\x1b[31m\n\r\tb", "\udcff", "--\x1b]0;\x07é"])
def test_an_argument_neither_paints_nor_fills_the_terminal(run, argument):
    for args in ([argument], ["fit", "x", "-o", "y", "--channel-order", argument]):
        line = failed(run(*args)).removeprefix("error: ")
        assert line.isprintable()
        assert len(line) <= LONGEST
        assert line.endswith("--help")


@pytest.mark.parametrize("command", ["", "weights"])
def test_no_command_shows_the_help(run, command):
    _, out, err = run(*command.split())
    assert "Usage: " in out + err
    assert "error: " not in out + err


def test_a_mistake_of_an_older_library_is_told_too():
    # Without what newer ones know: neither a command nor a cause.
    assert explained(typer.BadParameter("'a' is not a valid integer.", param_hint="'--near'")) == (
        "--near: 'a' is not a valid integer; see nearfar --help"
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [("--fail", "--fail-on-anomaly"), ("--compare", None),
     ("--trashold-pooled", "--threshold-pooled"),
     ("--sallvage", "--salvage"), ("--false", "--false-alarm-rate")],
)  # fmt: skip
def test_a_guess_is_near_or_none_is_made(run, given, meant):
    line = failed(run("score", "d", "today", given), given)
    assert (f"did you mean {meant}?" if meant else "; see") in line
    assert ("did you mean" in line) is bool(meant)


@pytest.mark.parametrize("rate", ["1%", "0,05"])
def test_a_rate_that_is_none_tells_what_one_looks_like(run, rate):
    failed(run("threshold", "d", "--false-alarm-rate", rate), repr(rate), "as in 0.01")


def test_a_value_may_end_in_a_sign_of_equality(run):
    code, _, err = run("fit", "gone", "-o", "det", "--time-pattern=%Y=")
    assert (code, "is empty" in err) == (2, False)


@pytest.mark.parametrize(
    ("args", "who"),
    [
        (("fit", ""), "an argument"), (("fit", "data", "-o", "det", "-s", ""), "-s"),
        (("score", "det", "", "--machine", "fan"), "an argument"),
        (("inspect", "data", "--machine="), "--machine"),
    ],
)  # fmt: skip
def test_a_variable_that_is_not_set_is_no_argument(run, args, who):
    """What a shell makes of "$DATA": the current folder and System 4 would be taken."""
    code, out, err = run(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {who} is empty; is a variable of the shell not set")


@pytest.mark.parametrize(
    ("command", "on", "off"),
    [
        (("threshold", "det"), "--threshold-by-domain", "--threshold-pooled"),
        (("evaluate", "data"), "--no-floor", "--floor"),
    ],
)
def test_a_switch_said_both_ways_is_no_answer(run, command, on, off):
    code, out, err = run(*command, on, off)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert on in err
    assert off in err
    assert "exclude each other" in err


def test_detector_comes_first_where_there_are_two_alone(run):
    told = run("score", "gone", "today")[2]
    assert "DETECTOR comes first; make one with nearfar fit DATA -o DIR\n" in told
    assert "Python" not in run("threshold", "gone")[2]
    assert "DETECTOR comes first" not in run("threshold", "gone")[2]
