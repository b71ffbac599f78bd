"""Encoders to ONNX: one file with everything inside, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.backbone import Backbone
from nearfar.embedder.contract import innermost, is_two_step
from nearfar.embedder.eat.architecture import Architecture
from nearfar.embedder.encoders import RECORD
from nearfar.embedder.onnx.embed import PATCH, Float32, OnnxEncoder
from nearfar.embedder.onnx.modelfile import MODEL, OPSET, signed
from nearfar.embedder.soundness import bits_of
from nearfar.embedder.tensorfile import header
from nearfar.embedder.weights import Weights
from nearfar.errors import SettingError, WeightsError, needs
from nearfar.files import atomic_file, storage_errors
from nearfar.parts.valid import is_number
from nearfar.sound.audio import Audio
from nearfar.version import __version__

PRECISIONS = ("fp32", "int8")
LONGEST = 60.0  # s, where nobody says: of more, attention's scores alone are gigabytes
_GRAPHS = {"eat": "eatgraph", "beats": "beatsgraph"}


def encoders_in(embedder: Any) -> list[Backbone]:
    """The encoders inside an embedder that can be exported; none of one that needs no torch.

    >>> from nearfar.embedder.crops import Crops
    >>> from nearfar.embedder.eat import EAT
    >>> from nearfar.embedder.dif import DIF
    >>> encoders_in(Crops(EAT("a folder"))), encoders_in(DIF())
    ([EAT(weights='a folder', pooling=None, layer=None, frames=None, precision='fp32')], [])
    """
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
    """The same embedder with its encoder exported to a folder; one that has none as it is.

    Args:
        embedder: an encoder, or one that wraps it, as `Crops` and `Pooled` do.
        folder: made if it is not there; the file in it is `encoder.onnx`.
        precision: "fp32", or "int8" for weights and products of 8 bits.
        normals: sounds as this embedder hears them, (channels, samples); int8 needs at least one.
        longest: s of the longest clip; None: see `export`.

    Raises:
        What `export` raises.
    """
    if not encoders_in(embedder):
        return embedder
    # What is around it stays, however deep it lies.
    return _with_inner(embedder, _exported(embedder, folder, precision, normals, longest))


def export(
    encoder: Backbone,
    folder: Path,
    *,
    precision: str = "fp32",
    normals: Sequence[Float32] = (),
    longest: float | None = None,
) -> OnnxEncoder:
    """Write an encoder to folder/encoder.onnx.

    Args:
        encoder: an EAT or a BEATs, with its settings; its weights are taken in float32.
        folder: made if it is not there.
        precision: "fp32", or "int8".
        normals: log-mels as the encoder prepares them, (frames, 128); int8 needs at least one.
        longest: s of the longest clip that it shall take; None: what its positions are stored for,
            or 60 s where that is more. An encoder with `frames` takes those.

    Raises:
        SettingError: an impossible setting, or int8 without normals.
        WeightsError: weights that are missing or damaged, or no onnx.
        StorageError: the folder cannot be written.
    """
    _check(encoder, precision, normals, longest)
    with needs("export", "to export an encoder, onnx is needed", WeightsError):
        import onnx
    with needs("edge", "an export is tried out, which needs onnxruntime", WeightsError):
        from nearfar.embedder.onnx.runner import made_of
    weights = encoder.opened()
    columns = _columns(encoder, weights, longest)
    made = _model(encoder, weights, columns)
    facts = _facts(encoder, weights, columns) | {"precision": precision}
    if precision == "int8":
        from nearfar.embedder.onnx.quantise import quantised

        made, facts["calibration"] = quantised(made, normals)
    onnx.checker.check_model(made)
    data = signed(made.SerializeToString(deterministic=True), facts, weights.metadata.get(RECORD))
    made_of(data, f"{MODEL} of {weights.path}")  # one that cannot be run is not written
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / MODEL) as file:
            file.write(data)
    return OnnxEncoder(str(folder))


def _exported(
    embedder: Any,
    folder: Path,
    precision: str,
    normals: Sequence[Audio],
    longest: float | None,
) -> OnnxEncoder:
    (encoder,) = encoders_in(embedder)
    mels: list[Float32] = []
    # Prepared by the whole: an encoder in crops is quantised for crops.
    if precision == "int8" and is_two_step(embedder):
        mels = [mel for audio in normals for mel in _leaves(embedder.prepare(audio))]
    return export(encoder, folder, precision=precision, normals=mels, longest=longest)


def _with_inner(embedder: Any, inner: OnnxEncoder) -> Any:
    """A wrapper around another encoder: its settings stay."""
    if isinstance(embedder, Backbone):
        return inner
    return replace(embedder, embedder=_with_inner(embedder.embedder, inner))


def _leaves(prepared: Any) -> Iterator[Float32]:
    """The log-mels in what an embedder prepared, whatever lists they lie in."""
    if isinstance(prepared, np.ndarray):
        yield prepared
        return
    for part in prepared:
        yield from _leaves(part)


def _check(
    encoder: Backbone, precision: str, normals: Sequence[Float32], longest: float | None
) -> None:
    if not isinstance(encoder, Backbone):
        raise SettingError(f"{encoder!r} is no encoder that is exported; give an EAT or a BEATs")
    if precision not in PRECISIONS:
        raise SettingError(f"precision is {precision!r}; it is 'fp32' or 'int8'")
    if precision == "int8" and not len(normals):
        raise SettingError(
            "int8 without normal clips, by which it is calibrated; give some, or take "
            "precision 'fp32'"
        )
    if longest is not None and not is_number(longest, 0.2, 122.8):
        raise SettingError(f"longest is {longest!r}; it is a number of seconds from 0.2 to 122.8")


def _columns(encoder: Backbone, weights: Weights[Any], longest: float | None) -> int:
    """Of the longest clip, 16 frames each."""
    if encoder.frames is not None:
        return encoder.frames // PATCH
    shape = weights.architecture  # BEATs has no table of positions
    stored = shape.columns if isinstance(shape, Architecture) else 0
    if longest is None:
        return max(stored, math.ceil(100 * LONGEST / PATCH))
    return math.ceil(100 * longest / PATCH)


def _numbers(weights: Weights[Any]) -> Callable[[str], NDArray[np.float32]]:
    """Tensors of a file by the encoder's names, in float32."""
    shapes, found = weights.architecture.shapes(), header(weights.path).tensors

    def tensor(name: str) -> NDArray[np.float32]:
        bits = bits_of(weights, name)
        kind = found[weights.key(name)].dtype
        if kind == "BF16":  # the upper half of a float32
            bits = bits.astype(np.uint32) << 16
        numbers = bits.view(np.float16 if kind == "F16" else np.float32)
        return numbers.astype(np.float32, copy=False).reshape(shapes[name])

    return tensor


def _model(encoder: Backbone, weights: Weights[Any], columns: int) -> Any:
    """The graph of an encoder, with the pooling that its settings ask for."""
    shape, kind = weights.architecture, weights.architecture.kind
    if kind not in _GRAPHS:
        raise SettingError(f"{shape.name} is no encoder that is exported; give an EAT or a BEATs")
    if encoder.layer is not None and encoder.layer > shape.depth:
        name = type(encoder).__name__
        raise SettingError(f"{name}.layer is {encoder.layer}; {shape.name} has {shape.depth}")
    with needs("eat", "to export an encoder, PyTorch is needed", WeightsError):
        graphs = import_module(f"nearfar.embedder.onnx.{_GRAPHS[kind]}")
    from nearfar.embedder.onnx.graph import Graph

    graph, tensors = Graph(), _numbers(weights)
    if kind == "beats":
        graphs.refuse_tables(weights.path, shape, tensors)
    x = graphs.tokens(graph, shape, tensors, encoder.layer, columns)
    grid = graph.beyond(x, encoder.leading)
    if encoder._trained:
        row = graph.head(grid, tensors)
    else:
        row = graphs.row(graph, encoder.pooling or "mean", x)
    return graph.model(row, grid, encoder.dim, encoder.grid_dim)


def _facts(encoder: Backbone, weights: Weights[Any], columns: int) -> dict[str, Any]:
    shape = weights.architecture
    return {
        "kind": shape.kind,
        "frames": encoder.frames,
        "dim": encoder.dim,
        "grid_dim": encoder.grid_dim,
        "longest": columns * PATCH,
        "preparation": encoder.preparation,
        "opset": OPSET,
        "source": {
            "name": shape.name,
            "fingerprint": encoder.fingerprint,
            "identity": encoder.identity,
            "precision": encoder.precision,
            "sha256": weights.sha256,
        },
        "nearfar": __version__,
    }
