"""BEATs is the published function: every layer as the official code gave it, and its laws."""

import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from beats_folders import GOLD, content, folder, gold, recording
from nearfar.embedder.beats.architecture import TABLE, BeatsArchitecture, from_config
from nearfar.embedder.beats.features import features
from nearfar.embedder.beats.model import BeatsEncoder, Offsets, buckets, load
from nearfar.embedder.beats.weights import open_weights
from nearfar.testing import noise

TOKEN, MEAN = 5e-5, 2e-5  # what facts/beats.md says is reachable in float32


@pytest.mark.parametrize("case", ["tiny/wav6s", "same/wav6s"])
def test_every_layer_is_that_of_the_official_code(case):
    name, wav = case.split("/")
    encoder, want = load(open_weights(folder(name))), gold(case)["layers"]
    mel = torch.from_numpy(features(recording(wav)[0]))[None]
    with torch.inference_mode():
        for layer, tokens in enumerate(want):  # 0: before the first
            have = encoder(mel, layer)[0].numpy()
            assert have.shape == tokens.shape
            assert np.abs(have - tokens).max() <= TOKEN, layer
            assert np.abs(have.mean(0) - tokens.mean(0)).max() <= MEAN, layer
        assert np.array_equal(encoder(mel)[0].numpy(), have)  # None is the last


def test_the_base_size_has_the_published_names_and_shapes():
    published = json.loads((GOLD / "base_shapes.json").read_text())
    base = BeatsArchitecture()
    assert base.shapes() == {name: tuple(shape) for name, shape in published.items()}
    with torch.device("meta"):
        names = {n: tuple(t.shape) for n, t in BeatsEncoder(base).state_dict().items()}
    assert names == base.shapes()
    assert base.parameters == 90_354_032  # facts/beats.md


def by_hand(offset, number, most):
    """The bucket of one offset, as the facts describe it, in float64."""
    half = number // 2
    exact = half // 2
    first, distance = half * (offset > 0), abs(offset)
    if distance < exact:
        return first + distance
    step = math.log(distance / exact) / math.log(most / exact) * (half - exact)
    return first + min(exact + int(step), half - 1)


def test_buckets_are_those_of_the_formula():
    for shape in (BeatsArchitecture(), BeatsArchitecture(buckets=64, distance=200)):
        have = buckets(1_200, shape).tolist()
        want = [by_hand(i, shape.buckets, shape.distance) for i in range(-1199, 1200)]
        # At an edge float32 and float64 may fall to either side, and by one only.
        apart = [abs(a - b) for a, b in zip(have, want, strict=True)]
        assert max(apart) <= 1
        assert sum(apart) <= 4


def test_rows_of_offsets_are_cut_from_one_line():
    n = 7
    values = torch.randn(3, 2 * n - 1)
    whole = torch.stack([values[:, [k - q + n - 1 for k in range(n)]] for q in range(n)], 1)
    offsets = Offsets(values)
    assert torch.equal(offsets.rows(0, n), whole)
    assert torch.equal(offsets.rows(2, 5), whole[:, 2:5])


def test_a_long_clip_is_attended_in_pieces(monkeypatch):
    encoder = load(open_weights(folder()))
    mel = torch.from_numpy(features(recording("wav6s")[0]))[None]
    with torch.inference_mode():
        whole = encoder(mel)
        monkeypatch.setattr("nearfar.embedder.beats.model.QUERIES", 37)
        assert torch.allclose(encoder(mel), whole, rtol=0, atol=1e-5)


def test_weights_are_the_file_itself():
    """Mapped, not copied: but for the convolution's weight, which is normed."""
    weights = open_weights(folder())
    state = load(weights).state_dict()
    assert state.keys() == weights.architecture.shapes().keys()
    for name, tensor in content()["model"].items():
        assert torch.equal(state[name], tensor), name


def test_frames_that_fill_no_patch_are_not_heard():
    encoder = load(open_weights(folder()))
    mel = torch.from_numpy(features(recording("wav6s")[0]))[None]
    with torch.inference_mode():
        assert torch.equal(encoder(mel), encoder(mel[:, : mel.shape[1] // 16 * 16]))


def test_the_convolution_is_normed_anew_while_it_is_trained():
    encoder = load(open_weights(folder()))
    part = encoder.encoder.pos_conv[0]
    kept = part.weight
    part.weight = None
    part.weight_g.requires_grad_(True)
    assert torch.allclose(part.normed(), kept)
    assert torch.allclose(kept.flatten(0, 1).norm(dim=0), part.weight_g.flatten().abs(), atol=1e-5)
    part(torch.randn(1, 9, 64)).sum().backward()
    assert part.weight_g.grad is not None


def test_dimensions_are_read_off_the_tensors():
    was = content()
    shapes = {name: tuple(t.shape) for name, t in was["model"].items()}
    found = from_config(was["cfg"], shapes)
    assert found.shapes() == shapes
    assert (
        from_config({"max_distance": 200, "deep_norm": True}, shapes) == found
    )  # all else tensors tell
    assert from_config(found.config(), shapes) == found


def reference(shape, tensors, mel):
    """The encoder as the facts describe it, one step a line, in float64."""
    t = {name: value.double() for name, value in tensors.items()}
    fn = torch.nn.functional

    def linear(x, name):
        return fn.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    def norm(x, name):
        weight = t[f"{name}.weight"]
        return fn.layer_norm(x, weight.shape, weight, t[f"{name}.bias"], 1e-5)

    x = fn.conv2d(mel.double()[None, None], t["patch_embedding.weight"], stride=16)
    x = x.flatten(2).transpose(1, 2)  # (1, tokens, embed): time, then band
    x = linear(norm(x, "layer_norm"), "post_extract_proj")
    v, g = (t[f"encoder.pos_conv.0.weight_{part}"] for part in "vg")
    taps = torch.stack(  # each tap by itself
        [g[0, 0, k] * v[..., k] / v[..., k].square().sum().sqrt() for k in range(v.shape[2])], -1
    )
    y = fn.conv1d(x.transpose(1, 2), taps, t["encoder.pos_conv.0.bias"], 1, 64, 1, shape.groups)
    x = norm(x + fn.gelu(y[..., :-1]).transpose(1, 2), "encoder.layer_norm")
    n, heads = x.shape[1], shape.heads
    table = t["encoder.layers.0.self_attn.relative_attention_bias.weight"]
    place = [[by_hand(k - q, shape.buckets, shape.distance) for k in range(n)] for q in range(n)]
    bias = table[torch.tensor(place)].permute(2, 0, 1)  # (heads, queries, keys)
    for i in range(shape.depth):
        name = f"encoder.layers.{i}"
        q, k, v = (
            linear(x, f"{name}.self_attn.{part}_proj").view(n, heads, -1).transpose(0, 1)
            for part in "qkv"
        )
        eight = linear(q, f"{name}.self_attn.grep_linear")
        a, b = torch.sigmoid(eight.view(heads, n, 2, 4).sum(-1)).unbind(-1)
        gate = a * (b * t[f"{name}.self_attn.grep_a"].view(heads, 1) - 1) + 2
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[2]) + gate[..., None] * bias
        mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(1, n, -1)
        alpha = (2 * shape.depth) ** 0.25
        mixed = linear(mixed, f"{name}.self_attn.out_proj")
        x = norm(alpha * x + mixed, f"{name}.self_attn_layer_norm")
        y = linear(fn.gelu(linear(x, f"{name}.fc1")), f"{name}.fc2")
        x = norm(alpha * x + y, f"{name}.final_layer_norm")
    return x[0]


@pytest.mark.parametrize(
    "shape",
    [
        BeatsArchitecture(embed=48, dim=96, depth=4, heads=6, hidden=160, groups=8, buckets=40),
        # All sizes but the number of layers are those that were published.
        BeatsArchitecture(depth=3),
    ],
    ids=["another", "base"],
)
def test_another_size_is_the_formulas(shape):
    draw = torch.Generator().manual_seed(7)
    tensors = {}
    for name, size in shape.shapes().items():
        tensors[name] = torch.randn(size, generator=draw) / math.sqrt(max(1, size[-1]))
        if name.endswith(("norm.weight", "grep_a", "weight_g")):
            tensors[name] = 1 + 0.1 * tensors[name]
        if name.endswith(TABLE):
            tensors[name] = tensors[f"encoder.layers.0.{TABLE}"]
    encoder = BeatsEncoder(shape).eval()
    encoder.load_state_dict(tensors)
    mel = torch.from_numpy(features(noise(1, 2.0, seed=5)[0]))
    with torch.inference_mode():
        want = reference(shape, tensors, mel)
        assert (encoder(mel[None])[0] - want).abs().max() <= TOKEN
