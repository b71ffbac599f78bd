"""Doing what is left of a schedule, in turn or side by side, each recorded when it is whole."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from nearfar.embedding.kept import Claims
from nearfar.errors import NearfarError
from nearfar.reproduce.steps.estimate import span
from nearfar.reproduce.steps.jobs import StepJob, do_step, elsewhere, levels, marked, within
from nearfar.reproduce.steps.maker import Ended, Maker, versions_of
from nearfar.reproduce.steps.plan import Step
from nearfar.reproduce.steps.records import Record
from nearfar.reproduce.steps.schedule import Schedule
from nearfar.runtime.executor import Executor, Resources
from nearfar.runtime.runtime import Runtime

Say = Callable[[str], None]
KEPT = "what is done is kept, go on with --resume"


@dataclass
class Work:
    """Does what is left of a schedule.

    >>> from types import SimpleNamespace as Outline
    >>> from nearfar.version import __version__
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
        self.versions = versions_of(self.schedule.estimate.speed.device)

    def all(self) -> None:
        """Do every step that is left; the error of one that fails names it and the log.

        Side by side the others are done all the same, and the error is that of the first that
        failed.
        """
        plan, executor = self.schedule, elsewhere(self.runtime)
        told = {"steps": len(plan.steps), "left": len(plan.left), "versions": self.versions}
        plan.folder.tell("begin", told=told)
        with Claims() as claims:
            self._tidy(plan.left, claims)  # a killed run may have left some
            if executor is None:
                self._in_turn(claims)
            else:
                self._side_by_side(executor, claims)

    def _in_turn(self, claims: Claims) -> None:
        plan, folder = self.schedule, self.schedule.folder
        spent = measured = expected = 0.0  # seconds: of steps done, as estimated, of all before
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
        return self._record(self._maker(step, self.runtime).ended(step, self.schedule.folder.tell))

    def _maker(self, step: Step, runtime: Runtime) -> Maker:
        plan = self.schedule
        # Encoders behind one front end are given the same log-mels: the first one keeps them.
        runtime = replace(runtime, keep=bool(plan.shared.among(step)) and plan.keeps)
        return Maker(
            plan.study, plan.folder, runtime, self.weights, self.frozen, versions=self.versions
        )

    def _record(self, ended: Ended) -> Record:
        """Of a step that ended well; the error of one that did not is raised."""
        if ended.record is not None:
            return ended.record
        for warning in ended.warnings:
            self.say(f"warning: {warning}")
        raise ended.error or NearfarError("a step ended with neither record nor error")

    def _side_by_side(self, executor: Executor, claims: Claims) -> None:
        plan, failed = self.schedule, dict[str, Ended]()
        with marked(plan.folder.path) as mark:
            for level in levels(plan.left):
                ready = [s for s in level if all(need.key in plan.records for need in s.needs)]
                for step, ended in self._results(executor, ready, mark):
                    self._take(step, ended, failed)
                self._tidy([s for s in plan.left if s.key not in plan.records], claims)
        for step in plan.left:
            if step.key in failed:
                self._record(failed[step.key])

    def _results(
        self, executor: Executor, steps: Sequence[Step], mark: str
    ) -> Iterator[tuple[Step, Ended]]:
        """Each step and how it ended, as soon as all before it have."""
        inside, home = within(self.runtime, executor), platform.node()
        jobs = (StepJob(self._maker(step, inside), step.key, mark, home) for step in steps)
        needed = Resources(encoder=True, device=self.runtime.device)
        # Closed here: an error's traceback would keep it, and what it does, for longer.
        with closing(executor.run(do_step, jobs, needed)) as results:
            try:
                yield from zip(steps, results, strict=True)
            except NearfarError as error:  # of who does the jobs; a step's own comes as a value
                raise type(error)(f"{error}; {KEPT}") from error

    def _take(self, step: Step, ended: Ended, failed: dict[str, Ended]) -> None:
        """Note how a step ended, in the log too: lines of many hosts would be torn there."""
        plan = self.schedule
        for what, told in ended.log:
            plan.folder.tell(what, step, told)
        if ended.record is None:
            failed[step.key] = ended
            self.say(f"{step.name} failed; the others go on")
            return
        plan.records[step.key] = ended.record
        place = f"[{len(plan.records)}/{len(plan.steps)}]"
        self.say(f"{place} {step.name}; took {span(ended.record.seconds)}")
        if self.runtime.progress is not None:
            done = sum(one.key in plan.records for one in plan.left)
            self.runtime.progress("step", done, len(plan.left))
