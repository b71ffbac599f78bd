"""What `nearfar weights check` says of an EAT's weights. No torch here."""

from __future__ import annotations

from nearfar.embedder.eat.architecture import PATCH, ROWS
from nearfar.embedder.eat.record import Training
from nearfar.embedder.eat.selftest import damaged_tensor
from nearfar.embedder.eat.weights import Weights, file_size

__all__ = ["damaged_tensor", "facts"]


def facts(weights: Weights) -> dict[str, str]:
    """Name → value, a line each.

    Raises:
        WeightsError: the file is gone, or its record of training is damaged.
    """
    shape = weights.architecture
    table = shape.columns * ROWS * shape.dim  # a formula, not learned
    frames = shape.columns * PATCH  # of 10 ms: the longest clip that this encoder hears whole
    pooling = "mean" if Training.of(weights) is None else "trained head"
    return {
        "architecture": f"{shape.name}, {shape.depth} blocks of {shape.heads} heads",
        "tensors": f"{len(shape.shapes())}, {', '.join(weights.dtypes)}",
        "parameters": f"{shape.parameters:,}, of which {table:,} are the position table",
        "positions": f"{frames:,} frames, {frames / 100:.1f} s",
        "bytes": _size(weights),
        "sha256": weights.sha256,
        "pooling": f"{pooling}, unless another is asked for",
    }


def _size(weights: Weights) -> str:
    """The file's size beside that of a file with this architecture, written as published."""
    have = weights.path.stat().st_size
    if len(weights.dtypes) > 1:
        return f"{have:,}, tensors of more than one type"
    want = file_size(weights.architecture, weights.dtypes[0], weights.prefix, weights.metadata)
    # Another size is no damage: other programs order and pad the header differently.
    if have == want:
        return f"{have:,}, as this architecture has"
    return f"{have:,}; a file of this architecture has {want:,}, its header is written otherwise"
