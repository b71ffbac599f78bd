"""One BLAS thread: the same bits whatever the number of cores and workers."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """One BLAS thread: the same bits whatever the number of cores and workers."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


def _controller() -> Any:
    return _scan("scipy.linalg" in sys.modules)  # which brings a BLAS library of its own


@lru_cache(maxsize=2)
def _scan(_: bool) -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()  # scanning the loaded libraries costs milliseconds: once
