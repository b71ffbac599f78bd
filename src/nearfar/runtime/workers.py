"""Jobs here or in worker processes: results in order, Ctrl-C ours, warnings brought home."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from nearfar.errors import NearfarError, NearfarWarning, warn
from nearfar.parts.own import user_files, user_module
from nearfar.runtime import workers
from nearfar.runtime.runtime import Runtime


def run(task: Callable[[Any], Any], jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    """Results of all jobs, in their order.

    Args:
        task: a function of a module, so that a spawned process finds it.
        jobs: its arguments.
        workers: processes; 1 works in this one.

    Raises:
        NearfarError: what a job raises, or a worker process that died.
    """
    if min(workers, len(jobs)) <= 1:
        yield from map(task, jobs)
    else:
        yield from _in_processes(task, jobs, min(workers, len(jobs)))


def _in_processes(task: Any, jobs: Sequence[Any], workers: int) -> Iterator[Any]:
    import multiprocessing

    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (user_files(),)
    )
    try:
        with _interrupts_held():  # the workers are born with Ctrl-C held back: it is ours to handle
            futures: list[Future[Any]] = [
                pool.submit(partial(_recorded, task), job) for job in jobs
            ]
        for future in futures:
            result, messages = future.result()
            for message in messages:
                warn(message)
            yield result
    except BrokenProcessPool:
        raise NearfarError(
            "a worker process was killed (out of memory?) or could not start; "
            "try again with --workers 1"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _recorded(task: Any, job: Any) -> tuple[Any, list[str]]:
    """A job's result and its warnings, which a worker process has nobody to tell."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", NearfarWarning)
        result = task(job)
    messages = [str(w.message) for w in caught if issubclass(w.category, NearfarWarning)]
    return result, list(dict.fromkeys(messages))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes started meanwhile never see it (not on Windows)."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(files: tuple[str, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for file in files:
        user_module(Path(file))


def _run(
    task: Any, jobs: Sequence[Any], runtime: Runtime, what: str, size: int, total: int
) -> Iterator[Any]:
    """Results of all jobs in order, with progress."""
    done = 0
    if runtime.progress is not None:
        runtime.progress(what, 0, total)  # the first job may take a while
    for result in workers.run(task, jobs, runtime.workers):
        done += size
        if runtime.progress is not None:
            runtime.progress(what, min(done, total), total)
        yield result
