"""Commands around runs: ablate, cache. Flags to calls, nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nearfar.cli_options import (
    BatchSize,
    Cache,
    Device,
    Order,
    Settings,
    SystemName,
    Weights,
    Workers,
    check_output,
    running,
    system_of,
)


def ablate(
    data: Annotated[Path, typer.Argument(help="DCASE folder, or CSV with labels.")],
    claim: Annotated[
        str,
        typer.Argument(
            help="coefficients, fusion, enrichment, channels, families, adaptation, members, "
            "selfscores or percentile."
        ),
    ],
    system: SystemName = None,
    weights: Weights = None,
    settings: Settings = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="machine,section,file,domain,label for clips without labels."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to a file.")
    ] = None,
    channel_order: Order = Order.near_far,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = True,
) -> None:
    """Test what the report claims about a system: change a part, see what Ω does.

    Each variant is compared with the system as it is, on the same clips, with intervals.
    """
    from nearfar import ablate as ablation
    from nearfar.claims import find_claim
    from nearfar.store import write_text

    found = find_claim(claim)
    check_output(output)
    variants = found.variants(system_of(system or "s4", settings, weights))
    with running(workers, cache, device, batch_size) as runtime:
        result = ablation.ablate(
            data, variants, runtime, claim=claim, sentence=found.sentence, truth=truth,
            order=channel_order.value,
        )  # fmt: skip
    if output is not None:
        write_text(output, json.dumps(result.as_dict(), indent=1, ensure_ascii=False) + "\n")
    typer.echo(result.text + (f"\nwrote {output}" if output is not None else ""))


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Empty it.")] = False,
) -> None:
    """Show where embeddings are kept, how many and how large; with --clear, empty the cache."""
    from nearfar.cachefile import cache_size, clear_cache
    from nearfar.finetune.melstore import clear_stores, stored_bytes
    from nearfar.store import default_cache

    folder = default_cache()
    if clear:
        freed = clear_cache(folder) + clear_stores(folder)
        typer.echo(f"{folder}: {_readable(freed)} freed" if freed else f"{folder}: was empty")
        return
    size = cache_size(folder)
    if size.entries is None:
        typer.echo(f"{folder}: damaged, {_readable(size.bytes)}; nearfar cache --clear deletes it")
    elif not size.entries:
        typer.echo(f"{folder}: empty" + (f", {_readable(size.bytes)}" if size.bytes else ""))
    else:
        typer.echo(f"{folder}: {size.entries} embeddings, {_readable(size.bytes)}")
    if mels := stored_bytes(folder):
        typer.echo(f"{folder}: log-mels for training, {_readable(mels)}")


def _readable(count: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
