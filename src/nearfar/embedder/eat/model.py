"""The encoder as a torch module: log-mel patches → transformer → tokens.

The same function as the published EAT (Chen et al., IJCAI 2024, §3; post-LN blocks): 16 × 16
patches of the log-mel, a fixed 2-D position table added to them, a CLS token in front that gets no
position, LayerNorm, blocks, and no norm behind the last one. Parameter names are those of the
published files, so that loading is strict without a table of names.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.eat.architecture import PATCH, POSITIONS, ROWS, Architecture, positions
from nearfar.embedder.eat.weights import Weights
from nearfar.embedder.trunk import Sizes, Trunk, apart, fill, joined, thinned
from nearfar.errors import WeightsError

HEAD_EPS = 1e-5  # of the AudioSet head's norm in the published code for Hugging Face


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
        chance = self.drop_path if self.training else 0.0
        r = self.norm1(x + thinned(self.attn(x, sizes), chance, sizes))
        return self.norm2(r + thinned(self.mlp(r), chance, sizes))  # type: ignore[no-any-return]


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


class Encoder(Trunk):
    """EAT.

    Args:
        shape: what the weights file says.

    >>> encoder = Encoder(Architecture(dim=8, depth=1, heads=2, hidden=32, columns=4))
    >>> encoder(torch.zeros(1, 32, 128)).shape  # CLS, and 8 patches for each 16 frames
    torch.Size([1, 17, 8])
    """

    leading = 1  # CLS
    blocks_at = "blocks."
    adapted = ("qkv", "proj", "fc1", "fc2")
    undecayed = ("extra_tokens",)  # three axes, yet no matrix

    def __init__(self, shape: Architecture) -> None:
        super().__init__(shape)
        self.extra_tokens = nn.Parameter(torch.empty(1, 1, shape.dim))
        self.local_encoder = PatchEmbedding(shape.dim)
        self.fixed_positional_encoder = Positions(shape)
        self.pre_norm = nn.LayerNorm(shape.dim, eps=shape.norm_eps)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        if shape.classes is not None:
            self.fc_norm = nn.LayerNorm(shape.dim, eps=HEAD_EPS)
            self.head = nn.Linear(shape.dim, shape.classes)
        self.add_head()

    def forward(self, mel: Tensor, layer: int | None = None) -> Tensor:
        """Tokens of some clips of one length.

        Args:
            mel: (batch, frames, 128) normalised log-mel, frames a multiple of 16.
            layer: behind which block, 1 to depth; None is the last.

        Returns:
            (batch, 1 + frames / 16 · 8, dim), CLS first.
        """
        return self.through(self.embed(mel), 0, layer)

    def stack(self) -> nn.ModuleList:
        """The blocks, first to last."""
        return self.blocks

    def trains(self, name: str) -> bool:
        """All but the positions, which are a formula."""
        return name != POSITIONS

    def embed(self, mel: Tensor) -> Tensor:
        """What goes into the first block, (batch, tokens, dim)."""
        patches = self.local_encoder(mel.to(self.extra_tokens.dtype))
        patches = patches + self._table(patches.shape[1])
        cls = self.extra_tokens.expand(len(mel), -1, -1)  # (batch, 1, dim), without a position
        return self.pre_norm(torch.cat([cls, patches], dim=1))  # type: ignore[no-any-return]

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
    with torch.device("meta"):  # no memory for numbers that the file brings
        encoder = Encoder(weights.architecture)
    fill(encoder, weights, dtype)
    return encoder.eval()
