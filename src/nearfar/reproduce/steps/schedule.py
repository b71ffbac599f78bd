"""The steps of a study, which of them are done, and what the others will take."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nearfar.embedder.eat.weights import Weights, file_size
from nearfar.embedder.weights import CONFIG
from nearfar.errors import StorageError
from nearfar.reproduce.steps.estimate import (
    BYTE,
    Cost,
    Speed,
    Timed,
    estimate,
    measure,
    size,
    span,
)
from nearfar.reproduce.steps.jobs import elsewhere, first_of, within
from nearfar.reproduce.steps.plan import DIGITS, Request, Step
from nearfar.reproduce.steps.records import Folder, standing
from nearfar.reproduce.steps.shared import Shared
from nearfar.runtime.arrays import stored_bytes
from nearfar.runtime.runtime import Runtime


class Schedule:
    """The steps of a study, which of them are done, and what the others will take.

    >>> from nearfar.clips import Clips
    >>> from nearfar.reproduce.steps.plan import Data, FineTuning
    >>> data = Data(".", Clips(), Clips(), None, None, "near-far", "", True)
    >>> request = Request(("1",), (0,), FineTuning(), data, "")
    >>> Schedule(request, None, Folder(Path("run")), Runtime()).told  # Table 1 is of presets
    '0 steps, all done'
    """

    def __init__(
        self, study: Request, weights: Weights | None, folder: Folder, runtime: Runtime
    ) -> None:
        self.study, self.folder = study, folder
        self._cache = runtime.folder or folder.path  # as `run` makes one there
        self.steps = study.steps()
        self.records = {s.key: record for s in self.steps if (record := folder.done(s))}
        self.shared = Shared.of(self.steps)
        self.left = [step for step in self.steps if step.key not in self.records]
        executor, speed, timed = elsewhere(runtime), Speed("cpu", {}), Timed()
        shape = None if weights is None else weights.architecture
        self._beside = executor is not None
        if executor is not None:
            runtime = within(runtime, executor)
        if weights is not None and self.left:
            keys = frozenset(step.key for step in self.left)
            asked = TryOut(study, keys, weights, runtime.device, folder.path)
            speed, timed = first_of(executor, try_out, asked, runtime.device)
        self.estimate = estimate(
            self.left, study.data, shape, study.training, speed, runtime.workers,
            self.shared.chains, timed,
        )  # fmt: skip
        self._how = "from arithmetic"
        if timed.trained or timed.heard:
            self._how = "from a step and a pass that were timed here"

    @property
    def told(self) -> str:
        """In one line."""
        e = self.estimate
        done = f", {len(self.records)} done" if self.records else ""
        if others := self.folder.others(self.steps):
            done += f" ({others} finished ones here are of other data, weights or settings)"
        if not self.left:
            return f"{len(self.steps)} steps, all done"
        return (
            f"{len(self.steps)} steps{done}; left: some {span(sum(e.seconds))} on "
            f"{e.speed.device}, memory {size(e.memory)}, disk {size(e.disk)} and in the cache "
            f"{size(e.cache + self.kept)} (estimates {self._how}){self._without}{self._more}"
        )

    @property
    def _more(self) -> str:
        """What is otherwise where steps are done side by side: how many, only the cluster knows."""
        if not self._beside:
            return ""
        told = "; that is one step after the other, and they are done side by side"
        if not self.estimate.checkpoint:
            return told
        return f"{told}: each further training at a time takes {size(self.estimate.checkpoint)}"

    @property
    def kept(self) -> float:
        """Bytes of log-mels that are kept for encoders behind one front end; 0 without room."""
        return self._wanted if self.keeps else 0.0

    @cached_property
    def keeps(self) -> bool:
        """Is there room for them? Without they are prepared anew for each encoder."""
        try:
            self._check(self._wanted)
        except StorageError:
            return False
        return True

    @property
    def _without(self) -> str:
        if self.keeps:
            return ""
        return (
            f"; no room to keep {size(self._wanted)} of log-mels too, so each encoder prepares its "
            "own, which takes longer"
        )

    @property
    def text(self) -> str:
        """What there is, and every step with its key, state and time."""
        times = dict(zip((step.key for step in self.left), self.estimate.seconds, strict=True))
        rows = [
            f"{n:>3}  {step.key[:DIGITS]}  {step.name:<32}  "
            + (span(times[step.key]) if step.key in times else "done")
            for n, step in enumerate(self.steps, start=1)
        ]
        data = self.study.data
        return "\n".join([f"{data.label}: {data.told}", *rows, self.told])

    @cached_property
    def _wanted(self) -> float:
        count = self.shared.bytes_at_once if self._beside else self.shared.bytes
        return count(self.left, self.study.data)

    def check_disk(self) -> None:
        """Refuse disks that are too small for what will be written, with a `StorageError`."""
        self._check(self.kept)

    def _check(self, kept: float) -> None:
        run, cache = self.folder.path, self._cache
        # What is there already is replaced, or not written again.
        wanted = (
            (run, self.estimate.disk, self.folder.replaced()),
            (cache, self.estimate.cache + kept, stored_bytes(cache)),
        )
        needed: dict[int, tuple[Path, float]] = {}  # by disk: both may lie on one
        for path, count, there in wanted:
            if count > there:
                device = standing(path).stat().st_dev
                first, before = needed.get(device, (path, 0.0))
                needed[device] = (first, before + count - there)
        for path, count in needed.values():
            free = shutil.disk_usage(standing(path)).free
            if free < count:
                raise StorageError(
                    f"{path}: {size(free)} free, the run needs some {size(count)}; free some "
                    "space or choose another place"
                )


@dataclass(frozen=True)
class TryOut:
    """What is to be tried out where steps will be done.

    >>> TryOut(None, frozenset(), None, "cpu", Path("run")).device
    'cpu'
    """

    study: Request
    left: frozenset[str]  # keys of the steps
    weights: Weights
    device: str
    out: Path


def try_out(asked: TryOut) -> tuple[Speed, Timed]:
    """How quick products are here, and what can be tried within seconds."""
    study, device = asked.study, asked.device
    speed = measure(device, {study.training.precision, study.precision})
    left = [step for step in study.steps() if step.key in asked.left]
    return speed, _timed(left, study, asked.weights, speed, device, asked.out)


def _timed(
    left: Sequence[Step], study: Request, weights: Weights, speed: Speed, device: str, out: Path
) -> Timed:
    """What can be tried here within seconds."""
    from nearfar.reproduce.steps.timing import (
        time_fronts,
        time_passes,
        time_trainings,
        time_writing,
    )

    # Published weights are a folder of two files, or one file with its config inside.
    folder = weights.path.parent
    place = folder if (folder / CONFIG).is_file() else weights.path
    trainings = [step for step in left if step.kind == "train"]
    by_arithmetic = Cost(study.data, weights.architecture, study.training, speed, 1)
    return Timed(
        time_trainings(trainings, study.data, weights, device, by_arithmetic.of_epoch),
        time_passes(left, study.data, str(place), device, by_arithmetic.of_pass),
        time_fronts(trainings, study.data),
        time_writing(out, file_size(weights.architecture)) if trainings else BYTE,
    )
