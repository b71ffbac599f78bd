"""How the program ends: one line for what a user can cause, and an exit code that says which."""

import errno
import signal
import subprocess
import sys
import warnings

import pytest
from typer.main import get_command

from nearfar.cli import main as cli
from nearfar.cli.program import COMPLETE, voice
from nearfar.errors import (
    AudioError,
    DatasetError,
    NearfarError,
    NearfarWarning,
    several,
    warn,
)


@pytest.fixture
def ending(monkeypatch, run):
    """What the program does when a command does that."""

    def call(action):
        monkeypatch.setattr(cli, "app", action)
        return run()

    return call


def raising(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize("kind", [NearfarError, DatasetError])
def test_a_fault_of_the_user_is_one_line(ending, kind):
    """A line break in it is a name's: shown as a blank it would be another file's."""
    assert ending(raising(kind("a\nb.wav: mono"))) == (2, "", "error: a\\nb.wav: mono\n")


def test_many_faults_are_a_line_each_and_then_one_for_all(ending):
    error = several([NearfarError("a\n.wav: empty"), NearfarError("b.wav: mono")], "2 of 3 clips")
    assert ending(raising(error)) == (
        2,
        "",
        "fault: a\\n.wav: empty\nfault: b.wav: mono\nerror: 2 of 3 clips: a\\n.wav: empty\n",
    )


def test_a_full_output_is_no_traceback(ending):
    code, _, err = ending(raising(OSError(errno.ENOSPC, "No space left on device")))
    assert (code, err.count("\n"), "No space left" in err) == (2, 1, True)


def test_a_bug_is_not_hidden(ending):
    with pytest.raises(ZeroDivisionError):
        ending(lambda: 1 / 0)


def test_ctrl_c_is_one_line_that_promises_nothing_and_gives_the_handler_back(ending):
    before = signal.getsignal(signal.SIGINT)
    code, out, err = ending(lambda: signal.raise_signal(signal.SIGINT))
    assert (code, out, err) == (130, "", "interrupted\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_shell_that_completes_is_not_told_of_ctrl_c(ending, monkeypatch):
    monkeypatch.setenv(COMPLETE, "complete_bash")
    assert ending(lambda: signal.raise_signal(signal.SIGINT)) == (130, "", "")


def test_one_cause_of_many_files_is_one_line_and_verbose_names_them_all(ending, monkeypatch):
    faults = [AudioError(f"day/c{i:02d}.wav: mono") for i in range(28)]
    code, _, err = ending(raising(several(faults, "28 of 30 clips")))
    assert (code, err.count("\n")) == (2, 1)
    assert "day/c00.wav: mono (and 27 more like it: day/c01.wav, " in err
    monkeypatch.setattr(voice, "verbose", True)
    _, _, err = ending(raising(several(faults, "28 of 30 clips")))
    assert err.count("fault: ") == 28


def test_our_warnings_are_said_each_time_whatever_the_filters(ending):
    def twice():
        for _ in range(2):
            warn("fan: near is louder")

    warnings.simplefilter("ignore", NearfarWarning)
    assert ending(twice) == (0, "", "warning: fan: near is louder\n" * 2)


def test_every_command_is_there_once_in_the_order_of_the_help(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    names = [cli.name_of(command) for command in cli.COMMANDS]
    assert len(set(names)) == len(names)
    code, out, _ = run("--help")
    assert code == 0
    listed = [line.strip("│ ").split(" ")[0] for line in out.splitlines()]
    assert [word for word in listed if word in names] == names


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.__name__)
def test_a_command_made_alone_is_what_it_is_among_all(command):
    name = cli.name_of(command)
    (found,) = cli.asked(["-q", name, "fit"])
    assert found is command
    alone, whole = (get_command(made).commands for made in (cli.program(found), cli.app))
    assert list(alone) == [name]
    told = [
        [(p.name, p.opts, p.required, p.nargs) for p in made[name].params]
        for made in (alone, whole)
    ]
    assert told[0] == told[1]
    assert alone[name].help == whole[name].help


def test_what_is_not_plainly_a_command_is_left_to_the_whole_program():
    for arguments in ([], ["--help"], ["weights", "check"], ["scoer", "d"], ["-q"], ["-x", "fit"]):
        assert cli.asked(arguments) == []


def test_the_commands_and_their_help_need_no_arrays():
    code = "import sys, nearfar.cli.main; print({'numpy', 'torch', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's way to close a stream")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_leads_nowhere(closed):
    """No file that is opened later has its number: what is said would be written into that."""
    code = (
        "import os, sys; from nearfar.cli import main as cli; sys.argv = ['nearfar', 'watch'];"
        "cli._mend_streams(); sys.stdout.write('x'); sys.stderr.write('y');"
        "sys.exit(0 if os.open(os.devnull, 0) > 2 else 3)"
    )
    done = subprocess.run(["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, code], check=False)
    assert done.returncode == 0
