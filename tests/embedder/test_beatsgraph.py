"""BEATs' graph: kernels of odd and even length, and offsets of any number of tokens."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from nearfar.embedder.beats.architecture import BeatsArchitecture
from nearfar.embedder.beats.model import BeatsEncoder
from nearfar.embedder.onnx.beatsgraph import tokens
from nearfar.embedder.onnx.graph import Graph
from nearfar.embedder.onnx.runner import made_of
from onnx_folders import mel


@pytest.mark.parametrize(("taps", "embed", "columns"), [(4, 8, 3), (5, 16, 7), (128, 16, 20)])
def test_tokens_are_those_of_torch(taps, embed, columns):
    """Also of encoders without a layer between the patches and the blocks."""
    shape = BeatsArchitecture(
        embed=embed, dim=16, depth=2, heads=2, hidden=32, taps=taps, groups=4, buckets=16,
        distance=20,
    )  # fmt: skip
    torch.manual_seed(0)
    encoder = BeatsEncoder(shape).requires_grad_(False)
    for name, x in encoder.named_parameters():
        x.normal_(1 if "norm.weight" in name else 0, 0.3)
    first = encoder.encoder.layers[0].self_attn.relative_attention_bias.weight
    encoder.encoder.layers[1].self_attn.relative_attention_bias.weight.copy_(first)
    state = encoder.state_dict()
    graph = Graph()
    x = tokens(graph, shape, lambda name: state[name].numpy(), None, 20)
    session = made_of(graph.model(x, x, 1, 16).SerializeToString(), "a test")
    heard = mel(16 * columns)
    (found,) = session.run(["grid"], {"columns": heard.reshape(-1, 16, 128)})
    want = encoder(torch.from_numpy(heard)[None])[0].numpy()
    assert np.allclose(found, want, rtol=1e-4, atol=1e-5)
