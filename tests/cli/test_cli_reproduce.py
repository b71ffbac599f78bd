"""The command reproduce: what is set, what is said, how Ctrl-C ends."""

import signal

import pytest

from nearfar.cli import main as cli
from nearfar.cli import reproduce as command
from nearfar.reproduce.run import Outcome
from nearfar.training import FineTuning


@pytest.fixture
def called(run, monkeypatch, tmp_path):
    """The command with something else behind it: its result, and what that was given."""
    given = {}

    def call(behind, *arguments):
        def instead(*places, **settings):
            given.update(settings)
            return behind()

        monkeypatch.setattr("nearfar.reproduce.run.reproduce", instead)
        return run("reproduce", "data", "-o", tmp_path / "run", *arguments), given

    return call


def test_settings_are_those_of_every_training(called):
    _, given = called(
        lambda: Outcome("tables", {}), "--set", "training.epochs=5", "--precision", "bf16"
    )
    assert given["training"] == FineTuning(epochs=5, precision="bf16")
    assert given["precision"] == "bf16"


def test_an_encoder_of_system_3_and_going_on_without_bad_clips(called):
    _, given = called(lambda: Outcome("tables", {}))
    assert (given["frozen_weights"], given["skip_bad"]) == (None, False)
    _, given = called(
        lambda: Outcome("tables", {}), "--frozen-weights", "EAT_DIR", "--skip-bad",
        "--table", "readings",
    )  # fmt: skip
    assert (given["frozen_weights"], given["skip_bad"]) == ("EAT_DIR", True)
    assert given["tables"] == ["readings"]


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.epochs", "say it as in --set training.epochs=5"),
        ("rule.metric=cosine", "the systems are the report's"),
        ("training.epoch=5", "did you mean 'epochs'"),
    ],
)
def test_what_cannot_be_set(called, assignment, said):
    (code, _, err), given = called(lambda: None, "--set", assignment)
    assert (code, err.count("\n"), said in err, given) == (2, 1, True, {})


def test_warnings_come_last_and_the_log_has_the_rest(called, tmp_path):
    warnings = tuple(f"fan: {i}" for i in range(7))
    (code, out, err), _ = called(lambda: Outcome("tables", {}, warnings))
    lines = err.splitlines()
    assert code == 0
    assert out.startswith("tables\n")
    assert lines[:-1] == [f"warning: fan: {i}" for i in range(command.SHOWN)]
    assert lines[-1].startswith("and 2 more warnings, in ")


def test_a_dry_run_says_the_plan_alone(called):
    (code, out, err), given = called(lambda: Outcome("plan", {}), "--dry-run")
    assert (code, out, err, given["dry_run"]) == (0, "plan\n", "", True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("begun", [True, False])
def test_a_signal_says_how_to_go_on_where_there_is_something(called, tmp_path, begun, number):
    def interrupted():
        if begun:
            (tmp_path / "run" / "steps").mkdir(parents=True)
        cli._interrupt(number)

    (code, _, err), _ = called(interrupted)
    assert (code, err.count("\n")) == (128 + number, 1)
    assert ("--resume goes on from there" in err) == begun
    assert "same command" not in err
