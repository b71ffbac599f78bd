"""Jobs here or in worker processes: results in order, Ctrl-C ours, warnings brought home."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nearfar.errors import NearfarError, NearfarWarning, give, hold_warnings
from nearfar.parts.own import user_files, user_module
from nearfar.runtime.memory import keep_freed

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Job = TypeVar("Job")
Result = TypeVar("Result")
Told = tuple[str, str]  # a warning's text, and the name in it
Outcome = tuple[Result, list[Told]]  # of a job: what it gave, and its warnings

# Jobs in flight, in work or done and not handed over, for each worker. Results go home in order, so
# a worker needs a second job to go on with while an earlier one, or whoever takes the results, is
# slow. More would gain nothing but a longer queue of finished results in this process's memory.
AHEAD = 2
GRACE = 2.0  # s for a job to leave what it does and tidy up, when nobody wants its result any more

# What tells a worker's job to end; Windows has no signal that is free, nor needs a real one.
_WAKE = signal.SIGTERM if os.name == "nt" else signal.SIGUSR1
_working, _leaving = threading.Event(), threading.Event()  # of this process, if it is a worker


class _Left(BaseException):
    """Ends a job where it is; no Exception, for a job may handle those."""


def run(
    task: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Generator[Result, None, None]:
    """Results of all jobs, in their order.

    A job is asked for when its turn comes, never more than `AHEAD` a worker before its result is
    taken; a result is forgotten as soon as it is handed over.

    Args:
        task: a function of a module, so that a spawned process finds it.
        jobs: its arguments.
        workers: processes; 1 works in this one.

    Raises:
        NearfarError: what a job raises, or a worker process that died.
    """
    todo = iter(jobs)
    first = list(islice(todo, workers)) if workers > 1 else []
    if len(first) > 1:  # no more processes than jobs
        yield from _in_processes(task, chain(first, todo), len(first))
    else:
        keep_freed()
        yield from map(task, chain(first, todo))


def _in_processes(
    task: Callable[[Job], Result], jobs: Iterator[Job], workers: int
) -> Iterator[Result]:
    import multiprocessing

    context = multiprocessing.get_context("spawn")
    _hush_tracker()
    # Of this pipe nothing is read but its end, which comes when we close it, or are killed.
    heard, told = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, _start_worker, (user_files(), heard))
    try:
        flying: deque[Future[Outcome[Result]]] = deque()
        _submit(pool, task, islice(jobs, AHEAD * workers), flying)
        while flying:
            # No name is given to future or result: it would keep megabytes until the next comes.
            yield retold(flying.popleft().result())
            _submit(pool, task, islice(jobs, 1), flying)
    except (BrokenProcessPool, _Left):
        raise NearfarError(
            "a worker process was killed (out of memory?) or could not start; "
            "try again with --workers 1"
        ) from None
    except Exception:
        raise
    except BaseException:
        # Ctrl-C, SIGTERM, or nobody asks for more: a job may take hours, and is not waited for.
        told.close()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        told.close()
        heard.close()


def _hush_tracker() -> None:
    """Start Python's process that tidies up after one that was killed, so that it says nothing.

    It would print a warning of leaked semaphores, which it has removed by then.
    """
    if os.name == "nt":
        return
    from multiprocessing import resource_tracker

    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.pop()


def _submit(
    pool: ProcessPoolExecutor,
    task: Callable[[Job], Result],
    jobs: Iterable[Job],
    flying: deque[Future[Outcome[Result]]],
) -> None:
    with _interrupts_held():  # a worker born meanwhile has Ctrl-C held back: it is ours to handle
        flying.extend(pool.submit(partial(recorded, task), job) for job in jobs)


def retold(outcome: Outcome[Result]) -> Result:
    """A job's result, its warnings said where the results are asked for."""
    result, messages = outcome
    for message, about in messages:
        tell(message, about)
    return result


def tell(message: str, about: str) -> None:
    """Give a job's warning where its result is taken."""
    said = NearfarWarning(message)
    said.about = about
    give(said, 4)


def recorded(task: Callable[[Job], Result], job: Job) -> Outcome[Result]:
    """A job's result and its warnings, which a worker process has nobody to tell."""
    with warnings.catch_warnings(record=True), _may_be_left(), job_warnings() as held:
        result = task(job)
    messages = [(str(said), said.about) for said in held]
    return result, list(dict.fromkeys(messages))


@contextmanager
def job_warnings() -> Iterator[list[NearfarWarning]]:
    """Our warnings of a job, complete when it is done; those of others go on to Python.

    >>> with job_warnings() as held:
    ...     warnings.warn("fan: loud", NearfarWarning)
    >>> held
    [NearfarWarning('fan: loud')]
    """
    with hold_warnings() as held, warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always", NearfarWarning)
        yield held
    # Who writes a part of their own may know Python's way of warning alone.
    for one in others:
        if isinstance(one.message, NearfarWarning):
            held.append(one.message)
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


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


def _start_worker(files: tuple[str, ...], heard: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(_WAKE, _leave)
    threading.Thread(target=_follow_parent, args=(heard,), daemon=True).start()
    keep_freed()
    for file in files:
        user_module(Path(file))


def _follow_parent(heard: Connection) -> None:
    """End this process, whatever it is doing, when the one that started it is gone or says so.

    A parent that was killed can tell nobody: its workers would wait for jobs for ever.
    """
    from multiprocessing import parent_process
    from multiprocessing.connection import wait

    parent = parent_process()
    # Both are handles that the system closes, so SIGKILL is noticed too.
    wait([heard] if parent is None else [heard, parent.sentinel])
    _leaving.set()
    if os.name == "nt":
        import _thread

        _thread.interrupt_main(_WAKE)
    else:  # a real one: it wakes a job that sleeps or waits
        signal.pthread_kill(threading.main_thread().ident or 0, _WAKE)
    time.sleep(GRACE)  # by then the job has tidied up, and the process gone home by itself
    os._exit(1)


@contextmanager
def _may_be_left() -> Iterator[None]:
    """Where a job may be ended; elsewhere a worker hands its results on, and must not be."""
    _working.set()
    try:
        if _leaving.is_set():
            raise _Left
        yield
    finally:
        _working.clear()


def _leave(*_: object) -> None:
    if _working.is_set():
        _working.clear()  # once: what the job does to tidy up is not ended too
        raise _Left
