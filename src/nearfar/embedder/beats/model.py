"""The encoder as a torch module: log-mel patches → transformer with gated positions → tokens.

The same function as the published BEATs (Chen et al., ICML 2023, §3; DeepNorm of Wang et al.,
2022; gated relative positions of Chen et al., WavLM, 2022, Eq. 2). Parameter names are those of
the published checkpoints, so that loading is strict without a table of names.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nearfar.embedder.beats.architecture import GATES, TABLE, BeatsArchitecture
from nearfar.embedder.beats.features import PATCH
from nearfar.embedder.beats.weights import BeatsWeights
from nearfar.embedder.head import PARTS
from nearfar.embedder.trunk import Sizes, Trunk, apart, fill, joined, thinned
from nearfar.errors import WeightsError

EPS = 1e-5  # of every LayerNorm
# Queries at a time. A mask holds a number for each query and key of each head: of 10 s, 496 tokens,
# 12 MB in the base size, and 64 times that of 80 s.
QUERIES = 1_024


def buckets(tokens: int, shape: BeatsArchitecture) -> Tensor:
    """The bucket of each offset key − query, from 1 − tokens to tokens − 1.

    Half of the buckets are for keys behind the query. Of each half the first half are for one
    offset each, and the others grow logarithmically up to `distance` (Raffel et al., T5, 2020).

    >>> buckets(3, BeatsArchitecture()).tolist()
    [2, 1, 0, 161, 162]
    """
    offset = torch.arange(1 - tokens, tokens)
    half = shape.buckets // 2
    exact = half // 2
    distance = offset.abs()
    # In float32 and in this order: at an edge between buckets another order may round to the other.
    further = torch.log(distance.clamp(min=1).float() / exact) / math.log(shape.distance / exact)
    last = torch.full_like(distance, half - 1)
    wide = torch.minimum(exact + (further * (half - exact)).long(), last)
    return half * (offset > 0) + torch.where(distance < exact, distance, wide)


class Offsets:
    """What the relative positions add to attention's scores: each head's number of each offset.

    Args:
        values: (heads, 2 · tokens − 1), from key − query = 1 − tokens on.

    >>> Offsets(torch.arange(3.0)[None]).rows(0, 2).tolist()  # queries × keys
    [[[1.0, 2.0], [0.0, 1.0]]]
    """

    def __init__(self, values: Tensor) -> None:
        self.tokens = (values.shape[1] + 1) // 2  # of a clip
        # Row q holds values from tokens − 1 − q on: windows over them, in falling order.
        self._windows = values.unfold(1, self.tokens, 1)
        # Written out once for all layers where that is no more than one mask is.
        self._whole = self._written(0, self.tokens) if self.tokens <= QUERIES else None
        self.keys: Tensor | None = None  # what is added to each key's scores, by `Ragged.keys`

    def rows(self, first: int, last: int) -> Tensor:
        """(heads, last − first, tokens) for some of the queries."""
        return self._written(first, last) if self._whole is None else self._whole[:, first:last]

    def _written(self, first: int, last: int) -> Tensor:
        return self._windows[:, self.tokens - last : self.tokens - first].flip(1)


class PositionConvolution(nn.Module):
    """A grouped convolution over tokens whose output is their position (exact GELU).

    Its weight is normed over its channels, for each tap by itself (weight norm over dim 2).

    >>> shape = BeatsArchitecture(embed=8, dim=8, depth=1, heads=2, hidden=16, taps=4, groups=2)
    >>> part = PositionConvolution(shape).requires_grad_(False)
    >>> part(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    weight: Tensor | None

    def __init__(self, shape: BeatsArchitecture) -> None:
        super().__init__()
        self.groups, self.taps = shape.groups, shape.taps
        self.weight_g = nn.Parameter(torch.empty(1, 1, shape.taps))
        self.weight_v = nn.Parameter(torch.empty(shape.dim, shape.dim // shape.groups, shape.taps))
        self.bias = nn.Parameter(torch.empty(shape.dim))
        self.register_buffer("weight", None, persistent=False)

    def normed(self) -> Tensor:
        """g · v / ‖v‖, (dim, dim / groups, taps)."""
        length = torch.linalg.vector_norm(self.weight_v, dim=(0, 1), keepdim=True)
        normed: Tensor = self.weight_g * self.weight_v / length
        return normed

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, dim) → the same shape."""
        # Normed once when loaded; while it is trained, anew each time.
        weight = self.normed() if self.weight is None else self.weight
        y = functional.conv1d(
            x.transpose(1, 2), weight, self.bias, padding=self.taps // 2, groups=self.groups
        )
        if self.taps % 2 == 0:  # an even kernel gives one more than went in
            y = y[:, :, :-1]
        return functional.gelu(y).transpose(1, 2)


class GatedAttention(nn.Module):
    """Multi-head self-attention with relative positions, gated by each query.

    >>> shape = BeatsArchitecture(embed=8, dim=8, depth=1, heads=2, hidden=16, taps=4, groups=2)
    >>> part = GatedAttention(shape)
    >>> part(torch.zeros(1, 5, 8), [Offsets(torch.zeros(2, 9))]).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, shape: BeatsArchitecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(shape.dim, shape.dim) for _ in range(4)
        )
        self.grep_linear = nn.Linear(shape.dim // shape.heads, GATES)
        self.grep_a = nn.Parameter(torch.empty(1, shape.heads, 1, 1))
        # In each layer as published; that of layer 0 is used in all.
        self.relative_attention_bias = nn.Embedding(shape.buckets, shape.heads)

    def forward(self, x: Tensor, offsets: Sequence[Offsets], sizes: Sizes | None = None) -> Tensor:
        """(batch, tokens, dim) → the same shape; of `joined` clips, each hears itself alone.

        Offsets are those of each length, of which there is one where no `sizes` are given.
        """
        q = self.q_proj(x)
        pairs = functional.linear(q.view(*x.shape[:2], self.heads, -1), *self.pair())
        all_of = (q, self.k_proj(x), self.v_proj(x), pairs.flatten(2))
        if sizes is None:
            return self.out_proj(self.mix(*all_of, offsets[0]))  # type: ignore[no-any-return]
        of_length = zip(*(apart(some, sizes) for some in all_of), offsets, strict=True)
        mixed = [self.mix(*some) for some in of_length]
        return self.out_proj(joined(mixed)[0])  # type: ignore[no-any-return]

    def mix(self, q: Tensor, k: Tensor, v: Tensor, pairs: Tensor, offsets: Offsets) -> Tensor:
        """Values weighted by attention; all (batch, tokens, dim).

        Args:
            q, k, v: what the projections gave.
            pairs: two numbers for each query and head, (batch, tokens, heads · 2).
            offsets: what relative positions add.
        """
        batch, tokens, _ = q.shape
        q, k, v = (x.view(batch, tokens, self.heads, -1).transpose(1, 2) for x in (q, k, v))
        pairs = pairs.view(batch, tokens, self.heads, 2).transpose(1, 2)
        a, b = torch.sigmoid(pairs).chunk(2, dim=-1)
        gate = a * (b * self.grep_a - 1) + 2  # (batch, heads, tokens, 1)
        parts = []
        for first in range(0, tokens, QUERIES):
            last = min(first + QUERIES, tokens)
            mask = gate[:, :, first:last] * offsets.rows(first, last)
            if offsets.keys is not None:
                mask += offsets.keys
            parts.append(
                functional.scaled_dot_product_attention(q[:, :, first:last], k, v, attn_mask=mask)
            )
        mixed = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return mixed.transpose(1, 2).reshape(batch, tokens, -1)

    def pair(self) -> tuple[Tensor, Tensor]:
        """Weight (2, head dim) and bias (2,) of the two numbers that make a query's gate."""
        # Two sums of four outputs each, as one product with the sums of their weights.
        weight = self.grep_linear.weight.view(2, GATES // 2, -1).sum(1)
        return weight, self.grep_linear.bias.view(2, GATES // 2).sum(1)


class DeepNormLayer(nn.Module):
    """One transformer layer; each norm comes after a sum whose first term is enlarged (DeepNorm).

    >>> shape = BeatsArchitecture(embed=8, dim=8, depth=1, heads=2, hidden=16, taps=4, groups=2)
    >>> DeepNormLayer(shape)(torch.zeros(1, 5, 8), [Offsets(torch.zeros(2, 9))]).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, shape: BeatsArchitecture) -> None:
        super().__init__()
        self.alpha = shape.alpha
        self.self_attn = GatedAttention(shape)
        self.self_attn_layer_norm = nn.LayerNorm(shape.dim, eps=EPS)
        self.fc1 = nn.Linear(shape.dim, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.dim)
        self.final_layer_norm = nn.LayerNorm(shape.dim, eps=EPS)
        self.drop_path = 0.0  # chance to leave a clip's branch out while training

    def forward(self, x: Tensor, offsets: Sequence[Offsets], sizes: Sizes | None = None) -> Tensor:
        """(batch, tokens, dim), or `joined` clips → the same shape; offsets as attention's."""
        chance = self.drop_path if self.training else 0.0
        mixed = thinned(self.self_attn(x, offsets, sizes), chance, sizes)
        x = self.self_attn_layer_norm(self._sum(x, mixed))
        y = thinned(self.fc2(functional.gelu(self.fc1(x))), chance, sizes)
        return self.final_layer_norm(self._sum(x, y))  # type: ignore[no-any-return]

    def _sum(self, x: Tensor, branch: Tensor) -> Tensor:
        """α·x + branch."""
        # In place: of a sum's terms the branch is nobody else's. Where products are in bfloat16 and
        # norms are not it would round the sum.
        if branch.dtype == x.dtype:
            return branch.add_(x, alpha=self.alpha)
        return torch.add(branch, x, alpha=self.alpha)


class _Layers(nn.Module):
    """What the published names call `encoder`."""

    def __init__(self, shape: BeatsArchitecture) -> None:
        super().__init__()
        self.pos_conv = nn.ModuleList([PositionConvolution(shape)])
        self.layer_norm = nn.LayerNorm(shape.dim, eps=EPS)
        self.layers = nn.ModuleList(DeepNormLayer(shape) for _ in range(shape.depth))


class BeatsEncoder(Trunk):
    """BEATs.

    Args:
        shape: what the weights file says.

    >>> shape = BeatsArchitecture(embed=4, dim=8, depth=1, heads=2, hidden=16, taps=4, groups=2)
    >>> encoder = BeatsEncoder(shape).requires_grad_(False)
    >>> encoder(torch.zeros(1, 32, 128)).shape  # 8 tokens for each 16 frames
    torch.Size([1, 16, 8])
    """

    blocks_at = "encoder.layers."
    adapted = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
    undecayed = ("grep_a", "weight_g", TABLE)
    published_decay = 0.6  # layer_wise_gradient_decay_ratio of every published config

    def __init__(self, shape: BeatsArchitecture) -> None:
        super().__init__(shape)
        self.patch_embedding = nn.Conv2d(1, shape.embed, PATCH, PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(shape.embed, eps=EPS)
        if shape.embed != shape.dim:
            self.post_extract_proj = nn.Linear(shape.embed, shape.dim)
        self.encoder = _Layers(shape)
        self.add_head()

    def forward(self, mel: Tensor, layer: int | None = None) -> Tensor:
        """Tokens of some clips of one length.

        Args:
            mel: (batch, frames, 128) normalised log-mel; what fills no patch of 16 is not heard.
            layer: behind which layer, 1 to depth; 0 is what goes into the first, None the last.

        Returns:
            (batch, frames // 16 · 8, dim).
        """
        return self.through(self.embed(mel), 0, layer)

    def stack(self) -> nn.ModuleList:
        """The layers, first to last."""
        return self.encoder.layers

    def beside(self, x: Tensor, sizes: Sizes | None) -> tuple[Any, ...]:
        """What relative positions add for clips of each length, and the lengths."""
        lengths = [x.shape[1]] if sizes is None else [tokens for _, tokens in sizes]
        return [self.offsets(tokens) for tokens in lengths], sizes

    def trains(self, name: str) -> bool:
        """All but the tables of relative positions that no layer uses."""
        return self.stored_as(name) == name

    def stored_as(self, name: str) -> str:
        """The first layer's table of relative positions is that of all layers."""
        return f"{self.blocks_at}0.{TABLE}" if name.endswith(TABLE) else name

    def embed(self, mel: Tensor) -> Tensor:
        """What goes into the first layer, (batch, tokens, dim)."""
        x = self.patches(mel)
        return self.encoder.layer_norm(x + self.encoder.pos_conv[0](x))  # type: ignore[no-any-return]

    def patches(self, mel: Tensor) -> Tensor:
        """Patches as tokens that know no position yet, (batch, tokens, dim)."""
        batch, frames, mels = mel.shape
        columns = frames // PATCH
        mel = mel[:, : columns * PATCH].to(self.layer_norm.weight.dtype)
        cut = mel.reshape(batch, columns, PATCH, mels // PATCH, PATCH).transpose(2, 3)
        flat = cut.reshape(batch, -1, PATCH * PATCH)  # (batch, tokens, 256)
        # One product instead of a convolution: its weight as a matrix, the same sum.
        x = self.layer_norm(functional.linear(flat, self.patch_embedding.weight.flatten(1)))
        if self.shape.embed != self.shape.dim:
            x = self.post_extract_proj(x)
        return x  # type: ignore[no-any-return]

    @property
    def table(self) -> Tensor:
        """The relative positions' numbers, (buckets, heads)."""
        first: DeepNormLayer = self.encoder.layers[0]  # type: ignore[assignment]
        return first.self_attn.relative_attention_bias.weight

    def offsets(self, tokens: int, table: Tensor | None = None) -> Offsets:
        """What relative positions add, for clips of some tokens; one for all layers.

        Args:
            tokens: of a clip.
            table: (buckets, heads); None is the first layer's.
        """
        used = self.table if table is None else table
        chosen = buckets(tokens, self.shape).to(used.device)
        return Offsets(used[chosen].T.contiguous())


def load(weights: BeatsWeights, dtype: torch.dtype = torch.float32) -> BeatsEncoder:
    """An encoder with the weights of a file, ready for inference on the CPU.

    float32 weights are used where they lie in the file, mapped into memory; only the weight of the
    convolution, which is normed, is made anew.

    Args:
        weights: opened and checked, see `nearfar.embedder.weights`.
        dtype: of the parameters.

    Raises:
        WeightsError: the file changed since it was checked, or has tables that differ.
    """
    with torch.device("meta"):  # no memory for numbers that the file brings
        encoder = BeatsEncoder(weights.architecture)
    fill(encoder, weights, torch.float32)
    refuse_tables(weights.path, encoder.state_dict())
    convolution: PositionConvolution = encoder.encoder.pos_conv[0]  # type: ignore[assignment]
    convolution.weight = convolution.normed()  # before it is rounded
    for name, part in encoder.named_children():
        if name not in PARTS:  # a trained head is small and works in float32, whatever the rest
            part.to(dtype)
    return encoder.eval()


def refuse_tables(path: Path, tensors: dict[str, Tensor]) -> None:
    """Relative positions are one table: files in which layers have their own are no BEATs.

    Raises:
        WeightsError: two tables differ.
    """
    first, *others = sorted(name for name in tensors if name.endswith(TABLE))
    for name in others:
        if not torch.equal(tensors[name], tensors[first]):
            raise WeightsError(
                f"{path}: {name!r} differs from {first!r}, and a BEATs has one table for all "
                "layers; take the published checkpoint"
            )
