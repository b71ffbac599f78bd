"""The command doctor: what is here, what works, and what to type for what is missing."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli.options import STDOUT, Json, Replace, on_disk, write_json
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
    signs: list[Sign] = []
    out = None if as_json == STDOUT else sys.stdout
    # What a library prints when it is loaded is no part of the table, and would spoil the JSON.
    with redirect_stdout(sys.stderr):
        for line in lines(kept(examine(places or ()), signs)):
            if out:  # at once: a library that ends the process leaves what was seen till then
                print(visible(line), file=out, flush=True)
    well = healthy(signs)
    data = {"schema": SCHEMA, "signs": [sign.as_dict() for sign in signs], "works": well}
    if not write_json(as_json, data if as_json is not None else None):
        broken = [sign.name for sign in signs if sign.state == "broken"]
        told = f"broken: {', '.join(broken)}" if broken else "all that is installed works"
        typer.echo(f"\n{visible(told)}")
    if not well:
        raise typer.Exit(1)


def kept(signs: Iterable[Sign], keeper: list[Sign]) -> Iterator[Sign]:
    """The same signs as they come, each kept too."""
    for sign in signs:
        keeper.append(sign)
        yield sign


def lines(signs: Iterable[Sign]) -> Iterator[str]:
    """The table: a name, what is to be said of it, and below it what to type, in one piece."""
    first = True
    for group, some in groupby(signs, key=lambda sign: sign.group):
        yield from [group] if first else ["", group]
        first = False
        for sign in some:
            found: list[str] = []
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
            yield from found
            yield from [" " * INDENT + sign.way] if sign.way else []


def is_doctor(path: Path) -> bool:
    """Is a file plainly the JSON of a doctor's visit?"""
    return begins(path, r'\{\s*"schema": \d+,\s*"signs": \[')
