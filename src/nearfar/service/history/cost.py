"""What exactly-once costs: a transaction a clip."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore


@dataclass(frozen=True)
class CommitCost:
    """Seconds of a clip.

    >>> print(CommitCost(elapsed=0.000251, cpu=0.00021))
    0.25 ms a clip to keep it, 0.21 ms of them CPU
    """

    elapsed: float
    cpu: float

    def __str__(self) -> str:
        return f"{1e3 * self.elapsed:.2f} ms a clip to keep it, {1e3 * self.cpu:.2f} ms of them CPU"


def commit_cost(store: HistoryStore, changes: Sequence[Change]) -> CommitCost:
    """Keep changes one by one, as a watch does, and see what that takes.

    Args:
        store: where none of them is yet.
        changes: at least one.

    >>> store = HistoryStore.open("")
    >>> commit_cost(store, [Change(None, said={"mqtt": 1})]).elapsed > 0
    True
    >>> store.close()
    """
    # Both clocks: a disk that is waited for is no work of this core.
    begun, worked = time.perf_counter(), time.process_time()
    for change in changes:
        store.keep(change)
    count = len(changes)
    return CommitCost((time.perf_counter() - begun) / count, (time.process_time() - worked) / count)
