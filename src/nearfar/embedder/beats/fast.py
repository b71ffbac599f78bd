"""BEATs in bfloat16 on a CPU: its layers with packed products (see `nearfar.embedder.packing`).

DeepNorm's LN(α·x + y) is LN(x + y/α) with eps/α²: with 1/α in the packed weights the sum is part
of the product.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nearfar.embedder.beats.model import BeatsEncoder, DeepNormLayer, GatedAttention, Offsets
from nearfar.embedder.packing import PackedBlock, PackedLinear, can_pack


def packed(encoder: BeatsEncoder) -> Callable[[Tensor, int | None], Tensor]:
    """A bfloat16 encoder made quick for this CPU.

    Args:
        encoder: bfloat16, on the CPU; what is packed is taken out of it to save memory.

    Returns:
        A function like `BeatsEncoder.forward`: the packed one, or the encoder itself where this
        PyTorch cannot pack. Several threads may call it at once.
    """
    return _PackedBeats(encoder) if can_pack() else encoder


class _PackedDeepNorm:
    """`DeepNormLayer` with the same result but for rounding."""

    def __init__(self, layer: DeepNormLayer) -> None:
        self.attn, scale = layer.self_attn, 1 / layer.alpha
        inputs = (self.attn.q_proj, self.attn.k_proj, self.attn.v_proj)
        gate, more = _gate_of(self.attn)
        self.all = PackedLinear(  # one product for queries, keys, values and gates
            torch.cat([*(x.weight for x in inputs), gate]),
            torch.cat([*(x.bias for x in inputs), more]),
        )
        self.block = PackedBlock(
            _shrunk(self.attn.out_proj, scale),
            _enlarged(layer.self_attn_layer_norm, scale),
            PackedLinear(layer.fc1.weight, layer.fc1.bias),
            _shrunk(layer.fc2, scale),
            _enlarged(layer.final_layer_norm, scale),
        )
        for x in (*inputs, self.attn.out_proj):  # what is packed is not kept twice
            x.weight = x.bias = None  # type: ignore[assignment]

    def __call__(self, x: Tensor, offsets: Offsets) -> Tensor:
        dim = x.shape[-1]
        q, k, v, pairs = torch.split(self.all(x), [dim, dim, dim, 2 * self.attn.heads], dim=-1)
        return self.block(x, self.attn.mix(q, k, v, pairs, offsets))


def _gate_of(attn: GatedAttention) -> tuple[Tensor, Tensor]:
    """The gate's two numbers a head of the layer's input, not of its query: (2 · heads, dim)."""
    weight, bias = (x.float() for x in attn.pair())
    queries = attn.q_proj.weight.float().view(attn.heads, -1, attn.q_proj.in_features)
    inner = attn.q_proj.bias.float().view(attn.heads, -1)
    return (weight @ queries).flatten(0, 1).bfloat16(), (
        inner @ weight.T + bias
    ).flatten().bfloat16()


def _shrunk(linear: nn.Linear, scale: float) -> PackedLinear:
    # In float32: a weight in bfloat16 would be rounded twice otherwise, this is once more anyway.
    weight, bias = ((x.float() * scale).bfloat16() for x in (linear.weight, linear.bias))
    return PackedLinear(weight, bias)


def _enlarged(norm: nn.LayerNorm, scale: float) -> nn.LayerNorm:
    norm.eps *= scale**2
    return norm


class _PackedBeats:
    def __init__(self, encoder: BeatsEncoder) -> None:
        self.encoder, self.layers = encoder, []
        self.table = encoder.table
        for i, layer in enumerate(encoder.encoder.layers):
            self.layers.append(_PackedDeepNorm(layer))  # type: ignore[arg-type]
            encoder.encoder.layers[i] = nn.Identity()  # its weights are freed before the next

    def __call__(self, mel: Tensor, layer: int | None = None) -> Tensor:
        x = self.encoder.embed(mel)
        offsets = self.encoder.offsets(x.shape[1], self.table)
        for one in self.layers[:layer]:
            x = one(x, offsets)
        return x
