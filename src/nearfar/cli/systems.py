"""The commands systems and features: what there is to choose from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import offers
from nearfar.cli.options import (
    SYSTEM,
    Cache,
    Channels,
    Far,
    Json,
    Near,
    NoCache,
    Order,
    Replace,
    Settings,
    Weights,
    Workers,
    kept_at,
    on_disk,
    order_of,
)
from nearfar.cli.progress import Session
from nearfar.errors import SettingError
from nearfar.files import check_output
from nearfar.system.named import published, system_of

if TYPE_CHECKING:
    from nearfar.embedder.contract import Embedder


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
    system: Annotated[
        str | None,
        typer.Option(
            "-s",
            "--system",
            metavar="NAME",
            autocompletion=offers.systems,
            help="Whose features: s5-dif has 296; else the 120 of s4.",
            rich_help_panel=SYSTEM,
        ),
    ] = None,
    channel_order: Channels = Order.near_far,
    near: Near = None,
    far: Far = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the null distances.")] = 0,
    json: Json = None,
    replace: Replace = False,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Print the named features of a recording, or derive a set of domain invariant ones."""
    from nearfar.cli import show
    from nearfar.study.features import choose_features

    check_output(
        on_disk(json), endings=(".json",), inputs=[data], ours=show.is_features, replace=replace
    )
    order = order_of(channel_order, near, far)
    if system is not None and (select or everything):
        raise SettingError("--system goes with neither --all nor --select, which are of DIF")
    if select:
        if keep is not None and tau is not None:
            raise SettingError("give --keep or --tau, not both")
        # No device: the features are arithmetic on the processor.
        with Session(workers, kept_at(cache, no_cache)) as session:
            found = choose_features(
                data, session.runtime, keep=keep, tau=tau, seed=seed, order=order
            )
        show.selection(found, json)
    elif keep is not None or tau is not None:  # which would do nothing, in silence
        raise SettingError("--keep and --tau go with --select DATA")
    else:
        show.features(data, _named(system, everything), json, order)


def _named(system: str | None, everything: bool) -> Embedder:
    """The embedder whose features are asked for.

    Raises:
        SettingError: a system none of whose embedders has names for its numbers.
    """
    from nearfar.embedder.contract import features_of
    from nearfar.embedder.dif import CANDIDATES, DIF

    if system is None:
        return DIF(names=CANDIDATES) if everything else DIF()
    members = system_of(system, None, published(system)).members
    found: Embedder | None = next((m.embedder for m in members if features_of(m.embedder)), None)
    if found is None:
        raise SettingError(
            f"{system} has no named features; say -s s4 or -s s5-dif, or another system with DIF"
        )
    return found
