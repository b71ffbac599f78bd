"""EAT as a graph of ONNX operators: the function of `nearfar.embedder.eat.model`, of one clip.

This file imports onnx; import it inside functions only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.eat.architecture import POSITIONS, PROJECTION, ROWS, Architecture, positions
from nearfar.embedder.onnx.graph import Graph, Tensors, within
from nearfar.errors import SettingError

NEAR = 1e-2  # how far a stored table may be from the formula, as where torch runs


def tokens(graph: Graph, shape: Architecture, tensors: Tensors, layer: int | None, columns: int
           ) -> str:  # fmt: skip
    """All tokens behind a block, CLS first: (1 + columns · 8, dim).

    Args:
        graph: to which it is added; its input is "columns".
        shape: of the encoder.
        tensors: its numbers.
        layer: behind which block; None is the last.
        columns: of the longest clip.

    Raises:
        SettingError: positions of the file's own that cannot be continued to that length.
    """
    weight = tensors(f"{PROJECTION}.weight").reshape(shape.dim, -1)
    x = graph.linear(graph.patches("columns"), weight, tensors(f"{PROJECTION}.bias"))
    table = _table(shape, tensors, columns).reshape(columns, ROWS, shape.dim)
    count = graph.op("Shape", "columns", start=0, end=1)
    used = graph.first(graph.constant(table), count)
    x = graph.op("Add", x, graph.op("Reshape", used, graph.whole(-1, shape.dim)))
    cls = graph.constant(tensors("extra_tokens")[0])  # (1, dim), without a position
    x = graph.norm(graph.op("Concat", cls, x, axis=0), tensors, "pre_norm", shape.norm_eps)
    for i in range(shape.depth if layer is None else layer):
        graph.within = f"block{i}_"
        x = _block(graph, shape, within(tensors, f"blocks.{i}."), x)
    graph.within = ""
    return x


def row(graph: Graph, pooling: str, x: str) -> str:
    """All tokens → one row, by the pooling of that name."""
    if pooling == "cls":
        return graph.op("Squeeze", graph.first(x, graph.whole(1)), graph.whole(0))
    return graph.mean(x if pooling == "mean_all" else graph.beyond(x, 1))


def _block(graph: Graph, shape: Architecture, tensors: Tensors, x: str) -> str:
    """Each norm comes after its sum (post-LN)."""
    y = _attention(graph, shape, tensors, x)
    x = graph.norm(graph.op("Add", x, y), tensors, "norm1", shape.norm_eps)
    y = graph.linear(x, tensors("mlp.fc1.weight"), tensors("mlp.fc1.bias"))
    y = graph.linear(graph.gelu(y), tensors("mlp.fc2.weight"), tensors("mlp.fc2.bias"))
    return graph.norm(graph.op("Add", x, y), tensors, "norm2", shape.norm_eps)


def _attention(graph: Graph, shape: Architecture, tensors: Tensors, x: str) -> str:
    weight, bias = tensors("attn.qkv.weight").copy(), tensors("attn.qkv.bias").copy()
    # Scores are divided by the root of a head's size: queries have that in their weights.
    scale = np.float32(1 / math.sqrt(shape.dim // shape.heads))
    weight[: shape.dim] *= scale
    bias[: shape.dim] *= scale
    qkv = graph.linear(x, weight, bias)
    q, k, v = graph.split(qkv, 3, axis=1)
    q = graph.split_heads(q, shape.heads, (1, 0, 2))
    k = graph.split_heads(k, shape.heads, (1, 2, 0))  # transposed
    v = graph.split_heads(v, shape.heads, (1, 0, 2))
    mixed = graph.mixed(graph.op("MatMul", q, k), v, shape.dim)
    return graph.linear(mixed, tensors("attn.proj.weight"), tensors("attn.proj.bias"))


def _table(shape: Architecture, tensors: Tensors, columns: int) -> NDArray[np.float32]:
    """Positions of the first columns; the formula's, where the stored table is too short."""
    stored = tensors(POSITIONS)
    patches = columns * ROWS
    if patches <= stored.shape[1]:
        return stored[:, :patches]
    longer = positions(shape.dim, columns)
    have = stored.shape[1]
    if not np.allclose(longer[:, :have], stored, atol=NEAR):
        raise SettingError(
            f"longest is {columns * 0.16:.1f} s; these weights have positions of their own for "
            f"{have // ROWS * 0.16:.1f} s, which cannot be continued: export no more than that"
        )
    return np.concatenate([stored, longer[:, have:]], axis=1)
