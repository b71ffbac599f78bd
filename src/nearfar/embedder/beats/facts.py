"""What `nearfar weights check` says of a BEATs' weights. No torch here."""

from __future__ import annotations

from nearfar.embedder import soundness
from nearfar.embedder.beats.architecture import TABLE, TAPS_V
from nearfar.embedder.beats.features import MAX_FRAMES
from nearfar.embedder.beats.weights import BeatsWeights
from nearfar.embedder.record import Training
from nearfar.embedder.soundness import bits_of, size_of


def damaged_tensor(weights: BeatsWeights) -> str | None:
    """The first tensor with a number that no BEATs can have; None if all are sound.

    Raises:
        WeightsError: the file cannot be read.
    """
    found = soundness.damaged_tensor(weights)
    return TAPS_V if found is None and _has_no_length(weights) else found


def _has_no_length(weights: BeatsWeights) -> bool:
    """Is a tap of the positions' convolution all zeros? It is divided by its length."""
    bits = bits_of(weights, TAPS_V) << 1  # less the sign, for there is a zero below zero
    return bool((bits.reshape(-1, weights.architecture.taps) == 0).all(axis=0).any())


def facts(weights: BeatsWeights) -> dict[str, str]:
    """Name → value, a line each.

    Raises:
        WeightsError: the file is gone, or its record of training is damaged.
    """
    shape = weights.architecture
    names = shape.shapes()
    copies = sum(name.endswith(TABLE) for name in names) - 1  # one table, once a layer
    pooling = "mean" if Training.of(weights) is None else "trained head"
    distinct = shape.parameters - copies * shape.buckets * shape.heads
    return {
        "architecture": f"{shape.name}, {shape.depth} layers of {shape.heads} heads",
        "tensors": f"{len(names)}, {', '.join(weights.dtypes)}",
        "parameters": f"{shape.parameters:,}, of which {distinct:,} are different ones",
        "positions": f"relative, told apart up to {shape.distance} tokens; clips up to "
        f"{MAX_FRAMES:,} frames, {MAX_FRAMES / 100:.1f} s",
        "bytes": size_of(weights),
        "sha256": weights.sha256,
        "pooling": f"{pooling}, unless another is asked for",
    }
