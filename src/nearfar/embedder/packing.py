"""bfloat16 on a CPU: weights packed once, bias, GELU and residual fused into the products.

oneDNN, which PyTorch brings, packs a weight matrix at every call of `nn.Linear`; here it is packed
once, as PyTorch's own compiler does. The operators are not public, so each of them is tried on a
small matrix first; where they are missing or differ, the plain module is used.

oneDNN also rounds a row differently when it gets another number of rows. So a clip's rows are cut
the same way wherever the clip stands in its batch: its tokens do not depend on its neighbours.

This file imports torch; import it inside functions only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Rows at a time, measured at 513 tokens a clip. The MLP's: two clips of 10 s, its hidden layer then
# stays in cache. The attention's projection is narrow, and of two cores oneDNN uses one only when
# it gets some 500 to 1,100 rows: up to there half a clip at a time takes half as long.
MLP_ROWS = 1_026
PROJECTION_ROWS = 300


def can_pack() -> bool:
    """Do PyTorch's packed products exist here, and are they right?"""
    x, weight = (torch.linspace(-1, 1, 64 * 32).bfloat16().view(64, 32) for _ in range(2))
    bias, other = torch.linspace(-1, 1, 64).bfloat16(), torch.ones(64, 64).bfloat16()
    try:
        with torch.inference_mode():
            product = PackedLinear(weight, bias)
            wanted = functional.linear(x.float(), weight.float(), bias.float())
            pairs = (
                (product(x), wanted),
                (product.gelu(x), functional.gelu(wanted)),
                (product.plus(x, other), wanted + 1),
            )
            # bfloat16 has 8 bits, 0.4 % a rounding; a wrong operator is wrong by far more.
            return all(torch.allclose(a.float(), b, rtol=0.02, atol=0.02) for a, b in pairs)
    except (RuntimeError, AttributeError, NotImplementedError):
        return False


def pieces(clips: int, tokens: int, most: int) -> list[slice]:
    """Rows of a batch, cut alike for every clip.

    Args:
        clips: in the batch.
        tokens: rows of one clip.
        most: rows of a piece, at most.

    Returns:
        Pieces of as many whole clips as fit and divide the batch; where not even one fits, of
        equal parts of a clip.

    >>> pieces(2, 513, 1_026)
    [slice(0, 1026, None)]
    >>> [p.stop - p.start for p in pieces(2, 513, 300)]
    [257, 256, 257, 256]
    """
    fitting = (n for n in range(clips, 0, -1) if clips % n == 0 and n * tokens <= most)
    if together := next(fitting, 0):
        step = together * tokens
        return [slice(i, i + step) for i in range(0, clips * tokens, step)]
    step = -(-tokens // -(-tokens // most))
    return [
        slice(clip + i, clip + min(i + step, tokens))
        for clip in range(0, clips * tokens, tokens)
        for i in range(0, tokens, step)
    ]


class PackedLinear:
    """A linear layer whose weight is packed; it works for any number of rows.

    >>> weight = torch.eye(32).bfloat16()
    >>> not can_pack() or PackedLinear(weight, weight[0])(weight[:4]).shape == (4, 32)
    True
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.bias = bias
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), MLP_ROWS)
        self._product = torch.ops.mkldnn._linear_pointwise

    def __call__(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        y: Tensor = self._product(x, self.weight, self.bias, "none", [], "")
        return y

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the product."""
        y: Tensor = self._product(x, self.weight, self.bias, "gelu", [], "none")  # exact, erf
        return y

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The product and another tensor of its shape."""
        y: Tensor = self._product.binary(x, other, self.weight, self.bias, "add")
        return y


class PackedBlock:
    """What follows attention in a post-norm block: projection, sum, norm, MLP, sum, norm.

    Args:
        proj: of what attention mixed.
        norm1: of the sum of that and the block's input.
        fc1: the MLP's first layer, GELU behind it.
        fc2: its second.
        norm2: of the sum of that and the MLP's input.

    >>> eye, norm = torch.eye(32).bfloat16(), torch.nn.LayerNorm(32, dtype=torch.bfloat16)
    >>> x = torch.zeros(2, 5, 32).bfloat16()
    >>> parts = [PackedLinear(eye, eye[0]) for _ in range(3)] if can_pack() else []
    >>> not parts or PackedBlock(parts[0], norm, *parts[1:], norm)(x, x).shape == x.shape
    True
    """

    def __init__(
        self,
        proj: PackedLinear,
        norm1: nn.Module,
        fc1: PackedLinear,
        fc2: PackedLinear,
        norm2: nn.Module,
    ) -> None:
        self.proj, self.norm1, self.fc1, self.fc2, self.norm2 = proj, norm1, fc1, fc2, norm2

    def __call__(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Input and what attention mixed, (clips, tokens, dim) each → the same shape."""
        clips, tokens, dim = x.shape
        rows, mixed = x.view(-1, dim), mixed.view(-1, dim)
        r = torch.empty_like(rows)  # (clips · tokens, dim); the MLP's output takes its place
        # Longer batches keep all cores busy uncut.
        narrow = PROJECTION_ROWS if len(rows) <= MLP_ROWS else len(rows)
        for some in pieces(clips, tokens, narrow):
            r[some] = self.norm1(self.proj.plus(mixed[some], rows[some]))
        for some in pieces(clips, tokens, MLP_ROWS):
            r[some] = self.norm2(self.fc2.plus(self.fc1.gelu(r[some]), r[some]))
        return r.view(x.shape)
