"""Weights of 8 bits: near the rows of 32, nearer for what normal clips said, and small."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

import nearfar as nf
from beats_folders import folder as beats
from conftest import TINY
from nearfar.embedder.onnx.exporting import export
from nearfar.embedder.onnx.quantise import MOST, quantised
from nearfar.runtime.runtime import Runtime
from onnx_folders import exported, mel

CPU = Runtime(device="cpu")


def cosines(a, b):
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(axis=1) / lengths


def model(precision):
    return onnx.load(str(exported(precision) / "encoder.onnx"))


def test_rows_of_other_clips_point_where_they_did():
    eat, made = nf.EAT(str(TINY)), nf.OnnxEncoder(str(exported("int8")))
    mels = [mel(128, seed) for seed in range(50, 58)]
    rows = eat.encode(mels, CPU), made.encode(mels, CPU)
    assert cosines(*rows).min() > 0.999
    assert made.opened().facts["calibration"]["cosine"] > 0.999


def test_normal_clips_take_the_mean_error_off():
    """What is left of it, of other clips, is less than it was."""
    eat, made = nf.EAT(str(TINY)), nf.OnnxEncoder(str(exported("int8")))
    mels = [mel(128, seed) for seed in range(50, 58)]
    (taken,) = (
        onnx.numpy_helper.to_array(numbers)
        for numbers in model("int8").graph.initializer
        if numbers.name == "row_error"
    )
    error = made.encode(mels, CPU) - eat.encode(mels, CPU)
    assert np.linalg.norm(error, axis=1).mean() < 0.6 * np.linalg.norm(error - taken, axis=1).mean()
    grids = zip(made.grids(mels, CPU), eat.grids(mels, CPU), strict=True)
    left = np.mean([(now - was).mean(axis=(0, 1)) for now, was in grids], axis=0)
    assert np.abs(left).max() < 0.05


def test_only_products_with_weights_in_blocks_have_8_bits():
    kinds = [node.op_type for node in model("int8").graph.node]
    shape = nf.EAT(str(TINY)).opened().architecture
    assert kinds.count("MatMulInteger") == 4 * shape.depth
    assert "LayerNormalization" in kinds
    assert "Softmax" in kinds
    sizes = [(exported(p) / "encoder.onnx").stat().st_size for p in ("int8", "fp32")]
    assert sizes[0] < 0.75 * sizes[1]  # of a tiny encoder, most of which is its positions


def test_weights_leave_room_for_two_products_in_16_bits():
    """As processors without products of 8 bits add them: there 255 · 127 · 2 would overflow."""
    whole = [
        onnx.numpy_helper.to_array(numbers)
        for numbers in model("int8").graph.initializer
        if numbers.data_type == onnx.TensorProto.INT8 and len(numbers.dims) == 2
    ]
    assert whole
    assert max(np.abs(some.astype(int)).max() for some in whole) <= 64


def test_of_many_normals_some_are_heard():
    many = [mel(16, seed) for seed in range(MOST + 9)]
    _, said = quantised(model("fp32"), many)
    assert said["clips"] == MOST
    _, said = quantised(model("fp32"), many[:1])
    assert said["clips"] == 1
    assert said["cosine"] > 0.999


@pytest.mark.slow
def test_beats_too(tmp_path):
    encoder = nf.BEATs(beats())
    normals = [mel(64, seed) for seed in range(4)]
    made = export(encoder, tmp_path, precision="int8", normals=normals)
    mels = [mel(64, seed) for seed in range(50, 53)]
    assert cosines(encoder.encode(mels, CPU), made.encode(mels, CPU)).min() > 0.998
