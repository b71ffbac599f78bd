"""The command check: is this what normal sounds like? Flags to calls, nothing else."""

from __future__ import annotations

from collections import Counter
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
    Order,
    Pair,
    Salvage,
    Settings,
    SkipBad,
    SystemName,
    TimePattern,
    Weights,
    Workers,
    order_of,
)
from nearfar.cli.progress import Session
from nearfar.errors import in_shell
from nearfar.system.named import system_of


def check(
    data: Annotated[
        list[Path], typer.Argument(help="DCASE folders, folders of normal recordings, or CSVs.")
    ],
    system: SystemName = None,
    weights: Weights = None,
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
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Name the training clips that stand out, as fit would; write nothing.

    Exit code 1 if there are any, as of other programs that look for faults, so that a script can
    stop before it fits.
    """
    from nearfar.clips import Clips
    from nearfar.detector.fitting import suspects
    from nearfar.health.suspects import lines

    recipe = system_of(system or "s4", settings, weights)
    # What a fit would take, and no more: a test folder holds anomalies by right.
    order = order_of(channel_order, near, far)
    clips = Clips.open(
        data, split="train", machine=machine, clip_seconds=clip_seconds, pair=pair,
        salvage=salvage, time_pattern=time_pattern,
    )  # fmt: skip
    with Session(workers, cache, device, batch_size) as session:
        found = suspects(recipe, clips, session.runtime, order=order, skip_bad=skip_bad)
    counts = Counter(clip.machine for clip in clips)
    for line in lines(found, counts).values():
        typer.echo(in_shell(line))
    standing = len({suspect.clip for suspect in found})
    typer.echo(f"{standing} of {len(clips)} clips stand out" if found else
               f"{len(clips)} clips: none stands out")  # fmt: skip
    if found:
        raise typer.Exit(1)
