"""EAT's tokens of clips of several lengths in one pass (see `nearfar.embedder.ragged`).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nearfar.embedder.eat.architecture import PATCH, ROWS
from nearfar.embedder.eat.model import Block, Encoder, attend
from nearfar.embedder.ragged import Ragged


def together(encoder: Encoder, mels: Sequence[Tensor], layer: int | None) -> tuple[Tensor, Ragged]:
    """What `Encoder.forward` gives of each clip alone, but for rounding; for inference.

    Args:
        encoder: not one that is training: no branch is left out.
        mels: (frames, 128) each, on its device, frames a multiple of 16.
        layer: behind which block; None is the last.

    Returns:
        (1, tokens of all clips, dim), each clip's CLS before its patches, and their places.
    """
    cls = encoder.extra_tokens
    counts = [len(mel) // PATCH * ROWS for mel in mels]
    places = Ragged(counts, leading=1, device=cls.device)
    patches = encoder.local_encoder(torch.cat(list(mels))[None].to(cls.dtype))
    patches = patches + encoder._table(max(counts))[0].index_select(0, places.within)
    x, keys = encoder.pre_norm(places.led(cls[0], patches)), places.keys(cls.dtype)
    for block in encoder.blocks[:layer]:
        x = _through(block, x, places, keys)  # type: ignore[arg-type]
    return x, places


def _through(block: Block, x: Tensor, places: Ragged, keys: Tensor) -> Tensor:
    """`Block.forward`, with attention in a table."""
    qkv = places.table(block.attn.qkv(x))
    mixed = places.row(attend(qkv, block.attn.heads, keys))
    r = block.norm1(x + block.attn.proj(mixed))
    return block.norm2(r + block.mlp(r))  # type: ignore[no-any-return]
