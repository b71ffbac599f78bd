"""Graphs of ONNX operators, put together one operator after another; of one clip, tokens in rows.

What encoders share is here: products, norms, GELU, attention's parts, and the head that nearfar
trains. Operators are those of opset 17 alone, in the patterns that runtimes fuse.

This file imports onnx; import it inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from nearfar.embedder.onnx.modelfile import IR, OPSET
from nearfar.version import __version__

Tensors = Callable[[str], NDArray[np.float32]]  # by the encoder's names
VARIANCE_FLOOR = 1e-7  # of `nearfar.embedder.trunk`, which loads torch: a test compares
NORM_EPS = 1e-5  # of PyTorch's BatchNorm
LENGTH_FLOOR = 1e-12  # of its `normalize`


class Graph:
    """Operators and constants in the order in which they were added.

    >>> graph = Graph()
    >>> graph.op("Relu", graph.constant(np.zeros(3, np.float32)))
    'relu_1'
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.within = ""  # begins the names of what is added

    def op(self, kind: str, *inputs: str, **settings: Any) -> str:
        """Add an operator: the name of what it gives."""
        name = f"{self.within}{kind.lower()}_{len(self.nodes) + len(self.constants)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name, **settings))
        return name

    def split(self, x: str, parts: int, axis: int) -> list[str]:
        """Equal parts along an axis."""
        name = f"{self.within}split_{len(self.nodes) + len(self.constants)}"
        names = [f"{name}_{i}" for i in range(parts)]
        self.nodes.append(helper.make_node("Split", [x], names, name, axis=axis))
        return names

    def constant(self, array: NDArray[Any]) -> str:
        """Add numbers."""
        name = f"{self.within}numbers_{len(self.nodes) + len(self.constants)}"
        whole = np.ascontiguousarray(array)
        self.constants.append(numpy_helper.from_array(whole, name))
        return name

    def number(self, value: float) -> str:
        """Add one float."""
        return self.constant(np.array(value, np.float32))

    def whole(self, *values: int) -> str:
        """Add whole numbers, as places and shapes are given."""
        return self.constant(np.array(values, np.int64))

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
        """(…, in) → (…, out), of a weight (out, in)."""
        y = self.op("MatMul", x, self.constant(weight.T))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def norm(self, x: str, tensors: Tensors, name: str, eps: float) -> str:
        """LayerNorm over the last axis."""
        scale, shift = (self.constant(tensors(f"{name}.{part}")) for part in ("weight", "bias"))
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=eps)

    def gelu(self, x: str) -> str:
        """The exact one, x · ½ (1 + erf(x / √2))."""
        erf = self.op("Erf", self.op("Div", x, self.number(math.sqrt(2))))
        wide = self.op("Mul", x, self.op("Add", erf, self.number(1)))
        return self.op("Mul", wide, self.number(0.5))

    def split_heads(self, x: str, heads: int, order: Sequence[int]) -> str:
        """(tokens, dim) → (tokens, heads, head dim), its axes in another order."""
        apart = self.op("Reshape", x, self.whole(0, heads, -1))
        return self.op("Transpose", apart, perm=list(order))

    def mixed(self, scores: str, v: str, width: int) -> str:
        """Values (heads, tokens, head dim) weighted by scores → (tokens, dim)."""
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), v)
        return self.op(
            "Reshape", self.op("Transpose", mixed, perm=[1, 0, 2]), self.whole(-1, width)
        )

    def first(self, x: str, count: str, axis: int = 0) -> str:
        """The first so many along an axis."""
        return self.op("Slice", x, self.whole(0), count, self.whole(axis))

    def beyond(self, x: str, start: int) -> str:
        """All rows but the first ones."""
        if not start:
            return x
        last = np.iinfo(np.int64).max
        return self.op("Slice", x, self.whole(start), self.whole(last), self.whole(0))

    def mean(self, x: str) -> str:
        """(tokens, dim) → (dim,)."""
        return self.op("ReduceMean", x, axes=[0], keepdims=0)

    def patches(self, columns: str) -> str:
        """(columns, 16 frames, 128 mels) → (columns · 8, 256): a row for each patch."""
        cut = self.op("Reshape", columns, self.whole(0, 16, 8, 16))
        turned = self.op("Transpose", cut, perm=[0, 2, 1, 3])
        return self.op("Reshape", turned, self.whole(-1, 256))

    def head(self, x: str, tensors: Tensors) -> str:
        """The embedding that nearfar trained: (tokens, dim) → (out,), of length 1."""
        hidden = self.linear(x, tensors("pooling.hidden.weight"), tensors("pooling.hidden.bias"))
        tanh = self.op("Tanh", hidden)
        score = self.linear(tanh, tensors("pooling.score.weight"), tensors("pooling.score.bias"))
        weights = self.op("Softmax", score, axis=0)  # (tokens, 1)
        mean = self._weighted(weights, x)
        off = self.op("Sub", x, mean)
        variance = self._weighted(weights, self.op("Mul", off, off))
        sd = self.op("Sqrt", self.op("Add", variance, self.number(VARIANCE_FLOOR)))
        y = self.op("Concat", mean, sd, axis=1)  # (1, 2 · dim)
        y = self.op("Relu", self.linear(y, *_normed(tensors)))
        y = self.linear(y, tensors("projection.out.weight"), tensors("projection.out.bias"))
        length = self.op("ReduceL2", y, axes=[1], keepdims=1)
        unit = self.op("Div", y, self.op("Max", length, self.number(LENGTH_FLOOR)))
        return self.op("Squeeze", unit, self.whole(0))

    def _weighted(self, weights: str, x: str) -> str:
        return self.op("ReduceSum", self.op("Mul", weights, x), self.whole(0), keepdims=1)

    def model(self, row: str, grid: str, dim: int, grid_dim: int) -> onnx.ModelProto:
        """The whole, with its two outputs.

        Args:
            row: what comes out as the clip's row, (dim,).
            grid: what comes out as its tokens, (columns · 8, grid_dim).
            dim: of the row.
            grid_dim: of a token.
        """
        self.within = ""
        self.nodes += [
            helper.make_node("Identity", [row], ["row"], "row"),
            helper.make_node("Identity", [grid], ["grid"], "grid"),
        ]
        floats = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info("columns", floats, ["columns", 16, 128])],
            [
                helper.make_tensor_value_info("row", floats, [dim]),
                helper.make_tensor_value_info("grid", floats, ["tokens", grid_dim]),
            ],
            self.constants,
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR)
        model.producer_name, model.producer_version = "nearfar", __version__
        return model


def within(tensors: Tensors, prefix: str) -> Tensors:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return lambda name: tensors(prefix + name)


def _normed(tensors: Tensors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The hidden layer of the projection with the BatchNorm behind it, as one product."""
    norm = {
        part: tensors(f"projection.norm.{part}").astype(np.float64)
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    factor = norm["weight"] / np.sqrt(norm["running_var"] + NORM_EPS)
    weight = tensors("projection.hidden.weight") * factor[:, None]
    bias = (tensors("projection.hidden.bias") - norm["running_mean"]) * factor + norm["bias"]
    return weight.astype(np.float32), bias.astype(np.float32)
