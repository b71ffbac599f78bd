"""Low-rank adaptation: the encoder stays as published, small matrices beside its own are trained.

    W x  →  W x + B A x        W frozen, A (rank, in) and B (out, rank) trained

After Hu et al., ICLR 2022, §4.1. Afterwards W + B A is one matrix again, so that the result is a
file like any other.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.head import OF_HEAD
from nearfar.embedder.trunk import Trunk
from nearfar.errors import SettingError

DOWN, UP = "lora_a", "lora_b"  # A and B, as the paper and other packages call them


class LowRank(nn.Linear):
    """A linear layer that is frozen, and an update of low rank that is not.

    The paper scales the update by α / rank. α is the rank here, so the scale is 1: α is a second
    learning rate (§4.1), and the settings have one for these matrices already.

    >>> layer, x = nn.Linear(8, 6), torch.ones(1, 8)
    >>> bool(torch.equal(LowRank(layer, rank=2)(x), layer(x)))  # nothing is learned yet
    True
    """

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        with torch.device("meta"):
            super().__init__(layer.in_features, layer.out_features, layer.bias is not None)
        self.weight, self.bias = layer.weight, layer.bias  # published ones: shared, not copied
        # A is Gaussian, of the deviation that the published code's uniform A has; B is 0: nothing
        # has changed before the first step.
        deviation = (3 * layer.in_features) ** -0.5
        self.lora_a = nn.Parameter(deviation * torch.randn(rank, layer.in_features))
        self.lora_b = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        update = functional.linear(functional.linear(x, self.lora_a), self.lora_b)
        return super().forward(x) + update


def check_rank(rank: int, dim: int) -> None:
    """Refuse a rank that the encoder's matrices cannot have; 0 is none.

    Raises:
        SettingError: it is larger.
    """
    # Its narrowest matrix has `dim` rows or columns.
    if not 0 <= rank <= dim:
        raise SettingError(
            f"training.lora is {rank}; with this encoder it is 0 to {dim}, and 16 is usual"
        )


def add_lora(encoder: Trunk, rank: int) -> None:
    """Freeze an encoder but for its head, and give attention and MLP of each block an update.

    They are drawn from torch's generator.

    Raises:
        SettingError: a rank that is larger than a layer.
    """
    check_rank(rank, encoder.shape.dim)
    for name, parameter in encoder.named_parameters():
        if not name.startswith(OF_HEAD):
            parameter.requires_grad_(False)
    for module in list(encoder.stack().modules()):
        for name, layer in list(module.named_children()):
            if name in encoder.adapted and isinstance(layer, nn.Linear):
                setattr(module, name, LowRank(layer, rank))


def merged(state: Mapping[str, Tensor], name: str) -> Tensor:
    """A tensor of an encoder's state, named as in its file, with its update if it has one."""
    layer, _, kind = name.rpartition(".")
    down, up = state.get(f"{layer}.{DOWN}"), state.get(f"{layer}.{UP}")
    if kind != "weight" or down is None or up is None:
        return state[name]
    # In float64: the sum is rounded once, however many numbers a product adds up.
    update = up.double() @ down.double()
    return (state[name].double() + update).to(state[name].dtype)
