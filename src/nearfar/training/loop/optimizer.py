"""AdamW with a rate for each layer, and how the rate changes from step to step.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nearfar.embedder.head import OF_HEAD
from nearfar.embedder.trunk import Trunk
from nearfar.training.learner.learner import Learner
from nearfar.training.learner.lora import DOWN, UP
from nearfar.training.settings import FineTuning

_ENCODER = "encoder."
_HEAD = (*(f"{_ENCODER}{part}" for part in OF_HEAD), "loss.", "discriminator.")


def adamw(learner: Learner, settings: FineTuning) -> torch.optim.AdamW:
    """Decoupled weight decay (Loshchilov & Hutter, ICLR 2019), one group a layer and decay."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            key = layer_rate(name, learner.encoder, settings), _decay(name, parameter, learner)
            groups.setdefault(key, []).append(parameter)
    rows: list[dict[str, Any]] = [
        {"params": some, "lr": rate, "peak": rate, "weight_decay": decay * settings.weight_decay}
        for (rate, decay), some in groups.items()
    ]
    fused = next(learner.parameters()).device.type == "cuda"  # no temporaries of its own
    return torch.optim.AdamW(rows, fused=fused or None)


def layer_rate(name: str, encoder: Trunk, settings: FineTuning) -> float:
    """The highest learning rate of a parameter: that of the last block, less below it.

    What is new, the head or updates of low rank, has nothing to forget and learns faster.
    """
    if name.startswith(_HEAD):
        return settings.learning_rate * settings.head_rate
    # What comes before the first block is one layer more.
    blocks = f"{_ENCODER}{encoder.blocks_at}"
    block = int(name.removeprefix(blocks).split(".")[0]) if name.startswith(blocks) else -1
    rate = settings.learning_rate * (settings.head_rate if name.endswith((DOWN, UP)) else 1.0)
    return rate * settings.layer_decay ** (len(encoder.stack()) - 1 - block)


def _decay(name: str, parameter: Tensor, learner: Learner) -> float:
    """1 where weights decay; biases, norms and what else is no matrix do not."""
    kept = name.startswith(_ENCODER) and name.endswith(learner.encoder.undecayed)
    return 0.0 if parameter.ndim < 2 or kept else 1.0


def schedule(step: int, steps: int, warmup: float) -> float:
    """The share of the highest rate at a step, counted from 0: a line up, then half a cosine.

    >>> [round(schedule(i, 8, 0.25), 3) for i in range(8)]
    [0.5, 1.0, 1.0, 0.933, 0.75, 0.5, 0.25, 0.067]
    """
    rising = round(warmup * steps)  # none, where training is that short
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Each group's rate as a share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share  # "peak" is ours, AdamW leaves it alone
