"""The head that nearfar trains behind an encoder: its sizes and its tensors. No torch here.

Attentive statistics pooling over the patch tokens, then two layers (report §2.2). Every encoder's
head has the same names; sizes follow the encoder's.
"""

from __future__ import annotations

from collections.abc import Mapping

from nearfar.embedder.tensorfile import Shape
from nearfar.errors import WeightsError
from nearfar.parts.valid import is_whole

# Units of the attention that pools, units of the hidden layer, numbers of an embedding.
HeadSizes = tuple[int, int, int]

PARTS = ("pooling", "projection")
OF_HEAD = tuple(f"{part}." for part in PARTS)  # how the names of its tensors begin
_TELLING = ("pooling.hidden.weight", "projection.hidden.weight", "projection.out.weight")


def head_sizes(dim: int) -> HeadSizes:
    """The sizes behind an encoder with tokens of so many numbers.

    >>> head_sizes(1024)  # EAT-large: 2,048 statistics → 512 → 256, as in the report
    (128, 512, 256)
    """
    return max(1, dim // 8), max(1, dim // 2), max(1, dim // 4)


def head_shapes(dim: int, sizes: HeadSizes) -> dict[str, Shape]:
    """Every tensor of a head, with its shape.

    >>> len(head_shapes(1024, (128, 512, 256)))
    12
    """
    attention, hidden, out = sizes
    return {
        "pooling.hidden.weight": (attention, dim),
        "pooling.hidden.bias": (attention,),
        "pooling.score.weight": (1, attention),
        "pooling.score.bias": (1,),
        "projection.hidden.weight": (hidden, 2 * dim),  # weighted mean and sd
        "projection.hidden.bias": (hidden,),
        "projection.norm.weight": (hidden,),
        "projection.norm.bias": (hidden,),
        "projection.norm.running_mean": (hidden,),
        "projection.norm.running_var": (hidden,),
        "projection.out.weight": (out, hidden),
        "projection.out.bias": (out,),
    }


def head_of(shapes: Mapping[str, Shape]) -> HeadSizes | None:
    """The sizes of the head in a file; None where it has none, 0 for what is missing of one."""
    found = [shapes[name][0] if shapes.get(name) else None for name in _TELLING]
    if all(size is None for size in found):
        return None
    attention, hidden, out = (size or 0 for size in found)
    return attention, hidden, out


def check_head(sizes: HeadSizes | None) -> None:
    """Refuse half a head.

    Raises:
        WeightsError: a size below 1.
    """
    if sizes is not None and not all(is_whole(n, 1) for n in sizes):
        raise WeightsError(f"a projection of sizes {sizes!r}; need 1 or more")
