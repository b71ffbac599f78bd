"""How clips are divided into jobs, and their results into groups encoded together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import (
    Job,
    JobResult,
    Prepared,
)
from nearfar.errors import NearfarError
from nearfar.runtime import workers
from nearfar.runtime.runtime import Runtime

if TYPE_CHECKING:
    from nearfar.clips import Clip

BATCH = 16  # clips per job: some 20 MB of audio, some 0.1 s of work
FEW = 4  # clips per job where an encoder takes a second for each: progress should be seen
ENCODED = 64  # clips that an accelerator encodes together
# Bytes of prepared clips that an accelerator encodes together at most; as many again may lie in all
# jobs in flight, so that the next clips are prepared meanwhile. A clip of 10 s has half a megabyte
# (EAT) or 4 (in ten crops): a number of clips alone bounds nothing. It is twice what 64 such clips
# have: they, and a `batch_size` of 128, do not feel it, and 16 clips in crops are 160 log-mels.
TOGETHER = 64 << 20


@dataclass(frozen=True)
class Division:
    """How clips are divided into jobs, and their results into groups that are encoded together.

    What is encoded together depends on the clips (and on which of them the cache has), never on the
    jobs: an accelerator may round a row differently among others, and scores shall not depend on
    the number of workers.

    >>> by_bytes = Division(workers=2, clips=1, group=64, weight=1000)
    >>> by_bytes.full(clips=3, weight=999), by_bytes.full(clips=3, weight=1000)
    (False, True)
    """

    workers: int
    clips: int  # per job, as long as nobody knows what a prepared one weighs
    group: int  # clips at most
    weight: int | None = None  # bytes at most, of a group and of all jobs in flight; None: any

    def full(self, clips: int, weight: int) -> bool:
        """Is a group of so many clips and bytes to be encoded?"""
        return clips == self.group or (self.weight is not None and weight >= self.weight)


def divide(chains: tuple[Chain, ...], runtime: Runtime) -> Division:
    """How to read clips, and how many at a time.

    An encoder on the CPU keeps all cores busy by itself: other processes would be in its way. Fed
    by a CPU an accelerator waits for clips: then worker processes read and prepare them.
    """
    if not any(chain.encodes for chain in chains):  # NumPy's own work: a process for each core
        return Division(runtime.workers, BATCH, BATCH)
    if runtime.device == "cpu" or not _accelerated(runtime.device):
        size = max(FEW, runtime.batch_size or 0)
        return Division(1, size, size)
    # Bytes come first: of a larger `batch_size` an accelerator gets what fits into them.
    return Division(runtime.workers, 1, max(ENCODED, runtime.batch_size or 0), TOGETHER)


def _accelerated(device: str) -> bool:
    if device != "auto":
        return True
    try:
        import torch
    except ImportError:  # an encoder that needs none, as YAMNet in crops; any other says so itself
        return False
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


class Jobs:
    """Jobs, each cut off the clips when it is asked for.

    How much a clip weighs when it is prepared is known only when some have come home: later jobs
    have as many clips as let all jobs in flight together keep to the division's weight.

    >>> list(Jobs(range(5), list, Division(workers=1, clips=2, group=2)))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self, clips: Sequence[Clip], made: Callable[[Sequence[Clip]], Job], division: Division
    ) -> None:
        self._clips, self._made, self._division = clips, made, division
        self.heaviest = 0  # bytes of a prepared clip

    def __iter__(self) -> Iterator[Job]:
        first = 0
        while first < len(self._clips):
            size = self._size()
            yield self._made(self._clips[first : first + size])
            first += size

    def _size(self) -> int:
        if self._division.weight is None or not self.heaviest:
            return self._division.clips
        weight = self._division.weight // (workers.AHEAD * self._division.workers)
        return max(1, min(BATCH, weight // self.heaviest))


@runtime_checkable
class _Array(Protocol):
    """NumPy's arrays and torch's tensors, without a torch to import."""

    @property
    def nbytes(self) -> int: ...


def waiting_bytes(result: JobResult | NearfarError) -> int:
    """Bytes of a clip that wait for their second step."""
    if isinstance(result, NearfarError):
        return 0
    # Chains that prepare alike share one object, here and on its way from a worker.
    features = [row.features for row in result.rows if isinstance(row, Prepared)]
    return sum(map(_weight, {id(some): some for some in features}.values()))


def _weight(features: Any) -> int:
    """Bytes of what an embedder prepared, as far as they can be seen from outside."""
    if isinstance(features, _Array):
        return features.nbytes
    if isinstance(features, Sequence) and not isinstance(features, str | bytes):
        return sum(map(_weight, features))
    return sys.getsizeof(features)
