"""Domain adaptation in training: DANN and MixStyle, against what tells source from target.

* DANN (Ganin et al., JMLR 2016): a classifier of domains listens to the embedding, and the encoder
  learns, by gradients turned round, to give it nothing to go by.
* MixStyle (Zhou et al., ICLR 2021): clips of a batch borrow each other's mean and deviation in each
  channel of the lower blocks, in training only.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.trunk import with_gradient

STEEPNESS = 10.0  # γ of λ's rise (Ganin et al., §5.2.2)


def reversal(progress: float) -> float:
    """λ = 2 / (1 + exp(−10 p)) − 1, how much of the turned gradient is used (§5.2.2).

    >>> [round(reversal(p), 3) for p in (0, 0.1, 0.5, 1)]
    [0.0, 0.462, 0.987, 1.0]
    """
    return 2 / (1 + math.exp(-STEEPNESS * progress)) - 1


class Discriminator(nn.Module):
    """Source or target, by an embedding: one hidden layer of the embedding's size. Ours.

    It is trained and goes into the checkpoint, but not into the result. `shares` are those of
    source and of target clips among the draws in training.

    >>> judge = Discriminator(embedding=4, shares=(0.9, 0.1))
    >>> judge(torch.zeros(3, 4), torch.tensor([0, 1, -1]), strength=1.0).shape
    torch.Size([])
    """

    def __init__(self, embedding: int, shares: tuple[float, float]) -> None:
        super().__init__()
        self.hidden = nn.Linear(embedding, embedding)
        self.out = nn.Linear(embedding, 1)
        self.weights = tuple(1 / (2 * share) for share in shares)  # either counts one half

    def forward(self, x: Tensor, domains: Tensor, strength: float) -> Tensor:
        """The domain loss of a batch: cross-entropy, either domain counting one half.

        The weights are those of all training clips, not of the batch: with ten target clips in a
        thousand most batches have none, and over an epoch the two still count the same.

        Args:
            x: (batch, embedding).
            domains: (batch,) 0 source, 1 target, −1 unknown: no part in it.
            strength: λ, of the gradient that is turned round.
        """
        turned = with_gradient(x, -strength)
        logits = self.out(torch.relu(self.hidden(turned)))[:, 0]
        source, target = ((domains == d).to(logits) * w for d, w in enumerate(self.weights))
        each = functional.binary_cross_entropy_with_logits(
            logits, (domains == 1).to(logits), reduction="none"
        )
        # A batch without any domain has gradients too, all 0: AdamW counts every step.
        return ((source + target) * each).mean()


@dataclass(frozen=True)
class MixStyle:
    """Clips borrow each other's statistics (Zhou et al., §2.2).

    A clip's style is the mean and the deviation of each channel over its patch tokens; what leads
    them, EAT's CLS, has none and stays. It becomes λ of its own and 1 − λ of another clip's,
    whichever length that has. Gradients do not go through the statistics.

    >>> MixStyle.of_depth(24)
    MixStyle(block=6, chance=0.5, alpha=0.1, floor=1e-06, leading=1)
    >>> [mixed.shape for mixed in MixStyle(1)([torch.zeros(2, 9, 4), torch.zeros(1, 17, 4)])]
    [torch.Size([2, 9, 4]), torch.Size([1, 17, 4])]
    """

    block: int  # behind so many blocks; in the paper behind the first two or three of four stages
    chance: float = 0.5  # that a batch is mixed at all
    alpha: float = 0.1  # λ ~ Beta(alpha, alpha): mostly near 0 or 1
    floor: float = 1e-6  # of a variance
    leading: int = 1  # tokens before the patches'

    @classmethod
    def of_depth(cls, depth: int, leading: int = 1) -> MixStyle:
        """Behind a quarter of the blocks, ours; behind the first if there are fewer than eight."""
        return cls(max(1, depth // 4), leading=leading)

    def __call__(self, tokens: Sequence[Tensor]) -> list[Tensor]:
        """Mix over all clips, (clips, leading + patches, dim) for each length."""
        # All is drawn from torch's generator on the CPU, so that every device draws the same.
        if float(torch.rand(())) >= self.chance:
            return list(tokens)
        sizes = [len(some) for some in tokens]
        share = torch.distributions.Beta(self.alpha, self.alpha).sample((sum(sizes), 1))
        others = torch.randperm(sum(sizes)).to(tokens[0].device)
        with torch.no_grad():
            styles = [self._style(some) for some in tokens]
            mean, deviation = (torch.cat(some) for some in zip(*styles, strict=True))
            share = share.to(mean)
            wanted = [share * x + (1 - share) * x[others] for x in (mean, deviation)]
        rows = zip(*(torch.split(x, sizes) for x in (mean, deviation, *wanted)), strict=True)
        return [self._restyled(x, *row) for x, row in zip(tokens, rows, strict=True)]

    def _style(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation over the patches, (clips, dim) each."""
        variance, mean = torch.var_mean(tokens[:, self.leading :].float(), dim=1, correction=0)
        return mean, torch.sqrt(variance + self.floor)

    def _restyled(
        self, x: Tensor, mean: Tensor, deviation: Tensor, new_mean: Tensor, new_deviation: Tensor
    ) -> Tensor:
        ratio = (new_deviation / deviation)[:, None]
        patches = (x[:, self.leading :].float() - mean[:, None]) * ratio + new_mean[:, None]
        return torch.cat([x[:, : self.leading], patches.to(x.dtype)], dim=1)
