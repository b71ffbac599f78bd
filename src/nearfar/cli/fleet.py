"""The command fleet: all machines of many detectors in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from csv import DictWriter
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.options import (
    Csv,
    Json,
    Parts,
    Replace,
    check_stdout,
    on_disk,
    write_csv,
    write_json,
)
from nearfar.errors import NearfarError, several, warn
from nearfar.files import begins, check_output
from nearfar.system.named import types_of
from nearfar.text import number

SCHEMA = 1  # of the JSON; raised when a program that reads it could err
COLUMNS = (
    "detector", "machine", "section", "clips", "threshold", "fitted", "false_alarm_rate", "drift",
)  # fmt: skip


def fleet(
    detectors: Annotated[
        list[Path], typer.Argument(help="Folders of detectors, or folders of such folders.")
    ],
    csv: Csv = None,
    as_json: Json = None,
    part: Parts = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out damaged detectors, and list them.")
    ] = False,
    replace: Replace = False,
) -> None:
    """List the machines of detectors: clips, threshold, date, false-alarm rate, drift.

    Only indexes are read; of machines that have learnt since their fit, the bank too.
    """
    from nearfar.cli import show
    from nearfar.detector.detector import load
    from nearfar.detector.folder.overview import detectors_in, overview

    check_stdout(csv, as_json)
    for path, ending in ((csv, ".csv"), (as_json, ".json")):
        check_output(
            on_disk(path), endings=(ending,), inputs=detectors, ours=is_fleet, replace=replace
        )  # fmt: skip
    types = types_of(part)
    reader = cache(lambda folder: load(folder, types, late=True))
    rows, bad = [], []
    for folder in detectors_in(detectors):
        try:
            rows += overview(folder, reader)
        except NearfarError as error:  # told with all others
            bad.append(error)
        reader.cache_clear()  # one detector's banks at a time
    if bad and not skip_bad:
        raise several(bad, f"{len(bad)} detectors cannot be read; --skip-bad leaves them out")
    for fault in bad:
        warn(f"left out: {fault}")
    told = [row.as_dict() for row in rows]
    taken = write_csv(csv, _as_csv(told) if csv is not None else "")
    taken |= write_json(
        as_json, {"schema": SCHEMA, "machines": told} if as_json is not None else None
    )
    if taken:
        return
    right = ("clips", "threshold", "false alarms")
    table = show.table_of(
        "machine", "section", "clips", "threshold", "fitted", "false alarms", "drift", right=right
    )
    for row in rows:
        table.add_row(
            row.machine, row.section, str(row.clips), number(row.threshold, 4), row.fitted,
            f"{100 * row.false_alarm_rate:.3g} %", row.drift or "–",
        )  # fmt: skip
    show.console().print(table)


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = StringIO()
    table = DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def is_fleet(path: Path) -> bool:
    """Is a file plainly the table or the JSON of this command?"""
    return begins(path, rf'{",".join(COLUMNS)}|\{{\s*"schema": \d+,\s*"machines": ')
