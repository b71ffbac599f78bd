"""What `nearfar weights check` says of YAMNet's weights."""

from __future__ import annotations

from nearfar.embedder.soundness import size_of
from nearfar.embedder.yamnet.layers import BANDS, DIM, REDUCTION, STRIDES
from nearfar.embedder.yamnet.weights import YAMNetWeights, damaged_tensor
from nearfar.sound.spectral import HOP, SAMPLE_RATE

__all__ = ["damaged_tensor", "facts"]


def facts(weights: YAMNetWeights) -> dict[str, str]:
    """Name → value, a line each.

    Raises:
        WeightsError: the file is gone.
    """
    shape = weights.architecture
    column = 1000 * REDUCTION * HOP // SAMPLE_RATE  # ms
    return {
        "architecture": f"{shape.name}, {len(STRIDES)} layers of convolutions",
        "tensors": f"{len(shape.shapes())}, {', '.join(weights.dtypes)}",
        "parameters": f"{shape.parameters:,}",
        "grid": f"a column of {BANDS} bands every {column} ms, {DIM} numbers each",
        "bytes": size_of(weights),
        "sha256": weights.sha256,
        "pooling": "mean over columns and bands",
    }
