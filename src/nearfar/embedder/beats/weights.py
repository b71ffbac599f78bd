"""BEATs' weights: which files they are, and what else is taken for them. No torch here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from nearfar.embedder import weights
from nearfar.embedder.beats.architecture import BeatsArchitecture, from_config
from nearfar.embedder.tensorfile import Shape
from nearfar.embedder.weights import TENSORS, FileLayout, find_weights
from nearfar.errors import WeightsError

BeatsWeights: TypeAlias = weights.Weights[BeatsArchitecture]

# With one of these a file is meant to be a BEATs, and what it lacks is worth naming.
_TYPICAL = ("patch_embedding.weight", "encoder.layers.0.self_attn.grep_a", "layer_norm.weight")


def open_weights(reference: str | os.PathLike[str]) -> BeatsWeights:
    """Find a BEATs' weights and check everything but the numbers; see `find_weights`.

    Raises:
        WeightsError: not there, not whole, not a BEATs, or not what its config says.
    """
    return find_weights(reference, LAYOUT)


def _refuse_others(path: Path, names: Iterable[str], shapes: Mapping[str, Shape]) -> None:
    """Say what a file is when it is something else than a BEATs."""
    if any(name in shapes for name in _TYPICAL):
        return
    example = next(iter(names), None)
    what = f"its first tensor is {example!r}" if example else "it has no tensors"
    raise WeightsError(
        f"{path}: not a BEATs ({what}, a BEATs has 'patch_embedding.weight', 'encoder.layers.0.…');"
        f" give the {TENSORS} of a BEATs"
    )


LAYOUT = FileLayout(
    kind="beats",
    name="a BEATs",
    checkpoint="a published checkpoint",
    example="; nearfar weights convert makes it of BEATs_iter3.pt",
    architecture=from_config,
    refuse=_refuse_others,
)
