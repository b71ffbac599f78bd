"""What a step hears, made ready while the step before runs: a GPU does not wait for files.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nearfar.training.examples.examples import buckets

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Part:
    """Crops of some clips on the host, those of one length together.

    >>> part = Part.of([7, 9], [np.zeros((32, 128), np.float32), np.zeros((16, 128), np.float32)])
    >>> [tuple(mel.shape) for mel in part.mels], part.order.tolist()
    ([(1, 16, 128), (1, 32, 128)], [1, 0])
    """

    clips: list[int]  # examples
    mels: list[Tensor]  # (clips, frames, 128) each, shortest first
    order: Tensor  # (clips,) where each clip lies among those of all `mels`

    @classmethod
    def of(
        cls, clips: Sequence[int], crops: Sequence[NDArray[np.float32]], device: str = "cpu"
    ) -> Part:
        """Put crops together for a kind of device."""
        places = buckets([len(crop) for crop in crops])
        mels = [torch.from_numpy(np.stack([crops[i] for i in some])) for some in places.values()]
        order = np.argsort([i for some in places.values() for i in some])
        if device == "cuda":  # from other memory a copy would hold up the host
            mels = [mel.pin_memory() for mel in mels]
        return cls(list(clips), mels, torch.from_numpy(order))

    def to(self, device: torch.device) -> tuple[list[Tensor], Tensor]:
        """Mels and order on a device."""
        mels = [mel.to(device, non_blocking=True) for mel in self.mels]
        return mels, self.order.to(device)


def ahead(jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What each job gives, in order, while a thread does the next one.

    >>> list(ahead(lambda i=i: i * i for i in range(4)))
    [0, 1, 4, 9]
    """
    running: Future[T] | None = None
    with ThreadPoolExecutor(1, "nearfar-crops") as pool:
        for job in jobs:
            # Where it belongs to, so that who holds our warnings is given its too.
            following = pool.submit(copy_context().run, job)
            if running is not None:
                yield running.result()
            running = following
        if running is not None:
            yield running.result()
