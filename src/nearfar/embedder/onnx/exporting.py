"""Encoders to ONNX: one file with everything inside, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.embedder.backbone import Backbone
from nearfar.embedder.contract import innermost
from nearfar.embedder.onnx.embed import Float32, OnnxEncoder
from nearfar.sound.audio import Audio

PRECISIONS = ("fp32", "int8")


def encoders_in(embedder: Any) -> list[Backbone]:
    """The encoders inside an embedder that can be exported; none of one that needs no torch."""
    inner = innermost(embedder)
    return [inner] if isinstance(inner, Backbone) else []


def as_onnx(
    embedder: Any,
    folder: Path,
    *,
    precision: str = "fp32",
    normals: Sequence[Audio] = (),
    longest: float | None = None,
) -> Any:
    """The same embedder with its encoder exported to a folder; one that has none as it is."""
    raise NotImplementedError("override")


def export(
    encoder: Backbone,
    folder: Path,
    *,
    precision: str = "fp32",
    normals: Sequence[Float32] = (),
    longest: float | None = None,
) -> OnnxEncoder:
    """Write an encoder to folder/encoder.onnx."""
    raise NotImplementedError("override")
