"""A few numbers of a waveform by which a copy is told from another recording, whatever its gain."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from nearfar.sound.audio import Audio

BLOCK = 4_000  # samples that are weighted alike, block by block
SIZE = 16  # numbers; two noises agree in the direction of so many by no chance
TURNS = 64  # blocks until their signs repeat


def sketch_of(channel: Audio) -> tuple[float, ...]:
    """The direction of random sums of all samples.

    Each number is a sum over the whole waveform with weights that no recording knows of, so what is
    linear stays: a copy k times as loud has the same direction, one of turned sign the opposite
    one, and rounding to 16 bits turns it by no more than it adds of noise.

    Args:
        channel: (samples,) float32.

    Returns:
        `SIZE` numbers of norm 1; () for a clip below `BLOCK` samples, a constant, or one that is
        not finite.

    Source:
        Random projections: W. Johnson, J. Lindenstrauss, "Extensions of Lipschitz mappings into a
        Hilbert space", Contemp. Math. 26 (1984).

    >>> noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    >>> round(float(np.dot(sketch_of(noise), sketch_of(-0.1 * noise))), 5)
    -1.0
    >>> abs(float(np.dot(sketch_of(noise), sketch_of(noise[::-1])))) < 0.9
    True
    """
    count = channel.size // BLOCK
    # Of a constant, rounding would be sketched; most sounds show at their ends that they are none.
    if not count or (channel[0] == channel[-1] and channel.min() == channel.max()):
        return ()
    weights, signs = _drawn()
    with np.errstate(all="ignore"):  # what is not finite is `check`'s to refuse
        parts = channel[: count * BLOCK].reshape(count, BLOCK) @ weights  # (count, SIZE)
        total = (parts * signs[np.arange(count) % TURNS]).sum(axis=0, dtype=np.float64)
        size = float(np.sqrt(np.dot(total, total)))
        return tuple((total / size).tolist()) if 0 < size < np.inf else ()


@cache
def _drawn() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(BLOCK, SIZE) weights within a block, and (TURNS, SIZE) signs of blocks."""
    rng = np.random.default_rng(20_261_129)
    weights = rng.standard_normal((BLOCK, SIZE))
    weights -= weights.mean(axis=0)  # an offset, which many recorders share, is no sound
    return weights.astype(np.float32), rng.choice([-1.0, 1.0], (TURNS, SIZE)).astype(np.float32)
