"""Steps side by side, by an executor that does each job to the end: one a GPU, or a node's cores.

A step is done on a worker as it is here, and leaves its files and its record in the run's folder,
which all nodes share. A job that is done again, since its worker was killed, finds what is there: a
training its checkpoint, a step that had ended its record.
"""

from __future__ import annotations

import platform
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nearfar.errors import SettingError, StorageError
from nearfar.files import storage_errors
from nearfar.reproduce.steps.estimate import device_name
from nearfar.reproduce.steps.maker import Ended, Maker, versions_of
from nearfar.reproduce.steps.plan import Step
from nearfar.reproduce.steps.records import now
from nearfar.runtime.executor import Executor, Job, Resources, Result
from nearfar.runtime.executors import executor_of
from nearfar.runtime.runtime import LOCAL, Runtime
from nearfar.runtime.urls import url_of
from nearfar.version import __version__

MARK = ".shared-"  # begins the name of a file in the run's folder, by which nodes know it
HOSTS = "hosts"  # in the cache: what other hosts keep, each in a folder of its own


@dataclass(frozen=True)
class StepJob:
    """A step for a worker; the step by its key, which the study makes again there.

    >>> from nearfar.reproduce.steps.records import Folder
    >>> maker = Maker(None, Folder(Path("run")), Runtime(), "")
    >>> StepJob(maker, "0123", ".shared-9f86", "head").maker.folder.path.as_posix()
    'run'
    """

    maker: Maker
    key: str
    mark: str  # a file that lies in the run's folder while steps are done
    home: str  # the host that the run was started on


def elsewhere(runtime: Runtime) -> Executor | None:
    """What does steps side by side; None where this process does them in turn."""
    executor = executor_of(runtime)
    return executor if executor.whole and not executor.defers else None


def first_of(
    executor: Executor | None, task: Callable[[Job], Result], job: Job, device: str = "auto"
) -> Result:
    """One job done where the steps will be, which may have a GPU that this process has not."""
    if executor is None:
        return task(job)
    with closing(executor.run(task, [job], Resources(encoder=True, device=device))) as results:
        return next(results)


def levels(left: Sequence[Step]) -> list[list[Step]]:
    """Steps in groups: what needs none of the others, then what needs the first; none is empty."""
    keys = {step.key for step in left}
    later = [step for step in left if any(need.key in keys for need in step.needs)]
    groups = [step for step in left if step not in later], later
    return [group for group in groups if group]


def within(runtime: Runtime, executor: Executor) -> Runtime:
    """The runtime of a job: all of it in its own process."""
    found = replace(runtime, engine=LOCAL, executor=None)
    if not executor.apart:
        return found
    # Of a host's GPUs a job is shown its own alone, which is the first there.
    device = "cuda" if runtime.device.startswith("cuda") else runtime.device
    return replace(found, workers=1, progress=None, device=device)


@contextmanager
def marked(folder: Path) -> Iterator[str]:
    """Inside, a file of this name lies in the folder: who sees it sees the same folder."""
    path = folder / f"{MARK}{secrets.token_hex(8)}"
    with storage_errors(path):
        path.touch()
    try:
        yield path.name
    finally:
        with suppress(OSError):
            path.unlink()


def do_step(job: StepJob) -> Ended:
    """How a step ended, on the worker that this runs on; nothing twice that had ended whole."""
    maker, node = job.maker, platform.node()
    folder = maker.folder
    if not (folder.path / job.mark).is_file():
        told = (
            f"{folder.path}: {node} does not see what {job.home} wrote there; take a folder on a "
            "disk that all nodes share, under one path, and data and weights too"
        )
        return Ended(None, StorageError(told))
    step = next((step for step in maker.study.steps() if step.key == job.key), None)
    if step is None:
        told = f"{node} has nearfar {__version__}, which plans other steps than {job.home} has"
        return Ended(None, SettingError(f"{told}; install the same version on all nodes"))
    if (record := folder.done(step)) is not None:
        return Ended(record)
    log = list[tuple[str, Mapping[str, Any]]]()

    def tell(what: str, _: Step, told: Mapping[str, Any]) -> None:
        log.append((what, {"time": now(), **told}))

    runtime = _kept_apart(maker.runtime, node, job.home)
    maker = replace(maker, runtime=runtime, versions=versions_of(_device(maker)))
    where = "" if node == job.home else node
    return replace(maker.ended(step, tell, where), log=tuple(log))


def _kept_apart(runtime: Runtime, node: str, home: str) -> Runtime:
    """Where a host keeps what it heard: SQLite's files are never those of two hosts at once.

    One at a URL is all hosts' own. Log-mels for other encoders are kept where the run was started
    alone, which removes them.
    """
    if node == home or runtime.cache is None:
        return runtime
    if url_of(runtime.cache) is not None:
        return replace(runtime, keep=False)
    return replace(runtime, cache=runtime.cache / HOSTS / node, keep=False)


def _device(maker: Maker) -> str:
    """What encoders run on here, where there are any."""
    asked = maker.study.weights or maker.study.frozen
    return device_name(maker.runtime.device) if asked else "cpu"
