"""`reproduce`, what `nearfar reproduce` calls: check, plan, do what is left, print the tables.

Killed at any moment it goes on from there: a step that is done is known by its key, a training has
its own checkpoints, and tables are made anew from the scores each time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.embedder.eat.weights import Weights
from nearfar.errors import DatasetError, SettingError, StorageError, WeightsError, needs
from nearfar.reproduce.bad import heard
from nearfar.reproduce.data import Data, check_weights, look, sizes_of
from nearfar.reproduce.entries import FROZEN_S3, TABLES, TableName, encoders, entries_of
from nearfar.reproduce.steps.jobs import elsewhere, first_of, within
from nearfar.reproduce.steps.plan import Request, seeds_of
from nearfar.reproduce.steps.records import Folder
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.reproduce.steps.work import Say, Work
from nearfar.reproduce.tables.results import write
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import ChannelOrder
from nearfar.system.presets import PUBLISHED
from nearfar.training.settings import FineTuning

if TYPE_CHECKING:
    from nearfar.embedder.infer import Precision

SEEDS = 4  # of the report's System 2


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    >>> Outcome("1 step, all done", {}).warnings  # of a dry run
    ()
    """

    text: str  # the tables, Markdown; of a dry run the plan
    results: Mapping[str, Any]  # the same for programs; empty for a dry run
    warnings: tuple[str, ...] = ()  # that steps gave, each once


def reproduce(
    data: Path,
    weights: str | None,
    out: Path,
    *,
    tables: Sequence[TableName] = TABLES,
    seeds: int = SEEDS,
    training: FineTuning | None = None,
    precision: Precision = "fp32",
    runtime: Runtime | None = None,
    order: ChannelOrder = "near-far",
    resume: bool = False,
    dry_run: bool = False,
    any_data: bool = False,
    frozen_weights: str | None = None,
    skip_bad: bool = False,
    say: Say = lambda line: None,
) -> Outcome:
    """Compute the report's tables, and write them beside the report's numbers.

    Args:
        data: the development set, a DCASE folder or a CSV with labels.
        weights: the published encoder, a folder or a hub id; None where no table needs it.
        out: the run's folder.
        tables: which of the report's.
        seeds: trainings of each encoder.
        training: settings of all trainings; their seed is each run's own.
        precision: of encoders in the scored systems.
        runtime: how to compute; without a cache one in the folder is kept until all is done. With
            an engine, or an executor that does jobs to the end, steps are done side by side.
        order: which channel is near.
        resume: go on with a run that is there.
        dry_run: check everything, tell the plan and what it will take, and write nothing.
        any_data: take other data and encoders; the report's column is left out.
        frozen_weights: System 3's encoder, where it is another published one than `weights`.
        skip_bad: go on without training clips that cannot be used, and with test clips that cannot
            be judged; both are named beside the tables, see `reproduce.bad`.
        say: called with each line of progress.

    Raises:
        DatasetError, AudioError: data that the tables cannot be made of.
        WeightsError: weights that are not the published encoder, or two encoders of two sizes.
        StorageError: a folder that is something else, in use, or too small a disk.
        NearfarError: a step that failed, with its name and where its log is.
    """
    runtime = runtime or Runtime()
    _refuse_launcher()
    executor = elsewhere(runtime)
    if executor is not None:
        data, out, weights, frozen_weights = _absolute(data, out, weights, frozen_weights)
    folder = Folder(out)
    folder.check(resume)
    found, training = look(data, order, any_data, skip_bad), training or FineTuning()
    if training.precision == "auto":  # as all else in this run
        training = replace(training, precision=precision)
    numbers = seeds_of(seeds)
    _check_asked(found, tables, training)
    opened, frozen = _published(weights, frozen_weights, tables, found.official)
    if opened or frozen:
        device = runtime.device if executor is None else within(runtime, executor).device
        asked = frozenset({training.precision, precision}), device
        first_of(executor, check_device, asked, runtime.device)
    found = heard(found, runtime, skip_bad)
    hashes = [encoder.sha256 if encoder else "" for encoder in (opened, frozen)]
    study = Request(tuple(tables), numbers, training, found, hashes[0], precision, hashes[1])
    schedule = Schedule(study, opened or frozen, folder, runtime)
    if dry_run:
        return _dry(schedule, say)
    say(f"{found.label}: {found.told}")
    say(schedule.told)
    schedule.check_disk()
    folder.begin(resume)
    with folder.locked(), _with_cache(runtime, folder) as cached:
        work = Work(schedule, cached, weights or "", say, (frozen and frozen_weights) or "")
        work.all()
        return _finished(schedule, opened, frozen, work.versions)


def _dry(schedule: Schedule, say: Say) -> Outcome:
    """The plan, also where the disk is too small for it."""
    try:
        schedule.check_disk()
    except StorageError:
        say(schedule.text)
        raise
    return Outcome(schedule.text, {})


def _published(
    at: str | None, frozen: str | None, tables: Sequence[TableName], official: bool
) -> tuple[Weights | None, Weights | None]:
    """The encoder that everything begins with, and System 3's own; None where no table needs it."""
    wanted = {entry.encoder for entry in entries_of(tables)} - {""}
    own = check_weights(frozen, official) if frozen and FROZEN_S3 in wanted else None
    if not wanted - ({FROZEN_S3} if own else set()):
        return None, own
    if not at:
        raise SettingError(
            "--weights is missing: the published encoder, a folder or a hub id such as "
            f"{PUBLISHED} (1.2 GB)"
        )
    opened = check_weights(at, official)
    # What a run takes is told for one shape, and measured with one of the two.
    if own and sizes_of(own.architecture) != sizes_of(opened.architecture):
        raise WeightsError(
            f"{frozen}: is {own.architecture.name}, and --weights {at} is "
            f"{opened.architecture.name}; System 3's encoder and the others' are to be of one "
            "size: give two such, or leave --frozen-weights away"
        )
    return opened, own


def _check_asked(data: Data, tables: Sequence[TableName], training: FineTuning) -> None:
    """Refuse what a step would only find out after hours of others."""
    if not tables or not set(tables) <= set(TABLES):
        raise SettingError(f"tables {list(tables)}; give some of {', '.join(TABLES)}")
    wanted = encoders(training, {entry.encoder for entry in entries_of(tables)})
    if data.order not in ("near-far", "far-near"):
        raise SettingError(f"channel order {data.order!r}; it is 'near-far' or 'far-near'")
    needing = {"DANN": "text"} if "dann" in wanted else {}
    needing |= (
        {"choosing features": "readings"} if any(e.selects for e in entries_of(tables)) else {}
    )
    if needing and not {"source", "target"} <= {clip.domain for clip in data.train}:
        what, table = next(iter(needing.items()))
        raise DatasetError(
            f"{data.path}: {what} needs training clips of both domains, source and target; give "
            f"them, or leave the table {table!r} away"
        )


def check_device(asked: tuple[frozenset[str], str]) -> None:
    """Refuse precisions or a device that are not where steps will be done, before all else.

    Raises:
        SettingError: says what to take.
    """
    precisions, name = asked
    with needs("eat", "these tables need PyTorch", SettingError):
        from nearfar.embedder.device import check_bf16, choose
    device = choose(name)
    try:
        if "bf16" in precisions:
            check_bf16(device)
    except SettingError:
        raise SettingError(
            f"precision bf16: {device.type} here has no bfloat16 arithmetic; take fp32"
        ) from None


def _absolute(
    data: Path, out: Path, weights: str | None, frozen: str | None
) -> tuple[Path, Path, str | None, str | None]:
    """The same places for processes that were started elsewhere; a hub id stays one."""
    at, other = (
        str(Path(place).absolute()) if place and Path(place).exists() else place
        for place in (weights, frozen)
    )
    return data.absolute(), out.absolute(), at, other


def _refuse_launcher() -> None:
    if (size := os.environ.get("WORLD_SIZE") or "1") != "1":
        raise SettingError(
            f"nearfar reproduce is one process, and WORLD_SIZE is {size!r}; start it without a "
            "launcher, or unset WORLD_SIZE"
        )


def _finished(
    schedule: Schedule, weights: Weights | None, frozen: Weights | None, versions: Mapping[str, str]
) -> Outcome:
    """The tables, from scores that are all there."""
    text, results = write(schedule, weights, versions, frozen)
    schedule.folder.tell("tables", told={"tables": list(schedule.study.tables)})
    given = (w for step in schedule.steps for w in schedule.records[step.key].warnings)
    return Outcome(text, results, tuple(dict.fromkeys(given)))


@contextmanager
def _with_cache(runtime: Runtime, folder: Folder) -> Iterator[Runtime]:
    """A cache that all steps share; the folder's own is deleted when everything is done."""
    own = folder.path / "cache"
    yield replace(runtime, cache=runtime.cache or own)  # after an error it stays: --resume
    shutil.rmtree(own, ignore_errors=True)
