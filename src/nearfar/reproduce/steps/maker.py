"""Doing one step, recorded when it is whole: the same in this process and on another machine."""

from __future__ import annotations

import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nearfar.detector.fitting import fit
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import Training
from nearfar.errors import (
    NearfarError,
    NearfarWarning,
    SettingError,
    StorageError,
    WeightsError,
    hold_warnings,
)
from nearfar.reproduce.bad import with_not_judged
from nearfar.reproduce.entries import FROZEN, FROZEN_S3
from nearfar.reproduce.steps import stereo
from nearfar.reproduce.steps.plan import Request, Step
from nearfar.reproduce.steps.records import WEIGHTS, Folder, Record
from nearfar.runtime.runtime import Runtime
from nearfar.scores.files import write_scores
from nearfar.scores.join import ScoreTable
from nearfar.study.features import choose_features
from nearfar.system.system import System
from nearfar.version import __version__

Tell = Callable[[str, Step, Mapping[str, Any]], None]  # writes an event of a step to the log
Done = tuple[Sequence[Path], Mapping[str, Any]]  # files that were written, facts for tables


@dataclass(frozen=True)
class Ended:
    """How a step ended: with its record, or with what it failed of.

    >>> Ended(None, SettingError("a step failed")).log
    ()
    """

    record: Record | None
    error: NearfarError | None = None  # its line names the step and the log
    warnings: tuple[str, ...] = ()  # each once
    log: tuple[tuple[str, Mapping[str, Any]], ...] = ()  # events that nobody has written yet


@dataclass(frozen=True)
class Maker:
    """Does single steps of a study; plain data, so that other processes have it too.

    >>> from nearfar.clips import Clips
    >>> from nearfar.reproduce.data import Data
    >>> from nearfar.training.settings import FineTuning
    >>> data = Data(Path("dev"), Clips(), Clips(), None, None, "near-far", "", True)
    >>> request = Request(("1",), (0,), FineTuning(), data, "")
    >>> Maker(request, Folder(Path("run")), Runtime(), "").folder.log.as_posix()
    'run/log.jsonl'
    """

    study: Request
    folder: Folder
    runtime: Runtime  # with a cache
    weights: str  # where the published encoder is
    frozen: str = ""  # where System 3's is; "" the same
    versions: Mapping[str, str] = field(default_factory=dict)  # of what computes

    def ended(self, step: Step, tell: Tell, where: str = "") -> Ended:
        """Do a step, from its beginning or from its checkpoint; what it fails of is no exception.

        Args:
            step: one of the study's, whose needs are done.
            tell: called with what belongs into the log.
            where: it is done, where that is to be told.
        """
        given, began = list[str](), time.monotonic()
        try:
            self.folder.clear(step)
            tell("start", step, {"node": where} if where else {})
            with _warnings(given):
                files, facts = self.made(step)
            seconds = time.monotonic() - began
            record = self.folder.write(step, seconds, files, given, facts, self.versions)
        except Exception as error:
            return Ended(None, self._failed(step, error, given, tell, where), tuple(given))
        tell("done", step, {"seconds": record.seconds, "warnings": given})
        return Ended(record, None, tuple(given))

    def made(self, step: Step) -> Done:
        """What a step is to leave, without a word in the log."""
        if step.kind == "train":
            return self._train(step)
        if step.kind == "score":
            return self._score(step)
        data = self.study.data
        return [], stereo.measure(data.train, self.runtime, data.order).to_data()

    def _train(self, step: Step) -> Done:
        from nearfar.training.run import finetune  # needs PyTorch

        if step.encoder is None:
            raise SettingError(f"step {step.name!r} trains nothing")
        data, out = self.study.data, self.folder.weights(step)
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
        folder, data = self.folder, self.study.data
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
        detector = fit(system, data.train, self.runtime, order=data.order)
        scores = ScoreTable.from_verdicts(detector.score(data.judged, self.runtime))
        files = write_scores(folder.scores(step), with_not_judged(scores, tuple(data.not_judged)))
        return files, facts

    def _check_published(self, of_s3: bool = False) -> None:
        """The published encoder, or System 3's own, is still the one that all keys are of."""
        study, other = self.study, of_s3 and self.frozen
        place, known = (self.frozen, study.frozen) if other else (self.weights, study.weights)
        if open_weights(place).sha256 != known:
            raise WeightsError(
                f"{place}: changed since the run began; put the file back, or begin anew"
            )

    def _checked(self, step: Step) -> str:
        """sha256 of a training's weights, which are those that its record names."""
        place = self.folder.weights(step)
        found = open_weights(place).sha256
        if found != self.folder.trained(step):
            raise StorageError(
                f"{place}: changed since it was trained; delete it, and --resume trains it again"
            )
        return found

    def _failed(
        self, step: Step, error: Exception, given: Sequence[str], tell: Tell, where: str
    ) -> NearfarError:
        """Log it whole; to the user it is one line with the step's name."""
        what = " ".join(str(error).split()) or type(error).__name__
        with suppress(NearfarError):
            told = {"error": what, "warnings": given, "traceback": traceback.format_exc()}
            tell("failed", step, told)
        kind: type[NearfarError] = type(error) if isinstance(error, NearfarError) else NearfarError
        name = "" if isinstance(error, NearfarError) else f"{type(error).__name__}: "
        failure = kind(
            f"{step.name} failed{where and f' on {where}'}: {name}{what} (log: {self.folder.log}); "
            "what is done is kept, mend it and go on with --resume"
        )
        failure.__cause__ = error
        return failure


@contextmanager
def _warnings(given: list[str]) -> Iterator[None]:
    """Put the warnings of a step into a list, each once, however it ends."""
    with hold_warnings() as held, warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always", NearfarWarning)
        try:
            yield
        finally:
            said = [*held, *(other.message for other in others)]
            given += dict.fromkeys(" ".join(str(one).split()) for one in said)


def versions_of(device: str) -> dict[str, str]:
    """What computes, for the record."""
    found = {"nearfar": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "torch"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    cores = os.cpu_count() or 1
    found["machine"] = f"{platform.system()} {platform.machine()}, {cores} cores, {device}"
    return found
