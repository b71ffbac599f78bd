"""The command merge: the parts of all shards become what one run would have made."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfar.cli.fit import FailOnAnomaly, fit, score
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
from nearfar.cli.parquet import Parquet
from nearfar.cli.sharding import ShardWork
from nearfar.cli.splits import OfficialFolder
from nearfar.errors import FormatError, SettingError
from nearfar.system.named import types_of

if TYPE_CHECKING:
    from nearfar.embedding.gathering import AllParts

_FLAGS = {"as_json": "--json"}


def merge(
    parts: Annotated[
        list[Path], typer.Argument(help="Parts of all shards, in any order.", metavar="PART")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the detector, of parts of a fit."),
    ] = None,
    csv: Csv = None,
    as_json: Json = None,
    parquet: Parquet = None,
    official: OfficialFolder = None,
    fail_on_anomaly: FailOnAnomaly = False,
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
    shared: dict[str, Any] = dict(
        shard=ShardWork(merged=whole, types=types_of(part)), replace=replace, device=device,
        batch_size=batch_size, workers=workers, cache=cache, no_cache=no_cache,
    )  # fmt: skip
    tables = dict(
        csv=csv, as_json=as_json, parquet=parquet, official=official,
        fail_on_anomaly=fail_on_anomaly,
    )  # fmt: skip
    if whole.command == "score":
        if output is not None:
            raise SettingError(f"-o {output} is for parts of a fit; a table is --csv FILE.csv")
        _check_scored(whole, official)
        # Of a table nothing may lie where a recording does.
        read = [*parts, *_folders_of(whole)]
        _go_on(whole, score, {"sha256"}, data=read, part=part, **tables, **shared)
        return
    for name, value in tables.items():
        if value:
            flag = _FLAGS.get(name, "--" + name.replace("_", "-"))
            raise SettingError(f"{flag} is for parts of a score; these are of a fit")
    if output is None:
        raise SettingError("these are parts of a fit; say -o DET, the folder for the detector")
    _go_on(whole, fit, {"system", "chains"}, data=parts, output=output, **shared)


def _check_scored(whole: AllParts, official: Path | None) -> None:
    """Refuse scores of a detector that is gone, and of training clips where none may be."""
    place = Path(str(whole.settings.get("detector")))
    if not place.is_dir():
        raise FormatError(
            f"{place}: the detector of {whole.parts[0].path} is not there; merge where the shards "
            "ran, with it in place"
        )
    if official is not None and any(clip.split == "train" for clip in whole.clips):
        raise SettingError("--official writes files of test clips; the shards have training clips")


def _folders_of(whole: AllParts) -> list[Path]:
    """Folders of this machine that have the recordings of its parts."""
    from nearfar.runtime.urls import url_of

    files = [path for clip in whole.clips for path in (clip.path, clip.far) if path is not None]
    return list(dict.fromkeys(path.parent for path in files if url_of(path) is None))


def _go_on(whole: AllParts, command: Callable[..., None], apart: set[str], **given: Any) -> None:
    """Run the shards' command with what they were asked, but for what is no argument of it.

    Raises:
        FormatError: other settings than the command has.
    """
    try:
        asked = {name: value for name, value in whole.settings.items() if name not in apart}
        if asked.get("channel_order") is not None:
            asked["channel_order"] = Order(asked["channel_order"])
        if "detector" in asked:
            asked["detector"] = Path(asked["detector"])
        if not apart <= {*whole.settings}:
            raise ValueError(apart)
        signature(command).bind(**asked, **given)
    except (TypeError, ValueError):
        raise FormatError(
            f"{whole.parts[0].path}: its settings are none of nearfar {whole.command}; run the "
            "shards again"
        ) from None
    command(**asked, **given)
