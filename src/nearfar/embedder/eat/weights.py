"""EAT's weights: which files they are, and what else is taken for them. No torch here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from nearfar.embedder import weights
from nearfar.embedder.eat.architecture import Architecture, from_config
from nearfar.embedder.tensorfile import Shape
from nearfar.embedder.weights import CONVERT, TENSORS, FileLayout, find_weights
from nearfar.errors import WeightsError

Weights: TypeAlias = weights.Weights[Architecture]

PREFIX = "model."  # of every name in the published files
# What only a checkpoint of the training has: an averaged teacher, a decoder, several modalities.
_FAIRSEQ = re.compile(r"(model\.)?(_ema\b|decoder\.|modality_encoders\.)")
# With one of these a file is meant to be an EAT, and what it lacks is worth naming.
_TYPICAL = ("extra_tokens", "local_encoder.proj.weight", "blocks.0.attn.qkv.weight")


def open_weights(reference: str | os.PathLike[str]) -> Weights:
    """Find an EAT's weights and check everything but the numbers; see `find_weights`.

    Raises:
        WeightsError: not there, not whole, not an EAT, or not what its config says.
    """
    return find_weights(reference, LAYOUT)


def file_size(
    architecture: Architecture,
    dtype: str = "F32",
    prefix: str = PREFIX,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Bytes of a safetensors file that holds exactly this encoder, written as the published ones.

    >>> file_size(Architecture(1024, 24, 16, 4096))
    1235498104
    """
    return weights.file_size(architecture, dtype, prefix, metadata)


def _refuse_others(path: Path, names: Iterable[str], shapes: Mapping[str, Shape]) -> None:
    """Say what a file is when it is something else than an EAT as published."""
    fairseq = next((name for name in names if _FAIRSEQ.match(name)), None)
    if fairseq is not None:
        raise WeightsError(
            f"{path}: has tensor {fairseq!r}, so its layout is fairseq's; convert the checkpoint "
            f"it came from: {CONVERT} CHECKPOINT.pt OUT"
        )
    if not any(name in shapes for name in _TYPICAL):
        example = next(iter(names), None)
        what = f"its first tensor is {example!r}" if example else "it has no tensors"
        raise WeightsError(
            f"{path}: not an EAT ({what}, an EAT has 'extra_tokens', 'blocks.0.…'); give the "
            f"{TENSORS} of an EAT"
        )


LAYOUT = FileLayout(
    kind="eat",
    name="an EAT",
    checkpoint="a fairseq checkpoint",
    example=", or an id such as worstchan/EAT-large_epoch20_pretrain",
    architecture=from_config,
    refuse=_refuse_others,
    prefix=PREFIX,
)
