"""How many threads help one: for BLAS none, so that bits do not depend on the number of cores."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread: the same bits whatever the number of cores and workers."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


def unhelped() -> None:
    """From now on OpenMP gives the thread that calls this no others to help it; others keep theirs.

    PyTorch's own setting is of the whole process, and MKL counts otherwise once it was used.
    """
    _openmp().limit(limits=1)


def has_openmp() -> bool:
    """Is there an OpenMP, among what is loaded when this is first asked?"""
    return bool(_openmp().lib_controllers)


@lru_cache(maxsize=1)
def _openmp() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def _controller() -> Any:
    return _scan("scipy.linalg" in sys.modules)  # which brings a BLAS library of its own


@lru_cache(maxsize=2)
def _scan(_: bool) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # scanning the loaded libraries costs milliseconds: once
