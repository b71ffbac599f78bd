"""EAT in bfloat16 on a CPU: its blocks with packed products (see `nearfar.embedder.packing`).

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nearfar.embedder.eat.model import Block, Encoder, attend
from nearfar.embedder.packing import PackedBlock, PackedLinear, can_pack

Forward = Callable[[Tensor, int | None], Tensor]


def packed(encoder: Encoder) -> Forward:
    """A bfloat16 encoder made quick for this CPU.

    Args:
        encoder: bfloat16, on the CPU; what is packed is taken out of it to save memory.

    Returns:
        A function like `Encoder.forward`: the packed one, or the encoder itself where this
        PyTorch cannot pack. Several threads may call it at once.
    """
    return _Packed(encoder) if can_pack() else encoder


class _PackedEat:
    """`Block` with the same result but for rounding."""

    def __init__(self, block: Block) -> None:
        self.heads = block.attn.heads
        layers = (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2)
        self.qkv, proj, fc1, fc2 = (PackedLinear(x.weight, x.bias) for x in layers)
        self.block = PackedBlock(proj, block.norm1, fc1, fc2, block.norm2)

    def __call__(self, x: Tensor) -> Tensor:
        return self.block(x, attend(self.qkv(x), self.heads))


class _Packed:
    def __init__(self, encoder: Encoder) -> None:
        self.blocks: list[_PackedEat] = []
        for i, block in enumerate(encoder.blocks):
            self.blocks.append(_PackedEat(block))  # type: ignore[arg-type]
            encoder.blocks[i] = nn.Identity()  # its weights are freed before the next is packed
        self.encoder = encoder

    def __call__(self, mel: Tensor, layer: int | None = None) -> Tensor:
        x = self.encoder.embed(mel)
        for block in self.blocks[:layer]:
            x = block(x)
        return x
