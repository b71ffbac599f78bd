"""The program as a whole: its help, its version, how much it tells, completion, exit codes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.main import get_command

from conftest import first_quick, write
from nearfar.cli import main as cli
from nearfar.cli.options import DATA, OUTPUT, SPEED, SYSTEM, write_json
from nearfar.cli.program import EXIT_CODES, METAVARS, PANEL_OF, hoisted, voice
from nearfar.errors import warn
from nearfar.version import __version__

PROGRAM = get_command(cli.app)
COMMANDS = {
    **{name: c for name, c in PROGRAM.commands.items() if name != "weights"},
    **{f"weights {name}": c for name, c in PROGRAM.commands["weights"].commands.items()},
}


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    yield
    voice.quiet = voice.verbose = False


def options(command):
    context = command.make_context("x", [], resilient_parsing=True)
    return [p for p in command.get_params(context) if p.param_type_name == "option"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_panel_an_explanation_and_no_type_of_a_switch(name):
    found = options(COMMANDS[name])
    panels = [option.rich_help_panel for option in found]
    order = [DATA, SYSTEM, OUTPUT, SPEED]
    assert panels == sorted(panels, key=order.index)
    for option in found:
        assert option.metavar == "" or not option.is_flag, option.name
        assert option.help, option.name
    for argument in COMMANDS[name].params:
        assert argument.help, argument.name


# Of a watch: rows of a history, and an alarm's end. Elsewhere features, and a cache.
OTHER_THINGS = {("watch", "--keep"), ("watch", "--clear")}


def test_an_option_stands_in_the_same_panel_whatever_the_command():
    places = {}
    for name, command in COMMANDS.items():
        for option in options(command):
            if (name, option.opts[0]) in OTHER_THINGS:
                continue
            places.setdefault(option.opts[0], set()).add(option.rich_help_panel)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_tables_name_options_that_exist_or_are_coming():
    there = {option.name for command in COMMANDS.values() for option in options(command)}
    coming = {
        "pair", "near", "far", "salvage", "exclude_suspects", "time_pattern", "replace",
        "json_path", "as_json",
    }  # fmt: skip
    assert set(PANEL_OF) - there <= coming
    assert set(METAVARS) <= there


@pytest.mark.parametrize("name", ["", "weights", *COMMANDS])
def test_every_help_tells_the_exit_codes_and_no_noise(name, run):
    code, out, _ = run(*name.split(), "--help")
    assert code == 0
    told = " ".join(out.split())
    own = COMMANDS[name].epilog if name in COMMANDS else EXIT_CODES
    assert own in told
    for ending in ("0 fine", "2 a mistake", "130 interrupted", "143 ended"):
        assert ending in own
    for noise in ("bool", "list[", "<int", "<str", "<path", "<float", "Path]", "TEXT", "INTEGER"):
        assert noise not in told, noise


@pytest.mark.parametrize("name", first_quick([*COMMANDS]))
def test_every_help_fits_a_terminal_of_80_columns_and_breaks_no_line_early(name, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(*name.split(), "--help")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    about = " ".join(out.partition("╭")[0].split())
    for paragraph in COMMANDS[name].help.split("\n\n"):
        assert paragraph in about  # as it stands in the source, but for where lines end
        assert "\n" not in paragraph
    for option in options(COMMANDS[name]):
        for word in option.help.replace("\\[", "[").split():
            assert word in out, option.name  # neither cut nor folded


def test_the_codes_are_those_of_the_program():
    for number in ("0 ", "1 ", "2 ", "3 ", "130 ", "143 "):
        assert number in EXIT_CODES


@pytest.mark.parametrize("args", [["--version"], ["-V"], ["cache", "--version"], ["fit", "-V"]])
def test_the_version_is_one_line_wherever_it_is_asked(run, args):
    assert run(*args) == (0, f"nearfar {__version__}\n", "")


def test_help_version_and_completion_load_no_arrays():
    for args in (["--version"], ["--help"], ["fit", "--help"], ["completion", "zsh"]):
        code = (
            "import sys; from nearfar.cli.main import main\n"
            f"sys.argv = ['nearfar', *{args}]\n"
            "try: main()\nexcept SystemExit: pass\n"
            "print({'numpy', 'torch', 'scipy'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "set()", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_asks_this_program(run, shell):
    code, out, _ = run("completion", shell)
    assert code == 0
    assert f"complete_{shell}" in out
    assert "_NEARFAR_COMPLETE" in out
    if shutil.which(shell):  # it reads a script without running it
        done = subprocess.run([shell, "-n"], input=out, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


def test_what_the_script_asks_is_answered():
    asked = {
        **os.environ, "_NEARFAR_COMPLETE": "complete_bash", "COMP_WORDS": "nearfar sc",
        "COMP_CWORD": "1",
    }  # fmt: skip
    # As the installed program is called, for its name is part of the question.
    code = "import sys; sys.argv = ['nearfar']; from nearfar.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=asked, capture_output=True, text=True)
    assert done.stdout.split() == ["score"], done.stderr


def test_flags_of_the_program_are_taken_from_wherever_they_stand():
    assert hoisted(["score", "d", "-q", "x"]) == ["-q", "score", "d", "x"]
    assert hoisted(["score", "--", "-q"]) == ["score", "--", "-q"]  # a file of that name


@pytest.mark.parametrize("where", ["before", "behind"])
def test_quiet_leaves_errors_and_results(run, monkeypatch, where):
    from nearfar.cli import weights

    monkeypatch.setattr(weights, "_readable", lambda size: warn("look") or f"{size}")
    monkeypatch.setattr("nearfar.runtime.cache.clear_cache", lambda folder: 7)
    args = ["cache", "--clear"]
    _, loud, err = run(*args)
    assert err == "warning: look\n"
    args = ["--quiet", *args] if where == "before" else [*args, "-q"]
    assert run(*args) == (0, loud, "")
    code, out, err = run("systems", "s9", "-q")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_verbose_tells_the_version_and_where_an_error_came_from(run):
    code, out, err = run("systems", "s9", "--verbose")
    assert (code, out) == (2, "")
    assert err.startswith(f"nearfar {__version__}, Python ")
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("error: ")
    code, _, err = run("systems", "s9")  # and the next run is as ever
    assert (code, err.count("\n")) == (2, 1)


def test_verbose_tells_what_took_how_long(capsys):
    from nearfar.cli.progress import progress_bar

    voice.verbose = True
    _, report = progress_bar()
    for done in (1, 2, 3):
        report("listening", done, 3)
    assert capsys.readouterr().err.startswith("listening: 3 clips in ")


# ---- one meaning of --json -----------------------------------------------------------------------


def test_json_goes_to_a_file_or_to_standard_output(tmp_path, capsys):
    data = {"Ω": [1.5, None]}
    assert write_json(None, data) is False
    assert write_json(tmp_path / "a.json", data) is False  # the table follows
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == data
    from pathlib import Path

    assert write_json(Path("-"), data) is True  # and nothing may follow
    assert json.loads(capsys.readouterr().out) == data


def test_json_has_one_form_in_every_command():
    for name, command in COMMANDS.items():
        for option in options(command):
            # `score` has a switch until its own command takes the form of the others.
            if "--json" in option.opts:
                assert option.metavar == "PATH|-", name


def test_features_as_json_are_one_text_on_standard_output(run, dcase, tmp_path):
    clip = next((dcase / "fan" / "train").glob("*.wav"))
    code, out, _ = run("features", clip, "--json", "-")
    assert code == 0
    file = tmp_path / "f.json"
    code, table, _ = run("features", clip, "--json", file)
    assert json.loads(file.read_text()) == json.loads(out)
    assert "unit" in table.splitlines()[0]


@pytest.mark.parametrize("command", ["mask", "features", "check"])
def test_a_way_out_is_one_that_the_command_has(run, tmp_path, command):
    clip = write(tmp_path / "silent.wav", np.zeros((2, 32_000)))
    code, _, err = run(command, clip, *(["-o", tmp_path / "out.wav"] if command == "mask" else []))
    assert code == 2
    # check has only this clip: without it nothing is left
    assert ("leave the clip out" in err) is (command != "check")
    assert "--skip-bad" not in err
