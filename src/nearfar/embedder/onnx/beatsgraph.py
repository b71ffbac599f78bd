"""BEATs as a graph of ONNX operators: the function of `nearfar.embedder.beats.model`, of one clip.

This file imports onnx and torch; import it inside functions only.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nearfar.embedder.beats import model
from nearfar.embedder.beats.architecture import GATES, TABLE, TAPS_G, TAPS_V, BeatsArchitecture
from nearfar.embedder.beats.model import EPS, buckets
from nearfar.embedder.onnx.graph import Graph, Tensors, within

ROWS = 8


def tokens(graph: Graph, shape: BeatsArchitecture, tensors: Tensors, layer: int | None,
           columns: int) -> str:  # fmt: skip
    """All tokens behind a layer, (columns · 8, dim).

    Args:
        graph: to which it is added; its input is "columns".
        shape: of the encoder.
        tensors: its numbers.
        layer: behind which layer; None is the last.
        columns: of the longest clip.
    """
    weight = tensors("patch_embedding.weight").reshape(shape.embed, -1)
    x = graph.linear(graph.patches("columns"), weight, None)
    x = graph.norm(x, tensors, "layer_norm", EPS)
    if shape.embed != shape.dim:
        name = "post_extract_proj"
        x = graph.linear(x, tensors(f"{name}.weight"), tensors(f"{name}.bias"))
    x = graph.op("Add", x, _convolved(graph, shape, tensors, x))
    x = graph.norm(x, tensors, "encoder.layer_norm", EPS)
    offsets = _offsets(graph, shape, tensors, columns, x)
    for i in range(shape.depth if layer is None else layer):
        graph.within = f"block{i}_"
        x = _layer(graph, shape, within(tensors, f"encoder.layers.{i}."), x, offsets)
    graph.within = ""
    return x


def row(graph: Graph, pooling: str, x: str) -> str:
    """All tokens → one row; "mean" is the only pooling."""
    return graph.mean(x)


def refuse_tables(path: Path, shape: BeatsArchitecture, tensors: Tensors) -> None:
    """Relative positions are one table for all layers, as `nearfar.embedder.beats.model` has it.

    Raises:
        WeightsError: two tables differ.
    """
    names = [f"encoder.layers.{i}.{TABLE}" for i in range(shape.depth)]
    model.refuse_tables(path, {name: torch.tensor(tensors(name)) for name in names})


def _convolved(graph: Graph, shape: BeatsArchitecture, tensors: Tensors, x: str) -> str:
    """Positions: a grouped convolution over tokens, its weight normed for each tap."""
    v = torch.tensor(tensors(TAPS_V))
    length = torch.linalg.vector_norm(v, dim=(0, 1), keepdim=True)
    weight = (torch.tensor(tensors(TAPS_G)) * v / length).numpy()
    turned = graph.op("Unsqueeze", graph.op("Transpose", x, perm=[1, 0]), graph.whole(0))
    half = shape.taps // 2
    # An even kernel gives one more than went in, at the end: there is one less to reach over.
    y = graph.op(
        "Conv", turned, graph.constant(weight), graph.constant(tensors("encoder.pos_conv.0.bias")),
        group=shape.groups, kernel_shape=[shape.taps], pads=[half, half - 1 + shape.taps % 2],
    )  # fmt: skip
    return graph.op("Transpose", graph.op("Squeeze", graph.gelu(y), graph.whole(0)), perm=[1, 0])


def _offsets(graph: Graph, shape: BeatsArchitecture, tensors: Tensors, columns: int, x: str) -> str:
    """Each head's number of each query and key, (heads, tokens, tokens); one for all layers."""
    most = columns * ROWS
    table = tensors(f"encoder.layers.0.{TABLE}")  # (buckets, heads)
    values = table[buckets(most, shape).numpy()].T  # of key − query = 1 − most on
    count = graph.op("Squeeze", graph.op("Shape", x, start=0, end=1), graph.whole(0))
    zero, one = (graph.constant(np.array(n, np.int64)) for n in (0, 1))
    place = graph.op("Range", zero, count, one)
    keys = graph.op("Unsqueeze", place, graph.whole(0))
    queries = graph.op("Unsqueeze", place, graph.whole(1))
    offset = graph.op("Add", graph.op("Sub", keys, queries), graph.whole(most - 1))
    return graph.op("Gather", graph.constant(values), offset, axis=1)


def _layer(graph: Graph, shape: BeatsArchitecture, tensors: Tensors, x: str, offsets: str) -> str:
    """Each norm comes after a sum whose first term is enlarged (DeepNorm)."""
    alpha = graph.number(shape.alpha)
    y = _attention(graph, shape, tensors, x, offsets)
    total = graph.op("Add", graph.op("Mul", x, alpha), y)
    x = graph.norm(total, tensors, "self_attn_layer_norm", EPS)
    y = graph.linear(x, tensors("fc1.weight"), tensors("fc1.bias"))
    y = graph.linear(graph.gelu(y), tensors("fc2.weight"), tensors("fc2.bias"))
    total = graph.op("Add", graph.op("Mul", x, alpha), y)
    return graph.norm(total, tensors, "final_layer_norm", EPS)


def _attention(graph: Graph, shape: BeatsArchitecture, tensors: Tensors, x: str, offsets: str
               ) -> str:  # fmt: skip
    q, k, v = (
        graph.linear(x, tensors(f"self_attn.{n}.weight"), tensors(f"self_attn.{n}.bias"))
        for n in ("q_proj", "k_proj", "v_proj")
    )
    q = graph.split_heads(q, shape.heads, (1, 0, 2))
    gate = _gate(graph, tensors, q)
    scale = graph.number(1 / math.sqrt(shape.dim // shape.heads))
    k = graph.split_heads(k, shape.heads, (1, 2, 0))  # transposed
    scores = graph.op("MatMul", graph.op("Mul", q, scale), k)
    scores = graph.op("Add", scores, graph.op("Mul", gate, offsets))
    mixed = graph.mixed(scores, graph.split_heads(v, shape.heads, (1, 0, 2)), shape.dim)
    name = "self_attn.out_proj"
    return graph.linear(mixed, tensors(f"{name}.weight"), tensors(f"{name}.bias"))


def _gate(graph: Graph, tensors: Tensors, q: str) -> str:
    """How much of the positions each query takes, (heads, tokens, 1)."""
    weight, bias = (tensors(f"self_attn.grep_linear.{part}") for part in ("weight", "bias"))
    # Two sums of four outputs each, as one product with the sums of their weights.
    pair = weight.reshape(2, GATES // 2, -1).sum(1), bias.reshape(2, GATES // 2).sum(1)
    both = graph.op("Sigmoid", graph.linear(q, *pair))  # (heads, tokens, 2)
    a, b = graph.split(both, 2, axis=2)
    own: NDArray[np.float32] = tensors("self_attn.grep_a")[0]  # (heads, 1, 1)
    inner = graph.op("Sub", graph.op("Mul", b, graph.constant(own)), graph.number(1))
    return graph.op("Add", graph.op("Mul", a, inner), graph.number(2))
