"""Which executor a runtime asks for, and jobs done with progress."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import ClassVar

from nearfar.runtime import workers
from nearfar.runtime.executor import Codec, Executor, Job, Resources, Result
from nearfar.runtime.runtime import LOCAL, Runtime


@dataclass(frozen=True)
class Processes(Executor):
    """Jobs in this process, or in some worker processes beside it.

    >>> list(Processes(1).run(abs, [-1, 2]))
    [1, 2]
    """

    whole: ClassVar[bool] = False

    workers: int

    def run(
        self,
        task: Callable[[Job], Result],
        jobs: Iterable[Job],
        resources: Resources = Resources(),  # noqa: B008 - frozen
        codec: Codec[Result] | None = None,
    ) -> Generator[Result, None, None]:
        """As `Executor.run`; see `nearfar.runtime.workers`."""
        return workers.run(task, jobs, self.workers)


def executor_of(runtime: Runtime) -> Executor:
    """What does a runtime's jobs.

    Raises:
        NearfarError: an engine that is not installed, or a cluster that cannot be reached.

    >>> executor_of(Runtime(workers=2))
    Processes(workers=2)
    """
    if runtime.executor is not None:
        return runtime.executor
    if runtime.engine == LOCAL:
        return Processes(runtime.workers)
    from nearfar.runtime.cluster import cluster_of

    return cluster_of(runtime)


def run_counted(
    task: Callable[[Job], Result],
    jobs: Iterable[Job],
    runtime: Runtime,
    what: str,
    total: int,
    count: Callable[[Result], int],
    *,
    resources: Resources = Resources(),  # noqa: B008 - frozen
    codec: Codec[Result] | None = None,
) -> Generator[Result, None, None]:
    """Results of all jobs in order, with progress: each counts for as much as `count` says."""
    done = 0
    if runtime.progress is not None:
        runtime.progress(what, 0, total)  # the first job may take a while
    for result in executor_of(runtime).run(task, jobs, resources, codec):
        done += count(result)
        if runtime.progress is not None:
            runtime.progress(what, done, total)
        yield result
