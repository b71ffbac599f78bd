"""Options that commands share mean the same everywhere."""

import inspect

from nearfar.cli import options
from nearfar.cli.main import COMMANDS

SHARED = [
    name for name in vars(options) if name[0].isupper() and name not in ("Annotated", "StrEnum")
]


def test_an_option_has_one_default_in_every_command():
    defaults = {}
    for command in COMMANDS:
        for parameter in inspect.signature(command).parameters.values():
            # Annotations are text here: the names that `options` gives them.
            if parameter.annotation in SHARED and command.__module__ != "nearfar.cli.sound":
                defaults.setdefault(parameter.annotation, set()).add(parameter.default)
    assert set(defaults) >= {"Cache", "Workers", "SkipBad", "Channels", "Settings"}
    assert {name for name, found in defaults.items() if len(found) > 1} == set()


def test_what_changes_a_result_or_hides_a_fault_is_asked_for():
    for command in COMMANDS:
        for name, parameter in inspect.signature(command).parameters.items():
            if name in ("skip_bad", "any_frontend", "copy_weights", "resume", "any_data", "clear"):
                assert parameter.default is False, (command.__name__, name)


# ---- what is written is named --------------------------------------------------------------------


def test_files_are_named_at_the_end_unless_standard_output_is_a_table(tmp_path, capsys):
    from pathlib import Path

    from nearfar.cli.lines import Ledger, ledger
    from nearfar.cli.options import write_csv, write_json

    assert not write_csv(tmp_path / "a.csv", "a\n")
    assert not write_json(tmp_path / "a.json", {})
    ledger.close()
    told = capsys.readouterr().out.splitlines()
    assert told == [f"wrote {tmp_path / 'a.csv'}", f"wrote {tmp_path / 'a.json'}"]
    write_json(tmp_path / "a.json", {})
    assert write_csv(Path("-"), "a\n")
    ledger.close()
    assert capsys.readouterr().out == "a\n"
    assert (Ledger().files, ledger.files, ledger.taken) == ([], [], False)


def test_two_tables_do_not_fit_one_output(run):
    from command import failed

    failed(run("score", "d", "today", "--csv", "-", "--json", "-"), "--csv -", "--json -")
