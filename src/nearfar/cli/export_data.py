"""The command export-data: recordings of any layout as a folder that other programs load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.lines import ledger
from nearfar.cli.options import (
    OUTPUT,
    Channels,
    ClipSeconds,
    Far,
    License,
    Machine,
    Near,
    Order,
    Pair,
    Replace,
    Salvage,
    SkipBad,
    TimePattern,
    license_of,
    order_of,
)
from nearfar.errors import visible
from nearfar.text import counted, named


def export_data(
    data: Annotated[list[Path], typer.Argument(help="Files, folders or CSVs of recordings.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to be made.")],
    link: Annotated[
        bool,
        typer.Option(
            "--link", rich_help_panel=OUTPUT, help="Hard links where the disk can, not copies."
        ),
    ] = False,
    data_license: License = None,
    machine: Machine = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    pair: Pair = None,
    salvage: Salvage = False,
    time_pattern: TimePattern = None,
    clip_seconds: ClipSeconds = None,
    skip_bad: SkipBad = False,
    replace: Replace = False,
) -> None:
    """Write recordings as an audiofolder: train/ and test/, a metadata.csv in each, a card.

    Hugging Face's datasets load it, and so does nearfar. A near and a far file become one of two
    channels, parts of recordings files of their own; anything else is copied as it is. The
    originals are only read.
    """
    from nearfar.clips import Clips
    from nearfar.clips.export.audiofolder import check_folder, export

    check_folder(output, data, replace=replace)
    licence, order = license_of(data_license), order_of(channel_order, near, far)
    clips = Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, pair=pair, salvage=salvage,
        time_pattern=time_pattern,
    )  # fmt: skip
    made = export(
        clips, output, order=order, data_license=licence, link=link, skip_bad=skip_bad,
        replace=replace,
    )  # fmt: skip
    anew = f", {made.rewritten} of them written anew" if made.rewritten else ""
    typer.echo(visible(f"{counted(made.clips, 'clip')} of {named(made.machines)}{anew}"))
    ledger.files.append(visible(str(output)))
