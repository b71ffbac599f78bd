"""What `nearfar weights check` says of an EAT's weights. No torch here."""

from __future__ import annotations

from nearfar.embedder.eat.architecture import PATCH, ROWS
from nearfar.embedder.eat.weights import Weights
from nearfar.embedder.record import Training
from nearfar.embedder.soundness import damaged_tensor, size_of

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
        "bytes": size_of(weights),
        "sha256": weights.sha256,
        "pooling": f"{pooling}, unless another is asked for",
    }
