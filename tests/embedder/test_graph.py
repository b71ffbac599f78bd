"""Operators put together: each gives what NumPy or torch gives for it."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from nearfar.embedder import trunk
from nearfar.embedder.onnx import graph as graphs
from nearfar.embedder.onnx.graph import Graph, within
from nearfar.embedder.onnx.runner import made_of

RNG = np.random.default_rng(0)


def given(build, columns=2):
    """What a graph makes of its input: `build(graph, flat)` gets it as (columns, 2048)."""
    graph = Graph()
    flat = graph.op("Reshape", "columns", graph.whole(0, -1))
    row = build(graph, flat)
    model = graph.model(row, flat, 1, 2048)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    x = RNG.standard_normal((columns, 16, 128)).astype(np.float32)
    (found,) = made_of(model.SerializeToString(), "a test").run(["row"], {"columns": x})
    return x.reshape(columns, -1), found


def test_gelu_is_the_exact_one():
    x, found = given(lambda graph, flat: graph.gelu(flat))
    assert np.allclose(found, torch.nn.functional.gelu(torch.from_numpy(x)), atol=1e-6)


def test_rows_are_cut_from_either_end():
    x, found = given(lambda graph, flat: graph.beyond(flat, 1), columns=5)
    assert np.array_equal(found, x[1:])
    x, found = given(lambda graph, flat: graph.first(flat, graph.whole(2)), columns=5)
    assert np.array_equal(found, x[:2])


def test_patches_are_those_of_the_encoder():
    x, found = given(lambda graph, _: graph.patches("columns"), columns=3)
    cut = torch.from_numpy(x).view(1, 3, 16, 8, 16).transpose(2, 3).reshape(24, 256)
    assert np.array_equal(found, cut)


def test_a_head_is_that_of_torch():
    pooling, projection = trunk.make_head(2048, (8, 16, 4))
    projection.eval()
    with torch.no_grad():
        projection.norm.running_mean.normal_()
        projection.norm.running_var.uniform_(0.5, 2)
        projection.norm.weight.normal_()
    state = {f"pooling.{n}": x for n, x in pooling.state_dict().items()}
    state |= {f"projection.{n}": x for n, x in projection.state_dict().items()}
    x, found = given(lambda graph, flat: graph.head(flat, lambda name: state[name].numpy()), 9)
    with torch.no_grad():
        want = projection(pooling(torch.from_numpy(x)[None]))[0]
    assert np.allclose(found, want, atol=1e-6)


def test_small_numbers_are_those_of_torch():
    assert graphs.VARIANCE_FLOOR == trunk.VARIANCE_FLOOR
    assert torch.nn.BatchNorm1d(1).eps == graphs.NORM_EPS


def test_names_within_a_block():
    assert within(lambda name: np.array([len(name)]), "blocks.0.")("norm")[0] == 13
