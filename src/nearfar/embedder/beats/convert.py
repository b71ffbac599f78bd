"""A published checkpoint made into weights of ours: config.json and model.safetensors.

Nothing is skipped in silence: a tensor is taken, dropped with a word about it, or an error. How it
is read without running code says `nearfar.embedder.checkpoint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nearfar.embedder.beats.architecture import TABLE, TAPS_G, TAPS_V, from_config
from nearfar.embedder.beats.facts import damaged_tensor
from nearfar.embedder.beats.model import refuse_tables
from nearfar.embedder.beats.weights import LAYOUT, BeatsWeights, open_weights
from nearfar.embedder.checkpoint import (
    Tensors,
    check_tensor,
    load_checkpoint,
    state_of,
    write_weights,
)
from nearfar.embedder.conversion import check_folder, refuse_damaged
from nearfar.embedder.weights import compare, read_config
from nearfar.errors import WeightsError, warn

_PREDICTOR = ("predictor.weight", "predictor.bias")  # a linear layer on each token
# What a newer PyTorch calls the two parts of a weight that is normed, where one saved it again.
_RENAMED = {
    "encoder.pos_conv.0.parametrizations.weight.original0": TAPS_G,
    "encoder.pos_conv.0.parametrizations.weight.original1": TAPS_V,
}


def convert(checkpoint: Path, out: Path, config: Path | None = None) -> BeatsWeights:
    """Write a folder with the encoder of a checkpoint in float32.

    Args:
        checkpoint: a published .pt, pretrained or fine-tuned: `{"cfg": …, "model": …}`.
        out: a folder that is not there yet, or is empty.
        config: a config.json, for a checkpoint without settings of its own.

    Returns:
        The weights, opened and checked.

    Raises:
        WeightsError: not a checkpoint of a BEATs, incomplete, with tensors that nobody knows, or
            with code in it.
        StorageError: the folder cannot be written, or has files in it.
    """
    check_folder(out)
    content = load_checkpoint(checkpoint, "a BEATs checkpoint")
    state = state_of(checkpoint, content, LAYOUT)
    tensors = _encoder(checkpoint, state)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        architecture = from_config(_settings(content, config), shapes)
    except WeightsError as error:
        raise WeightsError(f"{checkpoint}: {error}") from None
    compare(checkpoint, architecture.shapes(), shapes, "", LAYOUT.name)
    refuse_tables(checkpoint, {n: t for n, t in tensors.items() if n.endswith(TABLE)})

    def check(folder: Path) -> None:
        refuse_damaged(checkpoint, damaged_tensor(open_weights(folder)))

    write_weights(checkpoint, out, architecture.config(), tensors, check)
    _tell_dropped(checkpoint, state)
    return open_weights(out)


def _encoder(path: Path, state: Mapping[Any, Any]) -> Tensors:
    """The encoder's tensors by their published names, as they are."""
    tensors: Tensors = {}
    for key, value in state.items():
        if key in _PREDICTOR:
            continue
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{path}: {key!r} is none of a BEATs' tensors; this is no checkpoint of a BEATs"
            )
        check_tensor(path, key, value)
        tensors[_RENAMED.get(key, key)] = value.detach()
    return tensors


def _tell_dropped(path: Path, state: Mapping[Any, Any]) -> None:
    dropped = [key for key in _PREDICTOR if key in state]
    if dropped:
        warn(
            f"{path}: fine-tuned; {' and '.join(dropped)}, which make classes of the tokens, "
            "are left out: embeddings are the encoder's"
        )


def _settings(content: Mapping[str, Any], config: Path | None) -> Mapping[str, Any]:
    """What the checkpoint says about the encoder, or the file given in its place."""
    if config is not None:
        return read_config(config)
    said = content.get("cfg")
    return said if isinstance(said, Mapping) else {}
