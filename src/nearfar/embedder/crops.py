"""Temporal crops: parts of a clip heard one by one, their embeddings averaged (report §2.2, §2.3).

The same cutting serves training (one crop a clip and epoch) and hearing (ten, averaged).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.contract import (
    Embedder,
    Rows32,
    check,
    identity_of,
    is_embedder,
    is_two_step,
    preparation_of,
    training_of,
)
from nearfar.errors import SettingError
from nearfar.parts.valid import is_number, whole
from nearfar.runtime.runtime import Runtime
from nearfar.sound.audio import Audio

STEP = 2_560  # samples, 160 ms: 16 frames, one column of patches


def crop(
    samples: int, shortest: float, rng: np.random.Generator, place: float | None = None
) -> tuple[int, int]:
    """Draw a part of a sound.

    Args:
        samples: its length.
        shortest: of the part, as a share of the whole, above 0 and up to 1.
        rng: what it is drawn from.
        place: of its length among those that are possible, from 0, the shortest, to below 1; None
            draws that too.

    Returns:
        first sample and last + 1; the length is a multiple of 2,560 samples, or the whole sound
        where that is shorter than two of them.
    """
    most = samples // STEP
    if most < 2:  # of one step nothing can be left out
        return 0, samples
    # Rounded up, so that no part is shorter than asked for; all lengths are equally likely.
    least = max(1, min(most, -(-round(shortest * samples) // STEP)))
    if place is None:
        length = STEP * int(rng.integers(least, most + 1))
    else:
        length = STEP * (least + int(place * (most + 1 - least)))
    # Any sample, not any step: an encoder then sees a sound at every offset from its patches.
    start = int(rng.integers(0, samples - length + 1))
    return start, start + length


@dataclass(frozen=True)
class Crops:
    """An embedder that hears several parts of a clip and averages what it hears.

    Where the parts lie depends on the clip's length, the seed and the part's number only: all clips
    of a length are cut alike, in the bank and as queries.

    Args:
        embedder: what hears each part.
        n: parts.
        shortest: of a part, as a share of the clip, above 0 and up to 1.
        seed: of lengths and places.

    Raises:
        SettingError: a setting with an impossible value.

    >>> from nearfar.embedder.logmel import LogMel
    >>> crops = Crops(LogMel(n_mels=40), n=2, shortest=1.0)
    >>> crops.dim, [last - first for first, last in crops.places(160_000)]
    (40, [158720, 158720])
    """

    embedder: Embedder
    n: int = 10  # report §2.3
    shortest: float = 0.6  # report §2.2, as in training
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_embedder(self.embedder):
            raise SettingError(
                f"Crops.embedder is {self.embedder!r}; give one such as EAT(weights)"
            )
        whole("Crops.n", self.n, 1)
        whole("Crops.seed", self.seed, 0)
        if not is_number(self.shortest, 0, 1) or self.shortest == 0:
            raise SettingError(f"Crops.shortest is {self.shortest!r}; it is above 0 and up to 1")

    @property
    def channels(self) -> int:
        """Those of the embedder inside."""
        return self.embedder.channels

    @property
    def dim(self) -> int:
        """That of the embedder inside."""
        return self.embedder.dim

    @property
    def fingerprint(self) -> str:
        """The embedder's, and how clips are cut."""
        return f"{self.embedder.fingerprint}, {self._cut}"

    @property
    def preparation(self) -> str:
        """How clips are cut, and what the embedder inside makes of a part; "" if it is silent."""
        inner = preparation_of(self.embedder) if is_two_step(self.embedder) else "audio"
        return inner and f"{inner}, {self._cut}"

    @property
    def _cut(self) -> str:
        # The 1 rises when the same settings would cut otherwise.
        return f"crops-1 {self.n} {self.shortest} {self.seed}"

    @property
    def identity(self) -> str:
        """The settings, without the place of any weights."""
        return f"Crops({type(self.embedder).__name__}({identity_of(self.embedder)}))"

    @property
    def training(self) -> Any:
        """How the embedder inside was trained, if it was."""
        return training_of(self.embedder)

    def check(self, runtime: Runtime) -> None:
        """What the embedder inside refuses is refused."""
        check(self.embedder, runtime)

    def __call__(self, audios: Sequence[Audio]) -> Rows32:
        """(channels, samples) each → (batch, dim), each row of length 1."""
        return self.encode([self.prepare(audio) for audio in audios], Runtime())

    def prepare(self, audio: Audio) -> list[Any]:
        """The parts of one clip, prepared by the embedder inside if it works in two steps."""
        inner: Any = self.embedder
        parts = [np.ascontiguousarray(audio[:, a:b]) for a, b in self.places(audio.shape[1])]
        return [inner.prepare(part) for part in parts] if is_two_step(inner) else parts

    def encode(self, prepared: Sequence[list[Any]], runtime: Runtime) -> Rows32:
        """The parts of some clips → (clips, dim): mean over the parts, then length 1."""
        inner: Any = self.embedder
        flat = [part for parts in prepared for part in parts]
        rows = (
            inner.encode(flat, runtime) if is_two_step(inner) else inner(flat)
        )  # (clips · n, dim)
        mean = rows.reshape(len(prepared), self.n, -1).astype(np.float64).mean(axis=1)
        return _unit(mean).astype(np.float32)

    def places(self, samples: int) -> list[tuple[int, int]]:
        """First sample and last + 1 of each part of a clip of some length."""
        # A stream for each part: with more parts the first ones stay where they were.
        return [
            crop(samples, self.shortest, np.random.default_rng([self.seed, i]))
            for i in range(self.n)
        ]


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: NDArray[np.float64] = rows / np.where(lengths > 0, lengths, 1.0)  # zeros stay zeros
    return unit
