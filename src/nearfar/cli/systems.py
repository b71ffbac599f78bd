"""The commands systems and features: what there is to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli.options import (
    Cache,
    Channels,
    Far,
    Json,
    Near,
    Order,
    Replace,
    Settings,
    Weights,
    Workers,
    on_disk,
    order_of,
)
from nearfar.cli.progress import Session
from nearfar.errors import SettingError
from nearfar.files import check_output
from nearfar.system.named import published, system_of


def systems(
    name: Annotated[str | None, typer.Argument(help="A preset, or file.py:name.")] = None,
    weights: Weights = None,
    settings: Settings = None,
) -> None:
    """List the presets, or print one as Python that can be run."""
    from nearfar.cli import show

    if name is None:
        show.presets()
    else:
        # A repr is Python that makes the same system. Showing one needs no weights: without any,
        # those that the preset is meant for stand in their place.
        typer.echo(repr(system_of(name, settings, weights or published(name))))


def features(
    data: Annotated[Path, typer.Argument(help="One recording; with --select, training data.")],
    select: Annotated[
        bool, typer.Option("--select", help="Choose features by how little the domain moves them.")
    ] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, help="With --select: how many to keep.")
    ] = None,
    tau: Annotated[
        float | None, typer.Option(help="With --select: keep shifts up to this.")
    ] = None,
    # The 120 of the report's vector by default; others move with gain or operating point.
    everything: Annotated[bool, typer.Option("--all", help="All 151 candidates.")] = False,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the null distances.")] = 0,
    json: Json = None,
    replace: Replace = False,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Print the domain invariant features of a recording, or derive a set of them."""
    from nearfar.cli import show
    from nearfar.study.features import choose_features

    check_output(
        on_disk(json), endings=(".json",), inputs=[data], ours=show.is_features, replace=replace
    )
    order = order_of(channel_order, near, far)
    if select:
        if keep is not None and tau is not None:
            raise SettingError("give --keep or --tau, not both")
        # No device: the features are arithmetic on the processor.
        with Session(workers, cache) as session:
            found = choose_features(
                data, session.runtime, keep=keep, tau=tau, seed=seed, order=order
            )
        show.selection(found, json)
    elif keep is not None or tau is not None:  # which would do nothing, in silence
        raise SettingError("--keep and --tau go with --select DATA")
    else:
        show.features(data, everything, json, order)
