"""One BLAS thread, in every library that is loaded, and as many as before afterwards."""

import os
import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from conftest import PATIENCE
from nearfar.runtime import threads
from nearfar.runtime.threads import has_openmp, one_thread, unhelped


def blas_threads():
    return {p["filepath"]: p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_threads():
    """Whatever the machine has: more than one, or the limit would not be seen."""
    import scipy.linalg  # noqa: F401 - which brings a BLAS library of its own

    with threadpool_limits(2, user_api="blas"):
        yield


def test_one_inside_and_as_many_as_before_outside():
    before = blas_threads()
    assert set(before.values()) == {2}
    with one_thread():
        assert set(blas_threads().values()) == {1}
        with one_thread():
            assert set(blas_threads().values()) == {1}
        assert set(blas_threads().values()) == {1}
    assert blas_threads() == before


def test_an_error_gives_the_threads_back():
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert set(blas_threads().values()) == {2}


def test_libraries_are_looked_for_anew_when_another_has_come(monkeypatch):
    """A controller knows what was loaded when it was made: SciPy's BLAS comes later than NumPy's.

    Looking takes milliseconds, so it is done for each of the two cases once.
    """
    threads._scan.cache_clear()
    with_scipy = threads._controllers()
    assert threads._controllers() is with_scipy
    monkeypatch.delitem(sys.modules, "scipy.linalg")
    assert threads._controllers() is not with_scipy
    threads._scan.cache_clear()


def test_another_thread_of_this_program_may_compute_meanwhile():
    results = []

    def work():
        with one_thread():
            results.append(np.ones((40, 40)) @ np.ones((40, 40)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all((r == 40).all() for r in results)
    assert len(results) == 4


def test_a_thread_without_helpers_takes_them_from_no_other():
    pytest.importorskip("torch")  # which brings an OpenMP
    threads._openmp.cache_clear()

    def openmp():
        return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "openmp"}

    told = []

    def alone():
        unhelped()
        told.append(openmp())

    with threadpool_limits(2, user_api="openmp"):
        assert has_openmp()
        worker = threading.Thread(target=alone)
        worker.start()
        worker.join()
        assert (told, openmp()) == ([{1}], {2})


class Inside(threading.Thread):
    """A thread that is within `one_thread` from `enter` to `leave`, and looks where it is told."""

    def __init__(self):
        super().__init__(daemon=True)
        self._told, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self.start()
        self.enter = self._next

    def run(self):
        self._told.acquire()
        with one_thread():
            self._done.release()
            self._told.acquire()
        self._done.release()

    def _next(self):
        self._told.release()
        assert self._done.acquire(timeout=PATIENCE)

    leave = _next


def test_who_leaves_first_takes_nothing_from_who_still_computes():
    before = blas_threads()
    first, second, third = Inside(), Inside(), Inside()
    first.enter()
    second.enter()
    first.leave()
    assert set(blas_threads().values()) == {1}, "the second still computes"
    third.enter()
    second.leave()
    assert set(blas_threads().values()) == {1}, "the third still computes"
    third.leave()
    assert blas_threads() == before


def test_a_library_that_comes_while_somebody_computes_is_limited_too(monkeypatch):
    """And both have as many threads as before when the last is out."""
    before = blas_threads()
    threads._scan.cache_clear()
    monkeypatch.delitem(sys.modules, "scipy.linalg")
    first, second = Inside(), Inside()
    first.enter()
    monkeypatch.undo()
    second.enter()
    first.leave()
    assert set(blas_threads().values()) == {1}
    second.leave()
    assert blas_threads() == before
    threads._scan.cache_clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only POSIX forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_begins_with_nobody_inside():
    first = Inside()
    first.enter()
    child = os.fork()
    if not child:
        with one_thread():
            inside = set(blas_threads().values()) == {1}
        os._exit(0 if inside and threads._ALONE._count == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    first.leave()
