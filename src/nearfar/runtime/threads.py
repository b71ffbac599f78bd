"""How many threads help one: for BLAS none, so that bits do not depend on the number of cores."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread: the same bits whatever the number of cores and workers.

    The limit is of the whole process: it stands from the first of its threads that comes in until
    the last goes out.
    """
    return _ALONE.inside()


def unhelped() -> None:
    """From now on OpenMP gives the thread that calls this no others to help it; others keep theirs.

    PyTorch's own setting is of the whole process, and MKL counts otherwise once it was used.
    """
    _openmp().limit(limits=1)


def has_openmp() -> bool:
    """Is there an OpenMP, among what is loaded when this is first asked?"""
    return bool(_openmp().lib_controllers)


class _Alone:
    """How many are inside, and what is set right again when nobody is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._limits: dict[int, Any] = {}  # of what knows BLAS libraries, each once

    @contextmanager
    def inside(self) -> Iterator[None]:
        """While anybody is here BLAS has one thread."""
        shared, own = _controllers()
        with self._lock:
            self._limit(shared)
            self._count += 1
        try:
            with own.limit(limits=1) if own.lib_controllers else nullcontext():
                yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._restore()

    def _limit(self, known: Any) -> None:
        # A library that came meanwhile is limited, too.
        if id(known) not in self._limits:
            _take_over()
            self._limits[id(known)] = known.limit(limits=1)

    def _restore(self) -> None:
        _take_over()
        for limit in reversed(self._limits.values()):  # what each found when it came
            limit.restore_original_limits()
        self._limits.clear()
        _take_over()


def _take_over() -> None:
    """Let this thread set what another of ours has set: threadpoolctl 3.8 has one thread own it."""
    import threadpoolctl

    openblas: Any = getattr(threadpoolctl, "OpenBLASController", None)
    if hasattr(openblas, "clear_controlling_thread"):
        openblas.clear_controlling_thread(force=True)


_ALONE = _Alone()


def _begin_anew() -> None:
    """In a child that was forked: of the threads that were inside none came along."""
    global _ALONE
    _ALONE = _Alone()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@lru_cache(maxsize=1)
def _openmp() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def _controllers() -> tuple[Any, Any]:
    """What sets BLAS of the whole process, and what sets it of the thread that asks."""
    return _scan("scipy.linalg" in sys.modules)  # which brings a BLAS library of its own


@lru_cache(maxsize=2)
def _scan(_: bool) -> tuple[Any, Any]:
    from threadpoolctl import ThreadpoolController

    # Scanning the loaded libraries costs milliseconds: once.
    blas = ThreadpoolController().select(user_api="blas")
    own = blas.select(threading_layer="openmp")
    mine = {one.filepath for one in own.lib_controllers}
    others = [one.filepath for one in blas.lib_controllers if one.filepath not in mine]
    return blas.select(filepath=others), own
