"""Doing what is left of a schedule, a step at a time, each recorded when it is whole."""

from __future__ import annotations

import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nearfar.detector.fitting import fit
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import Training
from nearfar.embedding.kept import Claims
from nearfar.errors import NearfarError, NearfarWarning, SettingError, StorageError, WeightsError
from nearfar.reproduce.bad import with_not_judged
from nearfar.reproduce.entries import FROZEN, FROZEN_S3
from nearfar.reproduce.steps import stereo
from nearfar.reproduce.steps.estimate import span
from nearfar.reproduce.steps.plan import Step
from nearfar.reproduce.steps.records import WEIGHTS, Record
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.runtime.runtime import Runtime
from nearfar.scores.files import write_scores
from nearfar.scores.join import ScoreTable
from nearfar.study.features import choose_features
from nearfar.system.system import System
from nearfar.version import __version__

Say = Callable[[str], None]
Done = tuple[Sequence[Path], Mapping[str, Any]]  # files that were written, facts for tables


@dataclass
class Work:
    """Does what is left of a schedule.

    >>> from types import SimpleNamespace as Outline
    >>> plan = Outline(estimate=Outline(speed=Outline(device="cpu")))  # of a schedule
    >>> Work(plan, Runtime(), "", print).versions["nearfar"] == __version__  # goes into records
    True
    """

    schedule: Schedule  # its records grow
    runtime: Runtime  # with a cache
    weights: str  # where the published encoder is
    say: Say  # called with a line before each step
    frozen: str = ""  # where System 3's is; "" the same

    def __post_init__(self) -> None:
        self.versions = _versions_of(self.schedule.estimate.speed.device)

    def all(self) -> None:
        """Do every step that is left; the error of one that fails names it and the log."""
        with Claims() as claims:
            self._all(claims)

    def _all(self, claims: Claims) -> None:
        plan, folder = self.schedule, self.schedule.folder
        folder.tell("begin", told={"steps": len(plan.steps), "left": len(plan.left),
                                   "versions": self.versions})  # fmt: skip
        spent = measured = expected = 0.0  # seconds: of steps done, as estimated, of all before
        self._tidy(plan.left, claims)  # a killed run may have left some
        for n, step in enumerate(plan.left):
            seconds = plan.estimate.seconds[n]
            # What was measured so far corrects the estimate of the rest.
            pace = spent / measured if spent > 60 and measured > 0 else 1.0
            rest = pace * (sum(plan.estimate.seconds) - expected)
            place = f"[{len(plan.records) + 1}/{len(plan.steps)}]"
            self.say(f"{place} {step.name}; left: some {span(rest)}")
            going_on = folder.weights(step).with_suffix(".checkpoint.safetensors").exists()
            # Another process did it since it was planned, or its training ended with equal bits.
            record = folder.done(step)
            if record is None:
                record = self._one(step)
                # What was done before would make the rest look quicker than it will be.
                spent += 0.0 if going_on else record.seconds
                measured += 0.0 if going_on else seconds
            plan.records[step.key] = record
            expected += seconds
            self._tidy(plan.left[n + 1 :], claims)
            if self.runtime.progress is not None:
                self.runtime.progress("step", n + 1, len(plan.left))

    def _tidy(self, left: Sequence[Step], claims: Claims) -> None:
        if self.runtime.folder is not None:
            self.schedule.shared.tidy(self.runtime.folder, left, claims)

    def _one(self, step: Step) -> Record:
        folder, given, began = self.schedule.folder, list[str](), time.monotonic()
        try:
            folder.clear(step)
            folder.tell("start", step)
            with _warnings(given):
                files, facts = self._done(step)
            seconds = time.monotonic() - began
            record = folder.write(step, seconds, files, given, facts, self.versions)
        except Exception as error:
            self._failed(step, error, given)
            raise
        folder.tell("done", step, {"seconds": record.seconds, "warnings": given})
        return record

    def _done(self, step: Step) -> Done:
        if step.kind == "train":
            return self._train(step)
        if step.kind == "score":
            return self._score(step)
        data = self.schedule.study.data
        return [], stereo.measure(data.train, self.runtime, data.order).to_data()

    def _train(self, step: Step) -> Done:
        from nearfar.training.run import finetune  # needs PyTorch

        if step.encoder is None:
            raise SettingError(f"step {step.name!r} trains nothing")
        data, out = self.schedule.study.data, self.schedule.folder.weights(step)
        self._check_published()
        try:
            if out.exists():
                open_weights(out)
        except WeightsError:  # no longer whole: finetune would refuse to replace it
            out.unlink()
        system = step.encoder.system(self.weights)
        finetune(
            system, data.train, step.settings, self.runtime, out=out, resume=True, order=data.order
        )
        if (training := Training.of(open_weights(out))) is None:
            raise WeightsError(f"{out}: no record of its training; delete it")
        told = {"classes": len(training.classes), "threads": training.provenance["threads"]}
        return [out], {**training.provenance["best"], **told}

    def _score(self, step: Step) -> Done:
        folder, data = self.schedule.folder, self.schedule.study.data
        places = [str(folder.weights(need)) for need in step.needs]
        trained = [self._checked(need) for need in step.needs]
        if step.entry is not None and step.entry.encoder in (FROZEN, FROZEN_S3):
            self._check_published(of_s3=step.entry.encoder == FROZEN_S3)
        system = step.system(self.weights, places, self.frozen)
        facts: dict[str, Any] = {WEIGHTS: trained}
        if step.entry is not None and step.entry.selects and isinstance(system, System):
            names = choose_features(data.train, self.runtime, order=data.order).names
            system = replace(system, embedder=DIF(names))
            facts["features"] = list(names)
        plan = self.schedule
        # Encoders behind one front end are given the same log-mels: the first one keeps them.
        runtime = replace(self.runtime, keep=plan.keeps and bool(plan.shared.among(step)))
        detector = fit(system, data.train, runtime, order=data.order)
        scores = ScoreTable.from_verdicts(detector.score(data.judged, runtime))
        files = write_scores(folder.scores(step), with_not_judged(scores, tuple(data.not_judged)))
        return files, facts

    def _check_published(self, of_s3: bool = False) -> None:
        """The published encoder, or System 3's own, is still the one that all keys are of."""
        study, other = self.schedule.study, of_s3 and self.frozen
        place, known = (self.frozen, study.frozen) if other else (self.weights, study.weights)
        if open_weights(place).sha256 != known:
            raise WeightsError(
                f"{place}: changed since the run began; put the file back, or begin anew"
            )

    def _checked(self, step: Step) -> str:
        """sha256 of a training's weights, which are those that its record names."""
        place = self.schedule.folder.weights(step)
        found = open_weights(place).sha256
        if found != self.schedule.folder.trained(step):
            raise StorageError(
                f"{place}: changed since it was trained; delete it, and --resume trains it again"
            )
        return found

    def _failed(self, step: Step, error: Exception, given: Sequence[str]) -> None:
        """Log it whole; to the user it is one line with the step's name."""
        folder = self.schedule.folder
        what = " ".join(str(error).split()) or type(error).__name__
        with suppress(NearfarError):
            told = {"error": what, "warnings": given, "traceback": traceback.format_exc()}
            folder.tell("failed", step, told)
        for warning in given:
            self.say(f"warning: {warning}")
        kind: type[NearfarError] = type(error) if isinstance(error, NearfarError) else NearfarError
        name = "" if isinstance(error, NearfarError) else f"{type(error).__name__}: "
        raise kind(
            f"{step.name} failed: {name}{what} (log: {folder.log}); what is done is kept, mend it "
            "and go on with --resume"
        ) from error


@contextmanager
def _warnings(given: list[str]) -> Iterator[None]:
    """Put the warnings of a step into a list, each once, however it ends."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NearfarWarning)
        try:
            yield
        finally:
            given += dict.fromkeys(" ".join(str(w.message).split()) for w in caught)


def _versions_of(device: str) -> dict[str, str]:
    """What computes, for the record."""
    found = {"nearfar": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "torch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    cores = os.cpu_count() or 1
    found["machine"] = f"{platform.system()} {platform.machine()}, {cores} cores, {device}"
    return found
