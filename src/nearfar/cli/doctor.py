"""The command doctor: what is here, what works, and what to type for what is missing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.options import Json, Replace, on_disk, write_json
from nearfar.errors import visible
from nearfar.files import begins, check_output

if TYPE_CHECKING:
    from nearfar.doctor.sign import Sign

SCHEMA = 1  # of the JSON; raised when a program that reads it could err
WIDTH, INDENT = 80, 19  # columns: as wide in a pipe as on the smallest screen
_MARKS = {"missing": "missing: ", "broken": "BROKEN: "}


def doctor(
    places: Annotated[
        list[Path] | None,
        typer.Argument(help="Weights, or detectors whose weights are looked for."),
    ] = None,
    as_json: Json = None,
    replace: Replace = False,
) -> None:
    """Look at versions, computer, extras and weights, and try what commands need.

    Nothing is asked of a network. Exit code 1 if something that is installed is broken; what is not
    installed is no fault, and has the line that installs it.
    """
    from nearfar.doctor.examination import examine, healthy

    check_output(
        on_disk(as_json), endings=(".json",), inputs=places or (), ours=is_doctor, replace=replace
    )
    signs = list(examine(places or ()))
    well = healthy(signs)
    data = {"schema": SCHEMA, "signs": [sign.as_dict() for sign in signs], "works": well}
    if not write_json(as_json, data if as_json is not None else None):
        for line in lines(signs):
            typer.echo(visible(line))
        broken = [sign.name for sign in signs if sign.state == "broken"]
        told = f"broken: {', '.join(broken)}" if broken else "all that is installed works"
        typer.echo(f"\n{visible(told)}")
    if not well:
        raise typer.Exit(1)


def lines(signs: Sequence[Sign]) -> list[str]:
    """The table: a name, what is to be said of it, and below it what to type, in one piece."""
    found: list[str] = []
    for group, some in groupby(signs, key=lambda sign: sign.group):
        found += ["", group] if found else [group]
        for sign in some:
            told = _MARKS.get(sign.state, "") + sign.told
            name = f"  {sign.name}".ljust(INDENT)
            if len(name) > INDENT:  # a place, mostly
                found.append(name)
                name = " " * INDENT
            # A path or a command that is broken cannot be copied.
            found += textwrap.wrap(
                told, WIDTH, initial_indent=name, subsequent_indent=" " * INDENT,
                break_long_words=False, break_on_hyphens=False,
            ) or [name.rstrip()]  # fmt: skip
            found += [" " * INDENT + sign.way] if sign.way else []
    return found


def is_doctor(path: Path) -> bool:
    """Is a file plainly the JSON of a doctor's visit?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"signs": \[')
