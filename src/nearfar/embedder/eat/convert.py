"""A fairseq checkpoint made into weights as published: config.json and model.safetensors.

Nothing is skipped in silence: a tensor is mapped, on the list of what is dropped, or an error. How
it is read without running code says `nearfar.embedder.checkpoint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nearfar.embedder.checkpoint import (
    StandIn,
    Tensors,
    check_tensor,
    load_checkpoint,
    state_of,
    write_weights,
)
from nearfar.embedder.conversion import check_folder
from nearfar.embedder.eat.architecture import (
    COLUMNS,
    POSITIONS,
    ROWS,
    Architecture,
    from_config,
    positions,
)
from nearfar.embedder.eat.weights import LAYOUT, PREFIX, Weights, open_weights
from nearfar.embedder.weights import compare, read_config
from nearfar.errors import WeightsError

_MODALITY = "modality_encoders.IMAGE."  # spectrograms are images to this encoder
_CONTEXT_NORM = "context_encoder.norm."
# The teacher (an average of past students) and the decoder of the pre-training task.
_DROPPED = re.compile(r"(model\.)?(_ema(\..*)?|modality_encoders\.IMAGE\.decoder\..+)")
_OF_MODALITY = re.compile(
    r"extra_tokens|local_encoder\.proj\..+|fixed_positional_encoder\.positions"
)
# Of a checkpoint's hundred settings those that `from_config` reads.
_FIELDS = (
    "num_heads", "embed_dim", "depth", "mlp_ratio", "norm_eps", "norm_affine", "layer_norm_first",
)  # fmt: skip
_TOLERANCE = 1e-3  # of a position table kept in float16


def convert(checkpoint: Path, out: Path, config: Path | None = None) -> Weights:
    """Write a folder with the encoder of a checkpoint in float32.

    Args:
        checkpoint: fairseq's .pt, of pre-training or fine-tuning; or a PyTorch file with the
            published names.
        out: a folder that is not there yet, or is empty.
        config: a config.json. Without one the checkpoint's own settings are used, and heads of 64
            dimensions where there are 768 or 1024.

    Returns:
        The weights, opened and checked.

    Raises:
        WeightsError: not a checkpoint of an EAT, incomplete, with tensors that nobody knows, or
            with code in it.
        StorageError: the folder cannot be written, or has files in it.
    """
    check_folder(out)
    content = load_checkpoint(checkpoint, "a fairseq checkpoint")
    tensors = _encoder(checkpoint, content)
    settings = _settings(content) if config is None else read_config(config)
    longest = COLUMNS if config is None else settings.get("max_length", COLUMNS)
    _complete_positions(checkpoint, tensors, longest)
    architecture = _architecture(checkpoint, settings, tensors, asked=config is None)
    named = {PREFIX + name: tensor for name, tensor in tensors.items()}
    write_weights(checkpoint, out, architecture.config(), named, open_weights)
    return open_weights(out)


# ---- reading ---------------------------------------------------------------------------------


def _encoder(path: Path, content: Mapping[str, Any]) -> Tensors:
    """The encoder's tensors by their published names, float32 or as they are."""
    state = state_of(path, content, LAYOUT)
    tensors: Tensors = {}
    for key, value in state.items():
        if isinstance(key, str) and _DROPPED.fullmatch(key):
            continue
        name = _published_name(key) if isinstance(key, str) else None
        if name is None or not isinstance(value, torch.Tensor):
            raise WeightsError(
                f"{path}: {key!r} is none of an EAT's tensors, and none that may be dropped; this "
                "is no checkpoint of an EAT"
            )
        if name in tensors:
            raise WeightsError(f"{path}: {key!r} is the second tensor for {name!r}; need one")
        check_tensor(path, key, value)
        tensors[name] = value.detach()
    _need_pre_norm(path, tensors)
    return tensors


def _published_name(key: str) -> str | None:
    """What the published file calls a tensor of a checkpoint; None for what it does not have."""
    bare = key.removeprefix(PREFIX)
    inner = bare.removeprefix(_MODALITY)
    if inner == bare:
        known = ("blocks.", "fc_norm.", "head.", "pre_norm.")
        return bare if bare.startswith(known) or _OF_MODALITY.fullmatch(bare) else None
    if inner.startswith(_CONTEXT_NORM):
        return "pre_norm." + inner.removeprefix(_CONTEXT_NORM)
    return inner if _OF_MODALITY.fullmatch(inner) else None


def _need_pre_norm(path: Path, tensors: Tensors) -> None:
    """Converters have lost this norm before, and an encoder without it still runs."""
    for name in ("weight", "bias"):
        if f"pre_norm.{name}" not in tensors:
            raise WeightsError(
                f"{path}: has no {_MODALITY}{_CONTEXT_NORM}{name}, the norm before the first "
                "block; the checkpoint is incomplete, take the original one"
            )


# ---- what it is --------------------------------------------------------------------------------


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the checkpoint says about the encoder; that of the pre-training comes first."""
    model = _fields(_fields(content.get("cfg")).get("model"))
    before = _fields(_fields(model.get("pretrained_model_args")).get("model"))
    said = before or model or _fields(content.get("args"))
    return {name: said[name] for name in _FIELDS if said.get(name) is not None}


def _fields(value: object) -> Mapping[str, Any]:
    if isinstance(value, StandIn):
        return value.fields
    return value if isinstance(value, Mapping) else {}


def _complete_positions(path: Path, tensors: Tensors, columns: object) -> None:
    """A table that is short, as in the first checkpoints, or not there is computed anew."""
    dim = tensors["pre_norm.weight"].numel()
    if not isinstance(columns, int) or not 0 < columns <= 100 * COLUMNS or dim % 4:
        return  # refused with all else that is wrong
    stored = tensors.get(POSITIONS)
    if stored is not None:
        rows = stored.numel() // dim
        if stored.shape != (1, rows, dim) or rows >= columns * ROWS:
            return  # long enough; a wrong shape is refused with its name
        short = torch.from_numpy(positions(dim, columns)[:, :rows])
        if not torch.allclose(stored.float(), short, rtol=0, atol=_TOLERANCE):
            raise WeightsError(
                f"{path}: its position table has {rows} rows, need {columns * ROWS}, and they are "
                "not the fixed sin-cos table, so it cannot be made longer; give a --config with "
                f"max_length = {rows // ROWS} if that is long enough"
            )
    tensors[POSITIONS] = torch.from_numpy(positions(dim, columns))


def _architecture(
    path: Path, settings: Mapping[str, Any], tensors: Tensors, asked: bool
) -> Architecture:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        architecture = from_config(settings, shapes)
    except WeightsError as error:
        hint = "; or give the config.json that belongs to it: --config" if asked else ""
        raise WeightsError(f"{path}: {error}{hint}") from None
    compare(path, architecture.shapes(), shapes, "", LAYOUT.name)
    return architecture
