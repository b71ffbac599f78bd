"""The encoder as a torch module: log-mel patches → transformer → tokens.

The same function as the published EAT (Chen et al., IJCAI 2024, §3; post-LN blocks): 16 × 16
patches of the log-mel, a fixed 2-D position table added to them, a CLS token in front that gets no
position, LayerNorm, blocks, and no norm behind the last one. Parameter names are those of the
published files, so that loading is strict without a table of names.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from nearfar.embedder.eat.architecture import PATCH, ROWS, Architecture, positions
from nearfar.embedder.eat.weights import Weights
from nearfar.errors import WeightsError

VARIANCE_FLOOR = 1e-7  # under the root: its slope is infinite at 0
HEAD_EPS = 1e-5  # of the AudioSet head's norm in the published code for Hugging Face
Sizes = list[tuple[int, int]]  # (clips, tokens of each), one for each length


class Attention(nn.Module):
    """Multi-head self-attention without mask or relative positions.

    >>> Attention(dim=8, heads=2)(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, sizes: Sizes | None = None) -> Tensor:
        """(batch, tokens, dim) → the same shape; of `joined` clips, each hears itself alone."""
        qkv = self.qkv(x)
        if sizes is None:
            return self.proj(attend(qkv, self.heads))  # type: ignore[no-any-return]
        mixed = [attend(some, self.heads) for some in apart(qkv, sizes)]
        return self.proj(joined(mixed)[0])  # type: ignore[no-any-return]


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


def attend(qkv: Tensor, heads: int, keys: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention: (batch, tokens, 3 · dim) → (batch, tokens, dim).

    `keys` is added to the scores of each key, as `Ragged.keys` gives it.
    """
    batch, tokens, width = qkv.shape
    split = qkv.view(batch, tokens, 3, heads, width // 3 // heads)
    q, k, v = split.permute(2, 0, 3, 1, 4)  # (batch, heads, tokens, head dim) each
    mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=keys)
    return mixed.transpose(1, 2).reshape(batch, tokens, width // 3)


class MLP(nn.Module):
    """Two linear layers with an exact (erf) GELU between them.

    >>> MLP(dim=8, hidden=32)(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(…, dim) → (…, dim)."""
        return self.fc2(functional.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One transformer block; each norm comes after its sum (post-LN).

    >>> Block(Architecture(dim=8, depth=1, heads=2, hidden=32))(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.dim, eps=shape.norm_eps)
        self.attn = Attention(shape.dim, shape.heads)
        self.norm2 = nn.LayerNorm(shape.dim, eps=shape.norm_eps)
        self.mlp = MLP(shape.dim, shape.hidden)
        self.drop_path = 0.0  # chance to leave a clip's branch out while training

    def forward(self, x: Tensor, sizes: Sizes | None = None) -> Tensor:
        """(batch, tokens, dim), or `joined` clips → the same shape."""
        r = self.norm1(x + self._thinned(self.attn(x, sizes), sizes))
        return self.norm2(r + self._thinned(self.mlp(r), sizes))  # type: ignore[no-any-return]

    def _thinned(self, branch: Tensor, sizes: Sizes | None) -> Tensor:
        """Stochastic depth (Huang et al., ECCV 2016), clip by clip."""
        if not self.training or self.drop_path == 0:
            return branch
        keep, each = 1 - self.drop_path, sizes or [(len(branch), 1)]
        kept = torch.rand(sum(n for n, _ in each), 1, 1, device=branch.device) < keep
        if sizes is not None:  # a clip's draw is that of all its tokens
            parts = torch.split(kept, [n for n, _ in sizes])
            longer = [part.expand(-1, t, -1) for part, (_, t) in zip(parts, sizes, strict=True)]
            kept = joined(longer)[0]
        return branch * kept.to(branch.dtype) / keep  # the mean stays what it is without


class PatchEmbedding(nn.Module):
    """Patches of the log-mel as tokens: token p = time column · 8 + mel row.

    >>> PatchEmbedding(dim=8)(torch.zeros(1, 32, 128)).shape
    torch.Size([1, 16, 8])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, PATCH, PATCH)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, frames, 128 mels) → (batch, frames / 16 · 8, dim)."""
        batch, frames, mels = mel.shape
        cut = mel.view(batch, frames // PATCH, PATCH, mels // PATCH, PATCH).transpose(2, 3)
        flat = cut.reshape(batch, -1, PATCH * PATCH)  # (batch, patches, 256)
        # One product instead of a convolution: its weight as a matrix, the same sum.
        return functional.linear(flat, self.proj.weight.flatten(1), self.proj.bias)


class Positions(nn.Module):
    """The fixed sine-cosine table, (1, columns · 8, dim).

    >>> Positions(Architecture(dim=8, depth=1, heads=2, hidden=32, columns=4)).positions.shape
    torch.Size([1, 32, 8])
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.positions = nn.Parameter(
            torch.empty(1, shape.columns * ROWS, shape.dim), requires_grad=False
        )


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


class Encoder(nn.Module):
    """EAT.

    Args:
        shape: what the weights file says.

    >>> encoder = Encoder(Architecture(dim=8, depth=1, heads=2, hidden=32, columns=4))
    >>> encoder(torch.zeros(1, 32, 128)).shape  # CLS, and 8 patches for each 16 frames
    torch.Size([1, 17, 8])
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.checkpointing = False  # trade time for memory in training: keep no activations
        self.extra_tokens = nn.Parameter(torch.empty(1, 1, shape.dim))
        self.local_encoder = PatchEmbedding(shape.dim)
        self.fixed_positional_encoder = Positions(shape)
        self.pre_norm = nn.LayerNorm(shape.dim, eps=shape.norm_eps)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        if shape.classes is not None:
            self.fc_norm = nn.LayerNorm(shape.dim, eps=HEAD_EPS)
            self.head = nn.Linear(shape.dim, shape.classes)
        if shape.projection is not None:
            attention, hidden, out = shape.projection
            self.pooling = AttentiveStatistics(shape.dim, attention)
            self.projection = Projection(2 * shape.dim, hidden, out)

    def forward(self, mel: Tensor, layer: int | None = None) -> Tensor:
        """Tokens of some clips of one length.

        Args:
            mel: (batch, frames, 128) normalised log-mel, frames a multiple of 16.
            layer: behind which block, 1 to depth; None is the last.

        Returns:
            (batch, 1 + frames / 16 · 8, dim), CLS first.
        """
        return self.through(self.embed(mel), 0, layer)

    def through(
        self, x: Tensor, first: int, last: int | None = None, sizes: Sizes | None = None
    ) -> Tensor:
        """Some of the blocks, one after the other.

        Args:
            x: (batch, tokens, dim), CLS first: `embed`, or what the block before gave; or `joined`.
            first: how many blocks are behind it already.
            last: behind which block to end, as `layer` of `forward`.
            sizes: what `joined` says; None: clips of one length.

        Returns:
            the same shape.
        """
        for block in self.blocks[first:last]:
            if self.checkpointing and self.training:
                # The reentrant kind needs an input with a slope: above a frozen part there is none.
                x = checkpoint(block, x, sizes, use_reentrant=False)
            else:
                x = block(x, sizes)
        return x

    def embed(self, mel: Tensor) -> Tensor:
        """What goes into the first block, (batch, tokens, dim)."""
        patches = self.local_encoder(mel.to(self.extra_tokens.dtype))
        patches = patches + self._table(patches.shape[1])
        cls = self.extra_tokens.expand(len(mel), -1, -1)  # (batch, 1, dim), without a position
        return self.pre_norm(torch.cat([cls, patches], dim=1))  # type: ignore[no-any-return]

    def project(self, tokens: Tensor) -> Tensor:
        """The embedding that nearfar trained: (batch, tokens, dim) → (batch, out), length 1.

        All patch tokens are pooled; CLS is none (report §2.2: "the patch sequence").

        Raises:
            WeightsError: published weights, which have no such head.
        """
        if self.shape.projection is None:
            raise WeightsError(f"{self.shape.name} has no projection; nearfar finetune makes one")
        return self.projection(self.pooling(tokens[:, 1:]))  # type: ignore[no-any-return]

    def logits(self, tokens: Tensor) -> Tensor:
        """AudioSet logits of a fine-tuned checkpoint: (batch, classes).

        Raises:
            WeightsError: the checkpoint has no head.
        """
        if self.shape.classes is None:
            raise WeightsError(f"{self.shape.name} has no classes; give fine-tuned weights")
        return self.head(self.fc_norm(tokens[:, 0]))  # type: ignore[no-any-return]

    def _table(self, patches: int) -> Tensor:
        """Positions of the first patches; made anew where an old file's table is too short."""
        stored = self.fixed_positional_encoder.positions
        if patches <= stored.shape[1]:
            return stored[:, :patches]
        longer = torch.from_numpy(positions(self.shape.dim, -(-patches // ROWS))).to(stored)
        if not torch.allclose(longer[:, : stored.shape[1]], stored, atol=1e-2):
            raise WeightsError(
                f"a clip of {2 * patches} frames; these weights have positions of their own for "
                f"{2 * stored.shape[1]}, which cannot be continued: set embedder.frames"
            )
        return longer[:, :patches]


def load(weights: Weights, dtype: torch.dtype = torch.float32) -> Encoder:
    """An encoder with the weights of a file, ready for inference on the CPU.

    float32 weights are used where they lie in the file, mapped into memory: nothing is copied.

    Args:
        weights: opened and checked, see `nearfar.embedder.eat.weights`.
        dtype: of the parameters.

    Raises:
        WeightsError: the file changed since it was checked.
    """
    from safetensors import SafetensorError, safe_open

    with torch.device("meta"):  # no memory for numbers that the file brings
        encoder = Encoder(weights.architecture)
    try:
        with safe_open(weights.path, framework="pt") as file:
            state = {
                # The trained head is small and works in float32, whatever the encoder does.
                name: file.get_tensor(weights.key(name)).to(
                    torch.float32 if name.startswith(("pooling.", "projection.")) else dtype
                )
                for name in weights.architecture.shapes()
            }
        # Assigned, not copied: the file's own pages are the parameters.
        missing = encoder.load_state_dict(state, strict=False, assign=True)
        _refuse(missing.missing_keys, missing.unexpected_keys)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"{Path(weights.path).name}: cannot be read ({_line(error)}); copy it again"
        ) from None
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    return encoder.eval()


def _refuse(missing: list[str], unexpected: list[str]) -> None:
    """Strict, but for BatchNorm's count of batches, which nothing here uses."""
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise RuntimeError(f"tensors missing {missing[:1]}, unexpected {unexpected[:1]}")


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
