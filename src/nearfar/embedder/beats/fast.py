"""BEATs in bfloat16 on a CPU: its layers with packed products (see `nearfar.embedder.packing`).

DeepNorm's LN(α·x + y) is LN(x + y/α) with eps/α²: with 1/α in the packed weights the sum is part
of the product.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nearfar.embedder.beats.model import BeatsEncoder, DeepNormLayer, Offsets
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
        self.qkv = PackedLinear(  # one product for three
            torch.cat([x.weight for x in inputs]), torch.cat([x.bias for x in inputs])
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
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.block(x, self.attn.mix(q, k, v, offsets))


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
