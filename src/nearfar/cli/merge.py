"""The command merge: the parts of all shards become what one run would have made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.fit import fit, score
from nearfar.cli.options import (
    BatchSize,
    Cache,
    Csv,
    Device,
    Json,
    NoCache,
    Order,
    Parts,
    Replace,
    Workers,
)
from nearfar.cli.sharding import ShardWork
from nearfar.errors import SettingError
from nearfar.system.named import types_of


def merge(
    parts: Annotated[
        list[Path], typer.Argument(help="Parts of all shards, in any order.", metavar="PART…")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the detector, of parts of a fit."),
    ] = None,
    csv: Csv = None,
    as_json: Json = None,
    part: Parts = None,
    replace: Replace = False,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: Workers = None,
    cache: Cache = None,
    no_cache: NoCache = False,
) -> None:
    """Put the parts of all shards together: a detector, or scores, as one run would have made.

    What was asked of the shards holds for the whole, and need not be said again. No clip is
    embedded again; a fit with residual rows (s4 has them) reads its target clips for these.
    """
    from nearfar.embedding.gathering import gather

    whole = gather(parts)
    given: dict[str, Any] = dict(
        shard=ShardWork(merged=whole, types=types_of(part)), replace=replace, device=device,
        batch_size=batch_size, workers=workers, cache=cache, no_cache=no_cache,
    )  # fmt: skip
    asked = dict(whole.settings)
    if whole.command == "fit":
        if csv is not None or as_json is not None:
            raise SettingError("--csv and --json are for parts of a score; these are of a fit")
        if output is None:
            raise SettingError("these are parts of a fit; say -o DET, the folder for the detector")
        del asked["system"], asked["chains"]
        said = asked.pop("channel_order")
        asked["channel_order"] = None if said is None else Order(said)
        fit(parts, output, **{**asked, **given})
        return
    if output is not None:
        raise SettingError(f"-o {output} is for parts of a fit; a table of these is --csv {output}")
    del asked["sha256"]
    score(
        Path(asked.pop("detector")), parts, csv=csv, as_json=as_json, part=part,
        **{**asked, **given},
    )  # fmt: skip
