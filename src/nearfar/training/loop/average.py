"""A moving average of the weights: what is judged and written, while the steps go on without it.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of what is trained (Polyak & Juditsky, 1992; `training.ema`).

    A step leaves `decay` of the average and adds the rest of the weights; early ones leave less,
    (1 + t)/(10 + t) at step t, as TensorFlow's does: it would remember the beginning for long.
    BatchNorm's running statistics are averages already, and stay the learner's own.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> average, _ = Average(layer, decay=0.9), layer.weight.data.add_(11)
    >>> average.follow(layer, step=0)  # 1/10 of what was, 9/10 of what is
    >>> bool(torch.isclose(layer.weight - average.tensors["weight"], torch.tensor(1.1)))
    True
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: x.clone() for name, x in _trained(module).items()}

    @torch.no_grad()
    def follow(self, module: nn.Module, step: int) -> None:
        """Take in the weights after a step; counted from 0."""
        kept = min(self.decay, (1 + step) / (10 + step))
        # All in a few kernels, not one a tensor.
        torch._foreach_lerp_(list(self.tensors.values()), list(_trained(module).values()), 1 - kept)

    @contextmanager
    def instead(self, module: nn.Module) -> Iterator[None]:
        """Inside, the module has the average for its weights; nothing is copied."""
        self._exchange(module)
        try:
            yield
        finally:
            self._exchange(module)

    def _exchange(self, module: nn.Module) -> None:
        for name, parameter in module.named_parameters():
            if name in self.tensors:
                parameter.data, self.tensors[name] = self.tensors[name], parameter.data


def _trained(module: nn.Module) -> dict[str, Tensor]:
    return {name: x.data for name, x in module.named_parameters() if x.requires_grad}
