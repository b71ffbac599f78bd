"""What encoders of a run share: log-mels of crops, prepared once and kept while they are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.embedder.crops import Crops
from nearfar.embedder.eat.architecture import MELS
from nearfar.embedding.chain import Chain
from nearfar.embedding.kept import Claims, folder_of
from nearfar.reproduce.data import Data
from nearfar.reproduce.steps.plan import Step
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.sound.spectral import HOP
from nearfar.system.system import System

BYTES = 4 * MELS  # of a frame


def members_of(step: Step) -> tuple[System, ...]:
    """Of a score's system; weights have the keys of their trainings for places."""
    if step.kind != "score":
        return ()
    return tuple(step.system("published", [need.key for need in step.needs]).members)


def chains_of(step: Step) -> tuple[Chain, ...]:
    """What a score's system hears by."""
    return tuple(dict.fromkeys(member.chain for member in members_of(step)))


@dataclass(frozen=True)
class Shared:
    """Preparations that more than one encoder of a run wants.

    >>> Shared.of(()).chains  # of no steps
    {}
    """

    chains: dict[Any, Chain]  # preparation → one of the chains that have it

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Shared:
        """Of all steps of a run, also of those that are done: what they left is still of use."""
        wanted: dict[Any, set[Chain]] = {}
        for step in steps:
            for chain in chains_of(step):
                if chain.preparation:
                    wanted.setdefault(chain.preparation, set()).add(chain)
        return cls({p: next(iter(some)) for p, some in wanted.items() if len(some) > 1})

    def among(self, step: Step) -> set[Any]:
        """The shared preparations that a step wants."""
        return {c.preparation for c in chains_of(step) if c.preparation in self.chains}

    def bytes(self, left: Sequence[Step], data: Data) -> float:
        """On disk at most while these steps are done in turn; each goes when the last is done."""
        most, wanted = 0.0, [self.among(step) for step in left]
        for n in range(len(wanted)):
            earlier, later = set().union(*wanted[: n + 1]), set().union(*wanted[n:])
            alive = earlier & later
            most = max(most, sum(self._size(self.chains[p], data) for p in alive))
        return most

    def bytes_at_once(self, left: Sequence[Step], data: Data) -> float:
        """On disk while these steps are done side by side."""
        wanted = set().union(*map(self.among, left))
        return sum(self._size(self.chains[p], data) for p in wanted)

    def _size(self, chain: Chain, data: Data) -> float:
        samples, embedder = round(data.seconds * SAMPLE_RATE), chain.embedder
        heard = [samples]
        if isinstance(embedder, Crops):
            heard = [last - first for first, last in embedder.places(samples)]
        return (len(data.train) + len(data.test)) * sum(heard) / HOP * BYTES

    def tidy(self, cache: Path, left: Iterable[Step], claims: Claims) -> None:
        """Remove what no step that is left wants, and no other run; claim what they want."""
        wanted = set().union(*(self.among(step) for step in left))
        for preparation, chain in self.chains.items():
            do = claims.hold if preparation in wanted else claims.drop
            do(folder_of(cache, chain))
