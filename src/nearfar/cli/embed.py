"""The command embed: embeddings of any recordings as a file. Flags to calls, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.options import (
    BatchSize,
    Cache,
    Channels,
    ClipSeconds,
    Device,
    Far,
    Machine,
    Near,
    NoCache,
    Order,
    Pair,
    Replace,
    Salvage,
    Settings,
    SkipBad,
    TimePattern,
    Weights,
    Workers,
    kept_at,
    order_of,
)
from nearfar.cli.progress import Session
from nearfar.errors import SettingError, visible
from nearfar.files import check_output
from nearfar.system.named import system_of


def embed(
    data: Annotated[list[Path], typer.Argument(help="Files, folders or CSVs of recordings.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="An .npz file.")],
    weights: Weights = None,
    system: Annotated[
        str, typer.Option("-s", "--system", help="Whose front end and embedder; see systems.")
    ] = "s3-eat",  # an encoder as published: what embeddings are asked for most
    settings: Settings = None,
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
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Write one row of numbers a clip, with names and labels; nothing is fitted."""
    from nearfar.clips import Clips
    from nearfar.embedding.table import embeddings, is_table, write_npz

    check_output(  # before anything is heard, as all refusals here
        output, endings=(".npz",), inputs=[*data, *(weights or ())], ours=is_table, replace=replace
    )
    recipe = system_of(system, settings, weights)
    if len(recipe.members) != 1:  # members differ in their dimensions: one table has no room
        raise SettingError(
            f"{system} has {len(recipe.members)} embedders; name one of its members, such as "
            "s3-eat or s3-dif"
        )
    # A file named twice, by itself and by its folder, is one clip.
    order = order_of(channel_order, near, far)
    clips = Clips.open(
        data, machine=machine, clip_seconds=clip_seconds, pair=pair, salvage=salvage,
        time_pattern=time_pattern,
    )  # fmt: skip
    with Session(workers, kept_at(cache, no_cache), device, batch_size) as session:
        table = embeddings(  # its rows: (clips, dim)
            clips, recipe.chain, session.runtime, order=order, skip_bad=skip_bad
        )
    write_npz(output, table)
    typer.echo(visible(f"wrote {output}: {len(table.rows)} clips × {table.rows.shape[1]} numbers"))
