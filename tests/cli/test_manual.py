"""The help of a command: every name whole at any width."""

import pytest
import typer

from nearfar.cli.main import app
from nearfar.cli.manual import GAP, listed

COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", ["fit", "score", "evaluate", "finetune", "threshold"])
@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_every_name_is_whole(name, width, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", width)
    _, out, _ = run(name, "--help")
    words = out.replace("│", " ").split()
    for option in COMMANDS[name].params:
        for spelling in (*option.opts, *option.secondary_opts):
            if spelling.startswith("-"):
                assert spelling in words or f"{spelling}," in words
        assert option.param_type_name == "argument" or not option.metavar or option.metavar in words


def test_what_a_number_may_be_is_told_in_words(run):
    _, out, _ = run("watch", "--help")
    assert "[1 to 64]" in out
    assert "<=" not in out


def test_the_default_rate_is_told(run):
    for name in ("fit", "score", "threshold"):
        _, out, _ = run(name, "--help")
        assert "0.1 if never said" in " ".join(out.replace("│", " ").split())


def test_a_watch_has_the_rate_of_its_detector(run):
    _, out, _ = run("watch", "--help")
    told = " ".join(out.replace("│", " ").split())
    assert "0.1 if never said" not in told
    assert "the detector's own if never said" in told


def test_a_long_name_stands_above_its_explanation():
    rows = [("-q", "Tell less."), ("--" + "x" * GAP, "Few.")]
    short, long, below = str(listed(rows, 70)).split("\n")
    assert short == "-q".ljust(GAP) + "Tell less."
    assert long.strip() == "--" + "x" * GAP
    assert below == " " * GAP + "Few."


@pytest.mark.parametrize("name", ["embed", "inspect", "threshold"])
def test_only_commands_that_end_so_tell_of_anomalies(name, run):
    _, out, _ = run(name, "--help")
    assert "anomaly was found" not in out
    assert "weights" not in " ".join(out.split()).partition("Exit codes:")[2]
