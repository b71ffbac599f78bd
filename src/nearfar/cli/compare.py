"""The command compare: which of several results is better? Flags to calls, nothing else."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.lines import ledger, say
from nearfar.cli.options import (
    DATA,
    OUTPUT,
    SPEED,
    Csv,
    Json,
    Replace,
    Year,
    check_stdout,
    on_disk,
    write_csv,
    write_json,
)
from nearfar.errors import SettingError, visible
from nearfar.files import begins, check_output


def compare(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT",
            help="JSON of evaluate, folders of score files, PACKAGE.zip/1, or NAME=A,B,C: runs of "
            "one system with several seeds.",
        ),
    ],
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            rich_help_panel=DATA,
            help="The results are folders of score files (anomaly_score_….csv); give --truth too.",
        ),
    ] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            rich_help_panel=DATA,
            help="The ground truth, for results that bring no labels; as for evaluate.",
        ),
    ] = None,
    rule: Annotated[
        Year | None,
        typer.Option(rich_help_panel=DATA, help="The year's rule; that of the results by default."),
    ] = None,
    transductive: Annotated[
        bool,
        typer.Option(
            "--transductive",
            rich_help_panel=DATA,
            help="Take scores that were ranked or scaled within the test set, and call them so.",
        ),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Compare all others with this system, not each with each.",
        ),
    ] = None,
    holm: Annotated[
        bool, typer.Option("--holm", help="Raise each p for the number of comparisons (Holm).")
    ] = False,
    confidence: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Of intervals, and of what is called distinguishable."),
    ] = 0.95,
    draws: Annotated[
        int, typer.Option(min=2, metavar="N", rich_help_panel=SPEED, help="Bootstrap draws.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the bootstrap.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", rich_help_panel=OUTPUT, help="A page with pictures too, an .html."
        ),
    ] = None,
    as_json: Json = None,
    csv: Csv = None,
    replace: Replace = False,
) -> None:
    """Compare results on the same clips: which differ by more than chance?

    Printed are all figures of each machine, Ω of each with its interval, and of each pair ΔΩ with
    a paired bootstrap interval, p, and in words whether the two are distinguishable.
    """
    from nearfar.study.standings import compare_files

    check_stdout(csv, as_json)
    files = [*filter(os.path.exists, _paths(results)), truth]
    for path, ending in ((as_json, ".json"), (csv, ".csv")):
        check_output(
            on_disk(path), endings=(ending,), inputs=files, ours=is_comparison, replace=replace
        )
    if output is not None:
        from nearfar.report.page import check_page

        check_page(output, "contest", files, replace=replace)
    if scores and not any(_is_folder(path) for path in _paths(results)):
        raise SettingError(f"--scores: {results[0]} is no folder of score files; leave it out")
    year: Any = None if rule is None else rule.value
    found = compare_files(
        results, truth, rule=year, against=against, holm=holm, transductive=transductive,
        draws=draws, seed=seed, confidence=confidence,
    )  # fmt: skip
    # Files first: a closed pipe must not cost them.
    if output is not None:
        from nearfar.report.contested import write_contest

        write_contest(output, found, shlex.join(["nearfar", *sys.argv[1:]]))
        ledger.files.append(visible(str(output)))
    taken = write_json(as_json, found.as_dict() if as_json is not None else None)
    taken |= write_csv(csv, found.to_csv() if csv is not None else "")
    if not taken:
        for line in found.text.split("\n"):
            say(visible(line))  # whatever files are called


def _paths(results: list[str]) -> list[str]:
    """What may be a file that is read: none of these is written over."""
    named = [text.partition("=")[2] for text in results if "=" in text]
    return [*results, *named, *(path for text in named for path in text.split(","))]


def _is_folder(path: str) -> bool:
    from nearfar.scores.submission.archive import in_zip

    # A list of twenty runs is longer than any name may be, at which pathlib raises.
    return os.path.isdir(path) or in_zip(Path(path)) is not None


def is_comparison(path: Path) -> bool:
    """Is a file plainly what this command wrote?"""
    return begins(path, r'machine,system,minus,|\{\s*"schema": \d+,\s*"systems": \[')
