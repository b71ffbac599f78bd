"""Clips of several lengths in one pass of an encoder: where each clip's tokens lie.

All but attention goes token by token: there the clips lie one behind another, none is padded, and a
layer is one kernel whatever the lengths. For attention they are laid into a table, a row for each
clip, where what is no token of a clip gets no weight: exactly 0, for it is e to the −∞.

A row then agrees with that of a pass of one length to rounding, as between two batches of one
length on an accelerator; so none of this is used on a CPU, whose rows are equal to the bit.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A row of the table is as long as the next multiple: a GPU's attention takes masks of such lengths
# as they are, and copies others in each layer.
MULTIPLE = 8


class Ragged:
    """The places of some clips' tokens, one clip behind another and in a table with a row for each.

    Args:
        patches: of each clip.
        leading: tokens before them, such as CLS.
        device: of the tokens.

    >>> places = Ragged([2, 1], leading=1, device=torch.device("cpu"))
    >>> places.led(torch.zeros(1, 1), torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()
    [0.0, 1.0, 2.0, 0.0, 3.0]
    >>> places.there.sum(dim=1).tolist(), places.there.shape[1]
    ([3, 2], 8)
    """

    def __init__(self, patches: Sequence[int], leading: int, device: torch.device) -> None:
        self.leading = leading
        counts = np.asarray(patches) + leading  # tokens of each clip
        first = np.cumsum(counts) - counts
        self.width = -(-int(counts.max()) // MULTIPLE) * MULTIPLE
        along = np.arange(self.width)
        there = along < counts[:, None]  # (clips, width)
        # What is no token repeats the clip's first: were it another's, one that is not finite would
        # be everybody's, for 0 times NaN is NaN.
        table = first[:, None] + np.where(there, along, 0)
        self.there = torch.from_numpy(there).to(device)
        self._table = _places(table.ravel(), device)
        self._row = _places(np.flatnonzero(there), device)
        within = [np.arange(n) for n in patches]
        self.within = _places(np.concatenate(within), device)  # of each patch, in its clip
        # Behind one leading token for all clips stand the patches of all of them.
        starts = leading + np.cumsum(patches) - patches
        pieces = [np.r_[:leading, start + own] for start, own in zip(starts, within, strict=True)]
        self._led = _places(np.concatenate(pieces), device)

    def led(self, leading: Tensor, patches: Tensor) -> Tensor:
        """(leading, dim) before each clip's patches, (1, patches, dim) → (1, tokens, dim)."""
        return torch.cat([leading, patches[0]]).index_select(0, self._led)[None]

    def table(self, x: Tensor) -> Tensor:
        """(1, tokens, any) → (clips, width, any)."""
        return x[0].index_select(0, self._table).view(*self.there.shape, -1)

    def row(self, x: Tensor) -> Tensor:
        """(clips, width, any) → (1, tokens, any), without what is no token."""
        return x.flatten(0, 1).index_select(0, self._row)[None]

    def keys(self, dtype: torch.dtype) -> Tensor:
        """(clips, 1, 1, width), what attention adds to its scores: 0, or −∞ where no token is."""
        none = torch.zeros(self.there.shape, dtype=dtype, device=self.there.device)
        return none.masked_fill(~self.there, -torch.inf)[:, None, None]


def _places(found: NDArray[np.integer], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(found, np.int64)).to(device)


def mean(tokens: Tensor, places: Ragged | None = None, first: int = 0) -> Tensor:
    """The mean over each clip's tokens: (clips, tokens, dim) → (clips, dim).

    Args:
        tokens: of each clip.
        places: by which they lie in a table; None: all are the clip's own.
        first: token that counts.
    """
    if places is None:
        return tokens[:, first:].mean(dim=1)
    there = places.there[:, first:]
    own = tokens[:, first:].masked_fill(~there[..., None], 0)
    return own.sum(dim=1) / there.sum(dim=1, keepdim=True)


def projected(encoder: Any, tokens: Tensor, places: Ragged) -> Tensor:
    """`encoder.project` of clips that lie in a table: (clips, width, dim) → (clips, out)."""
    pooling, own = encoder.pooling, tokens[:, places.leading :]
    there = places.there[:, places.leading :, None]
    scores = pooling.score(torch.tanh(pooling.hidden(own)))
    weights = torch.softmax(scores.masked_fill(~there, -torch.inf), dim=1)  # α
    found: Tensor = encoder.projection(pooling.statistics(weights, own))
    return found
