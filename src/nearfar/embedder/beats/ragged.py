"""BEATs's tokens of clips of several lengths in one pass (see `nearfar.embedder.ragged`).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nearfar.embedder.beats.architecture import ROWS
from nearfar.embedder.beats.features import PATCH
from nearfar.embedder.beats.model import BeatsEncoder, DeepNormLayer, GatedAttention, Offsets
from nearfar.embedder.ragged import Ragged


def together(
    encoder: BeatsEncoder, mels: Sequence[Tensor], layer: int | None
) -> tuple[Tensor, Ragged]:
    """What `BeatsEncoder.forward` gives of each clip alone, but for rounding.

    Args:
        encoder: on any device.
        mels: (frames, 128) each, on that device; what fills no patch of 16 frames is not heard.
        layer: behind which layer; 0 is what goes into the first, None the last.

    Returns:
        (1, tokens of all clips, dim), and their places.
    """
    columns = [len(mel) // PATCH for mel in mels]
    whole = torch.cat([mel[: n * PATCH] for mel, n in zip(mels, columns, strict=True)])
    x = encoder.patches(whole[None])
    places = Ragged([n * ROWS for n in columns], leading=0, device=x.device)
    # The convolution finds zeros beside a clip, as it does beside one that is alone.
    clips = places.table(x).masked_fill_(~places.there[..., None], 0)
    x = encoder.encoder.layer_norm(x + places.row(encoder.encoder.pos_conv[0](clips)))
    # What an offset adds is the same in clips of any length: those of the longest do for all.
    offsets = encoder.offsets(places.width)
    offsets.keys = places.keys(x.dtype)
    for one in encoder.encoder.layers[:layer]:
        x = _through(one, x, offsets, places)  # type: ignore[arg-type]
    return x, places


def _through(layer: DeepNormLayer, x: Tensor, offsets: Offsets, places: Ragged) -> Tensor:
    """`DeepNormLayer.forward`, with attention in a table."""
    mixed = _mixed(layer.self_attn, x, offsets, places)
    x = layer.self_attn_layer_norm(mixed.add_(x, alpha=layer.alpha))
    y = layer.fc2(functional.gelu(layer.fc1(x)))
    return layer.final_layer_norm(y.add_(x, alpha=layer.alpha))  # type: ignore[no-any-return]


def _mixed(attn: GatedAttention, x: Tensor, offsets: Offsets, places: Ragged) -> Tensor:
    """`GatedAttention.forward`, with attention in a table."""
    q = attn.q_proj(x)
    pairs = functional.linear(q.view(*x.shape[:2], attn.heads, -1), *attn.pair()).flatten(2)
    q, k, v, pairs = (places.table(y) for y in (q, attn.k_proj(x), attn.v_proj(x), pairs))
    pairs = pairs.view(*q.shape[:2], attn.heads, 2)
    mixed: Tensor = attn.out_proj(places.row(attn.mix(q, k, v, pairs, offsets)))
    return mixed
