"""YAMNet's weights: which files they are, and the network that is made of them.

They hold the published numbers under the published names, slashes written as dots.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from safetensors import safe_open

from nearfar.embedder import weights
from nearfar.embedder.tensorfile import Shape, unreadable
from nearfar.embedder.weights import FileLayout, find_weights
from nearfar.embedder.yamnet.layers import YAMNetArchitecture, from_config
from nearfar.embedder.yamnet.network import Network
from nearfar.errors import WeightsError
from nearfar.sound.spectral import Float32

YAMNetWeights: TypeAlias = weights.Weights[YAMNetArchitecture]

_TYPICAL = "layer1.conv.kernel"  # with it a file is meant to be a YAMNet
_CONVERT = f"{weights.CONVERT} yamnet_256_f32.h5 OUT"


def open_weights(reference: str | os.PathLike[str]) -> YAMNetWeights:
    """Find YAMNet's weights and check everything but the numbers; see `find_weights`.

    Raises:
        WeightsError: not there, not whole, not YAMNet-256, or not in float32.
    """
    found = find_weights(reference, LAYOUT)
    if found.dtypes != ("F32",):
        raise WeightsError(f"{found.path}: has {', '.join(found.dtypes)}, need F32: {_CONVERT}")
    return found


def network(found: YAMNetWeights) -> Network:
    """The network with these weights; made once for each state of the file.

    Raises:
        WeightsError: a tensor is damaged, or the file cannot be read.
    """
    try:
        state = found.path.stat()
    except OSError as error:
        raise unreadable(found.path, error) from None
    return _network(found.path.absolute(), state.st_ino, state.st_size, state.st_mtime_ns)


def damaged_tensor(found: YAMNetWeights) -> str | None:
    """The first tensor with a number that no network can have; None if all are sound.

    Raises:
        WeightsError: the file cannot be read.
    """
    return _damaged(tensors(found.path))


def tensors(path: Path) -> dict[str, Float32]:
    """All numbers by name, read from the file mapped into memory.

    Raises:
        WeightsError: the file is gone or cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in YAMNetArchitecture().shapes()}
    except OSError as error:
        raise unreadable(path, error) from None


def _damaged(named: Mapping[str, Float32]) -> str | None:
    for name, values in named.items():
        # A variance below zero has no root.
        least = 0 if name.endswith("moving_variance") else -np.inf
        if not (np.isfinite(values) & (values >= least)).all():
            return name
    return None


@lru_cache(maxsize=8)  # asked for each clip; half a megabyte each
def _network(path: Path, *_state: int) -> Network:
    named = tensors(path)
    if damaged := _damaged(named):
        raise WeightsError(
            f"{path}: tensor {damaged!r} has numbers that are NaN, infinite or a variance below "
            f"zero; make the folder anew: {_CONVERT}"
        )
    return Network(named)


def _refuse_others(path: Path, names: Iterable[str], shapes: Mapping[str, Shape]) -> None:
    """Say what a file is when it is something else than a YAMNet."""
    if _TYPICAL in shapes:
        return
    example = next(iter(names), None)
    what = f"its first tensor is {example!r}" if example else "it has no tensors"
    raise WeightsError(
        f"{path}: not a YAMNet ({what}, a YAMNet has {_TYPICAL!r}); make its folder: {_CONVERT}"
    )


LAYOUT = FileLayout(
    kind=YAMNetArchitecture.kind,
    name=YAMNetArchitecture.name,
    checkpoint="the published yamnet_256_f32.h5",
    example=f"; make one: {_CONVERT}",
    architecture=from_config,
    refuse=_refuse_others,
)
