"""What `nearfar weights check` says of a BEATs' weights. No torch here."""

from __future__ import annotations

from nearfar.embedder.beats.architecture import TABLE
from nearfar.embedder.beats.features import MAX_FRAMES
from nearfar.embedder.beats.weights import BeatsWeights
from nearfar.embedder.soundness import damaged_tensor, size_of

__all__ = ["damaged_tensor", "facts"]


def facts(weights: BeatsWeights) -> dict[str, str]:
    """Name → value, a line each.

    Raises:
        WeightsError: the file is gone.
    """
    shape = weights.architecture
    names = shape.shapes()
    copies = sum(name.endswith(TABLE) for name in names) - 1  # one table, once a layer
    distinct = shape.parameters - copies * shape.buckets * shape.heads
    return {
        "architecture": f"{shape.name}, {shape.depth} layers of {shape.heads} heads",
        "tensors": f"{len(names)}, {', '.join(weights.dtypes)}",
        "parameters": f"{shape.parameters:,}, of which {distinct:,} are different ones",
        "positions": f"relative, told apart up to {shape.distance} tokens; clips up to "
        f"{MAX_FRAMES:,} frames, {MAX_FRAMES / 100:.1f} s",
        "bytes": size_of(weights),
        "sha256": weights.sha256,
        "pooling": "mean",
    }
