"""The command download: published recordings onto this disk. Flags to calls, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli import offers
from nearfar.cli.lines import say
from nearfar.cli.options import DATA, OUTPUT
from nearfar.cli.program import voice
from nearfar.cli.progress import Interrupted, Session
from nearfar.errors import visible


def download(
    data_set: Annotated[
        str,
        typer.Argument(
            autocompletion=offers.data_sets, help="dcase2026, or another year's, from dcase2020 on."
        ),
    ],
    dir: Annotated[Path, typer.Argument(help="Folder for this data set; made if need be.")],
    split: Annotated[
        list[str] | None,
        typer.Option(
            metavar="dev|train|eval",
            rich_help_panel=DATA,
            autocompletion=offers.published,
            help="Development set, evaluation machines' normal clips, or their test clips; "
            "repeatable, all three if not given.",
        ),
    ] = None,
    machines: Annotated[
        list[str] | None,
        typer.Option(rich_help_panel=DATA, help="Only these, as in fan,valveEmu; repeatable."),
    ] = None,
    record: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="NUMBER", rich_help_panel=DATA, help="Another record of the one --split."
        ),
    ] = None,
    keep_zips: Annotated[
        bool,
        typer.Option("--keep-zips", rich_help_panel=OUTPUT, help="Keep the zip files in DIR/zips."),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            rich_help_panel=DATA,
            help="A mirror, with files as Zenodo has them; $NEARFAR_ZENODO if not given.",
        ),
    ] = None,
) -> None:
    """Fetch published recordings into the official layout.

    Sizes and checksums are checked. What is there already is not fetched again, and the same
    command goes on where it was stopped.
    """
    from nearfar.clips.download import download as deliver

    chosen = (
        None
        if machines is None
        else [name.strip() for names in machines for name in names.split(",") if name.strip()]
    )
    with Session(None, cache=None) as session:
        try:
            found = deliver(
                data_set, dir, split=split, machines=chosen, server=server, record=record,
                keep_zips=keep_zips, progress=session.runtime.progress,
                tell=lambda line: None if voice.quiet else session.say(visible(line)),
            )  # fmt: skip
        except Interrupted as end:
            end.kept = f"{visible(str(dir))}: the same command goes on from there"
            raise
    for arrival in found.arrivals:
        say(visible(arrival.line))
