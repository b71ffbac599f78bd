"""One BLAS thread, in every library that is loaded, and as many as before afterwards."""

import sys
import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

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
    with_scipy = threads._controller()
    assert threads._controller() is with_scipy
    monkeypatch.delitem(sys.modules, "scipy.linalg")
    assert threads._controller() is not with_scipy
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
