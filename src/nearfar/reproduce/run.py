"""`reproduce`: check, plan, do what is not done yet, print the tables.

Killed at any moment it goes on from there: a step that is done is known by its key, a training has
its own checkpoints, and tables are made anew from the scores each time.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import (
    NearfarError,
    NearfarWarning,
    SettingError,
    StorageError,
    WeightsError,
)
from nearfar.finetune.settings import FineTuning
from nearfar.reproduce.data import Data, check_weights, hashed, look
from nearfar.reproduce.entries import TABLES, Precision, TableName, encoders, entries_of
from nearfar.reproduce.estimate import Estimate, estimate, measure, size, span
from nearfar.reproduce.plan import Step, Study, seeds_of
from nearfar.reproduce.records import Folder, Record
from nearfar.store import Runtime
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.audio import ChannelOrder
    from nearfar.eat.weights import Weights

Say = Callable[[str], None]

SEEDS = 4  # of the report's System 2


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        text: the tables, Markdown; of a dry run the plan.
        results: the same for programs; empty for a dry run.
        warnings: that steps gave, each once.
    """

    text: str
    results: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


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
        runtime: how to compute; without a cache one in the folder is kept until all is done.
        order: which channel is near.
        resume: go on with a run that is there.
        dry_run: check everything, tell the plan and what it will take, and write nothing.
        any_data: take other data and encoders; the report's column is left out.
        say: called with each line of progress.

    Raises:
        DatasetError, AudioError: data that the tables cannot be made of.
        WeightsError: weights that are not the published encoder.
        StorageError: a folder that is something else, in use, or too small a disk.
        NearfarError: a step that failed, with its name and where its log is.
    """
    runtime, folder = runtime or Runtime(), Folder(out)
    _refuse_launcher()
    folder.check(resume)
    found = look(data, order, any_data)
    training = training or FineTuning()
    study, opened = _study(found, weights, tables, seeds, training, precision, runtime)
    plan = _Plan(study, opened, folder, runtime)
    if dry_run:
        return Outcome(plan.text, {})
    say(plan.told)
    plan.check_disk()
    folder.begin(resume)
    with folder.locked(), _with_cache(runtime, folder) as cached:
        records = _Work(plan, cached, weights or "", say).all()
        return _finished(study, opened, folder, records)


def _study(
    data: Data,
    weights: str | None,
    tables: Sequence[TableName],
    seeds: int,
    training: FineTuning,
    precision: Precision,
    runtime: Runtime,
) -> tuple[Study, Weights | None]:
    """What is asked for, and the published encoder, all checked."""
    numbers = seeds_of(seeds)
    encoders(training, ())  # refuses settings that the compared encoders differ in
    needed = any(entry.encoder for entry in entries_of(tables))
    if needed and not weights:
        raise SettingError(
            "--weights is missing: the published encoder, a folder or a hub id such as "
            "worstchan/EAT-large_epoch20_pretrain (1.2 GB)"
        )
    opened = check_weights(weights, data.official) if needed and weights else None
    if opened is not None:
        _check_device({training.precision, precision}, runtime)
    data = hashed(data, runtime.progress)
    sha256 = "" if opened is None else opened.sha256
    return Study(tuple(tables), numbers, training, data, sha256, precision), opened


def _check_device(precisions: set[str], runtime: Runtime) -> None:
    """Refuse a device or precision that is not here, before anything is read."""
    try:
        from nearfar.eat.device import check_bf16, choose
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SettingError("these tables need PyTorch; pip install 'nearfar[eat]'") from None
    device = choose(runtime.device)
    if "bf16" in precisions:
        try:
            check_bf16(device)
        except SettingError:
            raise SettingError(
                f"precision bf16: {device.type} here has no bfloat16 arithmetic; take --precision "
                "fp32"
            ) from None


def _refuse_launcher() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SettingError(
            "nearfar reproduce is one process, and a launcher started several; start it by itself"
        )


class _Plan:
    """The steps of a study, which of them are done, and what the others will take."""

    def __init__(
        self, study: Study, weights: Weights | None, folder: Folder, runtime: Runtime
    ) -> None:
        self.study, self.folder = study, folder
        self.steps = study.steps()
        self.records: dict[str, Record] = {}
        for step in self.steps:
            if (record := folder.done(step)) is not None:
                self.records[step.key] = record
        self.left = [step for step in self.steps if step.key not in self.records]
        self.estimate = self._estimated(weights, runtime)

    def _estimated(self, weights: Weights | None, runtime: Runtime) -> Estimate:
        from nearfar.reproduce.estimate import Speed

        s = self.study
        speed = Speed("cpu", {})
        if weights is not None and self.left:
            speed = measure(runtime.device, {s.training.precision, s.precision})
        shape = None if weights is None else weights.architecture
        return estimate(self.left, s.data, shape, s.training, speed, runtime.workers)

    @property
    def told(self) -> str:
        """In one line."""
        e = self.estimate
        done = f", {len(self.records)} done" if self.records else ""
        if not self.left:
            return f"{len(self.steps)} steps, all done"
        return (
            f"{len(self.steps)} steps{done}; left: some {span(sum(e.seconds))} on "
            f"{e.speed.device}, memory {size(e.memory)}, disk {size(e.disk)} (estimates from "
            "arithmetic)"
        )

    @property
    def text(self) -> str:
        """Every step with its key, state and time."""
        times = dict(zip((step.key for step in self.left), self.estimate.seconds, strict=True))
        rows = [
            f"{n:>3}  {step.key[:12]}  {step.name:<32}  "
            + (span(times[step.key]) if step.key in times else "done")
            for n, step in enumerate(self.steps, start=1)
        ]
        return "\n".join([*rows, self.told])

    def check_disk(self) -> None:
        """Refuse a disk that is too small for what will be written."""
        place = next(p for p in (self.folder.path, *self.folder.path.absolute().parents)
                     if p.exists())  # fmt: skip
        free = shutil.disk_usage(place).free
        if self.left and free < self.estimate.disk:
            raise StorageError(
                f"{self.folder.path}: {size(free)} free, the run needs some "
                f"{size(self.estimate.disk)}; free some space or choose another place"
            )


@dataclass
class _Work:
    """Does what is left of a plan."""

    plan: _Plan
    runtime: Runtime
    weights: str
    say: Say

    def __post_init__(self) -> None:
        self._versions = _versions(self.plan.estimate.speed.device)

    def all(self) -> dict[str, Record]:
        """Every step's record, by key."""
        plan, folder = self.plan, self.plan.folder
        folder.tell("begin", told={"steps": len(plan.steps), "left": len(plan.left),
                                   "versions": self._versions})  # fmt: skip
        spent = expected = 0.0
        for n, (step, seconds) in enumerate(
            zip(plan.left, plan.estimate.seconds, strict=True), start=1
        ):
            # What was measured so far corrects the estimate of the rest.
            pace = spent / expected if spent > 60 and expected > 0 else 1.0
            rest = pace * (sum(plan.estimate.seconds) - expected)
            done = len(plan.records)
            self.say(f"[{done + 1}/{len(plan.steps)}] {step.name}; left: some {span(rest)}")
            plan.records[step.key] = self._one(step)
            spent, expected = spent + plan.records[step.key].seconds, expected + seconds
            if self.runtime.progress is not None:
                self.runtime.progress("step", n, len(plan.left))
        return plan.records

    def _one(self, step: Step) -> Record:
        folder = self.plan.folder
        folder.clear(step)
        folder.tell("start", step)
        began = time.monotonic()
        try:
            with _warnings() as given:
                files, facts = self._done(step)
            seconds = time.monotonic() - began
            record = folder.write(step, seconds, files, given, facts, self._versions)
        except Exception as error:
            self._failed(step, error)
            raise
        folder.tell("done", step, {"seconds": record.seconds, "warnings": given})
        return record

    def _done(self, step: Step) -> tuple[Sequence[Path], Mapping[str, Any]]:
        """Do a step: the files it wrote, and what tables want to know."""
        if step.kind == "train":
            return self._train(step)
        if step.kind == "score":
            return self._score(step)
        return self._stereo()

    def _train(self, step: Step) -> tuple[Sequence[Path], Mapping[str, Any]]:
        from nearfar.eat.training import training_of
        from nearfar.eat.weights import open_weights
        from nearfar.finetune.run import finetune

        if step.encoder is None:
            raise SettingError(f"step {step.name!r} trains nothing")
        data, out = self.plan.study.data, self.plan.folder.weights(step)
        _drop_damaged(out)
        system = step.encoder.system(self.weights)
        finetune(
            system, data.train, step.settings, self.runtime, out=out, resume=True, order=data.order
        )
        training = training_of(open_weights(out))
        facts = {} if training is None else dict(training.provenance["best"])
        return [out], {**facts, "classes": 0 if training is None else len(training.classes)}

    def _score(self, step: Step) -> tuple[Sequence[Path], Mapping[str, Any]]:
        from nearfar.scorefiles import ScoreTable, write_scores

        folder, data = self.plan.folder, self.plan.study.data
        places = [str(folder.weights(need)) for need in step.needs]
        system = step.system(self.weights, places)
        detector = system.fit(data.train, self.runtime, order=data.order)
        scores = detector.score(data.test, self.runtime)
        return write_scores(folder.scores(step), ScoreTable.from_verdicts(scores)), {}

    def _stereo(self) -> tuple[Sequence[Path], Mapping[str, Any]]:
        from nearfar.reproduce import stereo

        data = self.plan.study.data
        return [], stereo.measure(data.train, self.runtime, data.order).to_data()

    def _failed(self, step: Step, error: Exception) -> None:
        """Log it whole; to the user it is one line with the step's name."""
        folder = self.plan.folder
        what = " ".join(str(error).split()) or type(error).__name__
        with suppress(NearfarError):
            folder.tell("failed", step, {"error": what, "traceback": traceback.format_exc()})
        kind: type[NearfarError] = type(error) if isinstance(error, NearfarError) else NearfarError
        name = "" if isinstance(error, NearfarError) else f"{type(error).__name__}: "
        raise kind(
            f"{step.name} failed: {name}{what} (log: {folder.log}); what is done is kept, mend it "
            "and go on with --resume"
        ) from error


def _drop_damaged(out: Path) -> None:
    """Remove a trained encoder that is no longer whole; finetune would refuse to replace it."""
    from nearfar.eat.weights import open_weights

    if out.exists():
        try:
            open_weights(out)
        except WeightsError:
            out.unlink()


def _finished(
    study: Study, weights: Weights | None, folder: Folder, records: Mapping[str, Record]
) -> Outcome:
    """The tables, from scores that are all there."""
    from nearfar.reproduce.results import write

    text, results = write(study, weights, folder, records)
    folder.tell("tables", told={"tables": list(study.tables)})
    given = (w for step in study.steps() for w in records[step.key].warnings)
    return Outcome(text, results, tuple(dict.fromkeys(given)))


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Warnings of a step, each once; filled when it ends."""
    given: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NearfarWarning)
        yield given
    given += dict.fromkeys(" ".join(str(w.message).split()) for w in caught)


@contextmanager
def _with_cache(runtime: Runtime, folder: Folder) -> Iterator[Runtime]:
    """A cache that all steps share; the folder's own is deleted when everything is done."""
    if runtime.cache is not None:
        yield runtime
        return
    own = folder.path / "cache"
    yield replace(runtime, cache=own)
    shutil.rmtree(own, ignore_errors=True)


def _versions(device: str) -> dict[str, str]:
    """What computes, for the record."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"nearfar": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "torch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    cores = os.cpu_count() or 1
    found["machine"] = f"{platform.system()} {platform.machine()}, {cores} cores, {device}"
    return found
