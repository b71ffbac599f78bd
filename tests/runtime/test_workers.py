"""Jobs in processes: order, the window, what is forgotten, errors, Ctrl-C, warnings."""

import multiprocessing
import os
import signal
import threading
import time
import warnings
import weakref

import numpy as np
import pytest

from conftest import PATIENCE
from memory import growth
from nearfar.errors import AudioError, NearfarError, NearfarWarning
from nearfar.runtime import workers

posix = pytest.mark.skipif(os.name == "nt", reason="signals")


def early_last(job):
    """The earlier, the slower."""
    time.sleep(0.05 * max(0, 6 - job))
    return job, os.getpid()


def megabytes(job):
    return np.full(job << 18, 1.0, dtype=np.float32)


def noted(job):
    """Leaves a file; the third cannot do its work."""
    folder, number = job
    (folder / str(number)).touch()
    if number == 2:
        raise AudioError("two is no good")
    time.sleep(0.02)
    return number


def warned(job):
    for _ in range(2):
        warnings.warn(f"about {job}", NearfarWarning, stacklevel=1)
    return job


def fatal(job):
    os._exit(1)


def interrupted(job):
    signal.raise_signal(signal.SIGINT)
    return job


def patient(folder):
    """Works until it may go home, ten minutes at most."""
    (folder / "begun").touch()
    deadline = time.monotonic() + 600
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_results_come_in_the_order_of_their_jobs():
    results = list(workers.run(early_last, range(12), 3))
    assert [job for job, _ in results] == list(range(12))
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize(("jobs", "processes"), [(8, 1), (1, 4), (0, 4)])
def test_one_job_or_one_worker_stays_here(jobs, processes):
    results = list(workers.run(early_last, range(6, 6 + jobs), processes))
    assert results == [(job, os.getpid()) for job in range(6, 6 + jobs)]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_is_asked_for_when_its_turn_comes(processes):
    asked = []

    def jobs():
        for job in range(6, 36):
            asked.append(job)
            yield job

    window = workers.AHEAD * processes if processes > 1 else 1
    for taken, _ in enumerate(workers.run(early_last, jobs(), processes), 1):
        assert len(asked) < taken + window
    assert asked == list(range(6, 36))


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_result_is_forgotten_when_it_is_handed_over(processes):
    results = workers.run(megabytes, [1] * 5, processes)
    for result in results:
        alive = weakref.ref(result)
        del result
        # The pool's own thread may hold on to the last one for a moment.
        wait_for(lambda alive=alive: alive() is None)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_results():
    """Sixty results of 8 MB are 480; eight of them, in the window and on their way, are 64."""
    peak = growth(
        "import test_workers as t",
        "for result in t.workers.run(t.megabytes, [8] * 60, 2): del result",
    )
    assert peak < 150


@pytest.mark.slow
def test_an_error_comes_in_its_turn_and_ends_the_work(tmp_path):
    results = workers.run(noted, [(tmp_path, i) for i in range(200)], 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(AudioError, match="two is no good"):
        next(results)
    assert len(list(tmp_path.iterdir())) <= 2 + workers.AHEAD * 2
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_whoever_stops_early_leaves_no_process_and_no_job(tmp_path):
    results = workers.run(noted, [(tmp_path, i) for i in range(3, 200)], 2)
    assert next(results) == 3
    results.close()
    assert len(list(tmp_path.iterdir())) <= workers.AHEAD * 2
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_warnings_come_home_once_a_job():
    with pytest.warns(NearfarWarning) as caught:
        assert list(workers.run(warned, range(6), 2)) == list(range(6))
    assert [str(w.message) for w in caught] == [f"about {job}" for job in range(6)]


@pytest.mark.slow
def test_a_worker_that_dies_is_one_line():
    with pytest.raises(NearfarError, match=r"worker process was killed.*workers=1"):
        list(workers.run(fatal, range(20), 2))


@pytest.mark.slow
@posix
def test_ctrl_c_is_not_for_the_workers():
    assert list(workers.run(interrupted, range(8), 2)) == list(range(8))


@pytest.mark.slow
@posix
def test_ctrl_c_reaches_who_waits_and_leaves_no_process(tmp_path):
    def press():
        wait_for((tmp_path / "begun").exists)
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / "go").touch()

    results = workers.run(patient, [tmp_path] * 50, 2)
    thread = threading.Thread(target=press)
    # A shell that starts the tests in the background has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not multiprocessing.active_children()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
