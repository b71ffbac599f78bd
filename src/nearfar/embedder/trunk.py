"""What encoders that can be trained have in common as torch modules: their head, and their blocks.

An encoder says what goes into its first block and what each block needs beside its input; how the
blocks follow one another, in one pass for clips of all lengths, with activations computed again or
gradients that shrink on their way down, and what stands behind them is the same for all.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nearfar.embedder.head import OF_HEAD
from nearfar.embedder.weights import Weights
from nearfar.errors import WeightsError

VARIANCE_FLOOR = 1e-7  # under the root: its slope is infinite at 0
Sizes = list[tuple[int, int]]  # (clips, tokens of each), one for each length


class AttentiveStatistics(nn.Module):
    """Attentive statistics pooling (Okabe et al., Interspeech 2018, Eq. 1–5).

    A small network scores each token; the mean and the standard deviation of the tokens, weighted
    by the softmax of their scores, are the statistics.

    >>> AttentiveStatistics(dim=8, attention=4)(torch.zeros(2, 16, 8)).shape
    torch.Size([2, 16])
    """

    def __init__(self, dim: int, attention: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, attention)
        self.score = nn.Linear(attention, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, dim) → (batch, 2 · dim): weighted mean, then standard deviation."""
        weights = torch.softmax(self.score(torch.tanh(self.hidden(tokens))), dim=1)  # α
        return self.statistics(weights, tokens)

    def statistics(self, weights: Tensor, tokens: Tensor) -> Tensor:
        """Mean and standard deviation of tokens by the weight of each, (batch, tokens, 1)."""
        mean = (weights * tokens).sum(dim=1)  # μ
        # Σ α (h − μ)², which float32 cannot make negative as it can Σ α h² − μ².
        variance = (weights * (tokens - mean[:, None]) ** 2).sum(dim=1)
        return torch.cat([mean, torch.sqrt(variance + VARIANCE_FLOOR)], dim=1)


class Projection(nn.Module):
    """Statistics → hidden → BatchNorm → ReLU → embedding of length 1 (report §2.2).

    >>> Projection(statistics=16, hidden=4, out=2)(torch.zeros(3, 16)).shape
    torch.Size([3, 2])
    """

    def __init__(self, statistics: int, hidden: int, out: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(statistics, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.out = nn.Linear(hidden, out)

    def forward(self, statistics: Tensor) -> Tensor:
        """(batch, statistics) → (batch, out)."""
        return functional.normalize(self.unscaled(statistics), dim=1)

    def unscaled(self, statistics: Tensor) -> Tensor:
        """The embedding before it is made length 1: (batch, statistics) → (batch, out)."""
        x = torch.relu(self.norm(self.hidden(statistics)))
        return self.out(x)  # type: ignore[no-any-return]


def make_head(dim: int, sizes: tuple[int, int, int]) -> tuple[AttentiveStatistics, Projection]:
    """Pooling and projection of these sizes, with numbers drawn from torch's generator."""
    attention, hidden, out = sizes
    return AttentiveStatistics(dim, attention), Projection(2 * dim, hidden, out)


class Trunk(nn.Module):
    """An encoder that can be trained.

    A class of its own for each encoder says what these are, and `embed`, `stack` and `beside`.

    Attributes:
        leading: tokens before those of the grid.
        blocks_at: how the names of its blocks' parameters begin, before the block's number.
        adapted: names of the linear layers in a block that get an update of low rank.
        undecayed: how the names end of parameters with two axes or more that are no matrices, and
            so do not decay.
        published_decay: of the gradient from layer to layer, as it was trained by its authors.

    >>> Trunk.leading, Trunk.published_decay
    (0, 1.0)
    """

    leading: ClassVar[int] = 0
    blocks_at: ClassVar[str]
    adapted: ClassVar[tuple[str, ...]]
    undecayed: ClassVar[tuple[str, ...]] = ()
    published_decay: ClassVar[float] = 1.0

    pooling: AttentiveStatistics
    projection: Projection

    def __init__(self, shape: Any) -> None:
        super().__init__()
        self.shape = shape
        self.checkpointing = False  # trade time for memory in training: keep no activations
        self.gradient_decay = 1.0  # a layer's input gets so much of the gradient, in training

    def add_head(self) -> None:
        """The head that the shape asks for, behind all other modules."""
        if self.shape.projection is not None:
            self.pooling, self.projection = make_head(self.shape.dim, self.shape.projection)

    def embed(self, mel: Tensor) -> Tensor:
        """What goes into the first block, (batch, tokens, dim)."""
        raise NotImplementedError(f"{type(self).__name__} has no beginning; override embed")

    def stack(self) -> nn.ModuleList:
        """The blocks, first to last."""
        raise NotImplementedError(f"{type(self).__name__} has no blocks; override stack")

    def beside(self, x: Tensor, sizes: Sizes | None) -> tuple[Any, ...]:
        """What each block is given beside its input: `sizes`, and what comes from them alone."""
        return (sizes,)

    def trains(self, name: str) -> bool:
        """Is this parameter one that training may change?"""
        return True

    def stored_as(self, name: str) -> str:
        """Whose numbers a file has under a tensor's name: its own, but for one used in many."""
        return name

    def through(
        self, x: Tensor, first: int, last: int | None = None, sizes: Sizes | None = None
    ) -> Tensor:
        """Some of the blocks, one after the other.

        Args:
            x: (batch, tokens, dim): `embed`, or what the block before gave; or `joined`.
            first: how many blocks are behind it already.
            last: behind which block to end; None is the last.
            sizes: what `joined` says; None: clips of one length.

        Returns:
            the same shape.
        """
        beside = self.beside(x, sizes)
        for block in self.stack()[first:last]:
            if self.training and self.gradient_decay != 1:
                x = with_gradient(x, self.gradient_decay)
            if self.checkpointing and self.training:
                # The reentrant kind needs an input with a slope: above a frozen part there is none.
                x = checkpoint(block, x, *beside, use_reentrant=False)
            else:
                x = block(x, *beside)
        return x

    def project(self, tokens: Tensor) -> Tensor:
        """The embedding that nearfar trained: (batch, tokens, dim) → (batch, out), length 1.

        All patch tokens are pooled; CLS is none (report §2.2: "the patch sequence").

        Raises:
            WeightsError: published weights, which have no such head.
        """
        if self.shape.projection is None:
            raise WeightsError(f"{self.shape.name} has no projection; nearfar finetune makes one")
        pooled = self.pooling(tokens[:, self.leading :])
        return self.projection(pooled)  # type: ignore[no-any-return]


def joined(tokens: Sequence[Tensor]) -> tuple[Tensor, Sizes]:
    """Clips of several lengths, (clips, tokens, dim) each, as one row of tokens.

    All but attention goes token by token: a layer is then one kernel, whatever the lengths. A mask
    over all tokens, or padding, would keep a GPU from its fastest attention and compute more.

    Returns:
        (1, tokens of all clips, dim), and how many clips and tokens a clip each length has.
    """
    flat = torch.cat([some.flatten(0, 1) for some in tokens])
    return flat[None], [(len(some), some.shape[1]) for some in tokens]


def apart(x: Tensor, sizes: Sizes) -> list[Tensor]:
    """What `joined` put together, (clips, tokens, any width) for each length."""
    parts = torch.split(x[0], [clips * tokens for clips, tokens in sizes])
    return [part.view(*size, -1) for part, size in zip(parts, sizes, strict=True)]


def thinned(branch: Tensor, chance: float, sizes: Sizes | None) -> Tensor:
    """Stochastic depth (Huang et al., ECCV 2016), clip by clip: a branch left out by chance.

    Args:
        branch: (batch, tokens, dim), or `joined` clips.
        chance: of a clip's to be left out; 0 leaves all as they are.
        sizes: what `joined` says; None: clips of one length.
    """
    if chance == 0:
        return branch
    keep, each = 1 - chance, sizes or [(len(branch), 1)]
    kept = torch.rand(sum(n for n, _ in each), 1, 1, device=branch.device) < keep
    if sizes is not None:  # a clip's draw is that of all its tokens
        parts = torch.split(kept, [n for n, _ in sizes])
        longer = [part.expand(-1, t, -1) for part, (_, t) in zip(parts, sizes, strict=True)]
        kept = joined(longer)[0]
    return branch * kept.to(branch.dtype) / keep  # the mean stays what it is without


class _Scaled(torch.autograd.Function):
    """The identity whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradients[0], None


def with_gradient(x: Tensor, factor: float) -> Tensor:
    """The same numbers; what comes back through them is multiplied by a factor.

    >>> x = torch.ones(1, requires_grad=True)
    >>> with_gradient(3 * x, -0.5).backward()
    >>> x.grad
    tensor([-1.5000])
    """
    scaled: Tensor = _Scaled.apply(x, factor)  # type: ignore[no-untyped-call]
    return scaled


def fill(trunk: Trunk, weights: Weights[Any], dtype: torch.dtype) -> None:
    """Put a file's tensors into an encoder that was made without numbers; none is to be trained.

    float32 weights are used where they lie in the file, mapped into memory: nothing is copied. The
    head stays in float32, whatever the encoder does.

    Raises:
        WeightsError: the file changed since it was checked.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights.path, framework="pt") as file:
            state = {
                name: file.get_tensor(weights.key(name)).to(
                    torch.float32 if name.startswith(OF_HEAD) else dtype
                )
                for name in weights.architecture.shapes()
            }
        # Assigned, not copied: the file's own pages are the parameters.
        missing = trunk.load_state_dict(state, strict=False, assign=True)
        _refuse(missing.missing_keys, missing.unexpected_keys)
    except (SafetensorError, OSError, RuntimeError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError(
            f"{Path(weights.path).name}: cannot be read ({line}); copy it again"
        ) from None
    for parameter in trunk.parameters():
        parameter.requires_grad_(False)


def _refuse(missing: list[str], unexpected: list[str]) -> None:
    """Strict, but for BatchNorm's count of batches, which nothing here uses."""
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise RuntimeError(f"tensors missing {missing[:1]}, unexpected {unexpected[:1]}")
