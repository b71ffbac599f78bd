"""What several chains make of one clip alike: heard once, prepared once, whatever their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from nearfar.embedder.contract import is_two_step
from nearfar.embedding.chain import Chain
from nearfar.sound.audio import Audio


class Sharing:
    """Front ends and first steps of some chains, each taken once for a clip.

    The four encoders of System 2 hear through one mask and cut the same crops: without this a clip
    would be masked and prepared four times, and lie four times in memory.

    >>> import numpy as np
    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Near
    >>> one, other = Chain(Near(), LogMel(40)), Chain(Near(), LogMel(64))
    >>> sharing, clip = Sharing((one, other)), np.ones((1, 16_000), np.float32)
    >>> sharing.hear(one, 0, clip) is sharing.hear(other, 0, clip)
    True
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        # What only one chain wants is not kept: it would wait in memory for nobody.
        self._wanted: Counter[Any] = Counter(chain.frontend for chain in chains)
        self._wanted.update(chain.preparation for chain in chains if chain.preparation)
        self._wanted.update(_grid_of(chain) for chain in chains if _in_one_step(chain))
        self._made: dict[Any, Any] = {}

    def hear(self, chain: Chain, i: int, audio: Audio) -> Audio:
        """What a chain's front end makes of the i-th clip, (channels, samples)."""
        heard: Audio = self._once(chain.frontend, i, lambda: chain.hear(audio))
        return heard

    def prepare(self, chain: Chain, i: int, audio: Audio) -> Any:
        """What a chain's embedder prepares of the i-th clip: one object for all that are alike.

        Of those that pool the grids of one encoder, and of one step, the grid is made once.
        """
        if _in_one_step(chain):
            made = self._once(_grid_of(chain), i, lambda: chain.grid(self.hear(chain, i, audio)))
            return chain.pool([made])[0]
        return self._once(chain.preparation, i, lambda: chain.prepare(self.hear(chain, i, audio)))

    def _once(self, what: Any, i: int, make: Callable[[], Any]) -> Any:
        if self._wanted[what] < 2:
            return make()
        if (what, i) not in self._made:
            self._made[what, i] = make()
        return self._made[what, i]


def _in_one_step(chain: Chain) -> bool:
    """Does it pool the grids of an encoder that gives them at once?"""
    return chain.grid_source is not None and not is_two_step(chain.grid_source)


def _grid_of(chain: Chain) -> Any:
    """What its grids are known by."""
    return "grid", chain.frontend, chain.grid_source
