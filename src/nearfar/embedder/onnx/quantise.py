"""Weights of 8 bits: a quarter of the bytes, and products of whole numbers.

Weights have 7 bits and a scale for each output: where a processor has no products of 8 bits made
for this (VNNI), sums of two such products keep within the 16 bits that it has for them. What is
multiplied with them has a scale for each clip and product, found while it runs: it needs no normal
clips. They say what is left: the mean error of the rows, and of the tokens, is taken off.

This file imports onnx and onnxruntime; import it inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from nearfar.embedder.onnx.runner import made_of

Float64 = NDArray[np.float64]

HOW = "weights of 7 bits by output, activations of 8 bits by clip, mean error of normals taken off"
MOST = 32  # normals that are heard for it, evenly chosen
OUTPUTS = ("row", "grid")
# onnxruntime asks for a pass of its own before, which changes nothing in these graphs.
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")


def quantised(model: Any, normals: Sequence[NDArray[np.float32]]) -> tuple[Any, dict[str, Any]]:
    """The model with products of whole numbers in its blocks, and what that cost.

    Args:
        model: what `Graph.model` gave; the patches, the norms and a head stay as they are.
        normals: log-mels, (frames, 128) each, at least one.

    Returns:
        the model, and how it was calibrated: "clips" heard, and the least "cosine" between rows of
        it and of the model as it was, over those clips that took no part in the correction (over
        the only one, which did).
    """
    chosen = [normals[i] for i in np.linspace(0, len(normals) - 1, MOST).astype(int)]
    heard = chosen if len(normals) > MOST else list(normals)
    made = _with_whole_numbers(model)
    was, now = (_rows(some, heard) for some in (model, made))
    fitted = slice(None, None, 2)
    errors = {name: (was[name] - now[name])[fitted].mean(axis=0) for name in OUTPUTS}
    judged = slice(1, None, 2) if len(heard) > 1 else slice(None)
    cosine = _cosines(was["row"][judged], (now["row"] + errors["row"])[judged]).min()
    for name, error in errors.items():
        _add(made, name, error.astype(np.float32))
    return made, {"how": HOW, "clips": len(heard), "cosine": round(float(cosine), 6)}


def _with_whole_numbers(model: Any) -> Any:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    known = {constant.name for constant in model.graph.initializer}
    products = [
        node.name
        for node in model.graph.node
        if node.op_type == "MatMul" and node.name.startswith("block") and node.input[1] in known
    ]
    marked = onnx.ModelProto()
    marked.CopyFrom(model)
    marked.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "quantised.onnx")
        quantize_dynamic(
            marked, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            nodes_to_quantize=products,
        )  # fmt: skip
        made = onnx.load(str(path))
    del made.metadata_props[:]
    made.producer_name, made.producer_version = model.producer_name, model.producer_version
    return made


def _rows(model: Any, mels: Sequence[NDArray[np.float32]]) -> dict[str, Float64]:
    """Each clip's row, and the mean of its tokens."""
    session = made_of(model.SerializeToString(), "the model that is calibrated")
    rows = []
    for mel in mels:
        row, grid = session.run(OUTPUTS, {"columns": mel.reshape(len(mel) // 16, 16, -1)})
        rows.append((row.astype(np.float64), grid.mean(axis=0, dtype=np.float64)))
    return {
        name: np.stack(some) for name, some in zip(OUTPUTS, zip(*rows, strict=True), strict=True)
    }


def _cosines(a: Float64, b: Float64) -> Float64:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: Float64 = np.einsum("cd,cd->c", a, b) / np.where(lengths > 0, lengths, 1)
    return found


def _add(model: Any, output: str, numbers: NDArray[np.float32]) -> None:
    """Add numbers to what comes out under a name."""
    (last,) = (node for node in model.graph.node if list(node.output) == [output])
    model.graph.initializer.append(numpy_helper.from_array(numbers, f"{output}_error"))
    source = last.input[0]
    model.graph.node.remove(last)
    model.graph.node.append(helper.make_node("Add", [source, f"{output}_error"], [output], output))
