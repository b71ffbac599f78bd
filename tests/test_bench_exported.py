"""The bench of exported encoders: all of it, with a small encoder."""

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("torch")

from bench.exported import LEAST, measured, text

from nearfar.embedder.eat.architecture import Architecture

SMALL = Architecture(16, 2, 2, 32, columns=8)


@pytest.mark.slow
def test_it_says_how_quick_and_how_near(tmp_path):
    got = measured(tmp_path, SMALL, 64)
    assert got["off"]["fp32"] < 1e-5
    assert min(got["cosine"].values()) > 0.99
    said = text(got, SMALL)
    assert "EAT 16×2" in said
    assert said.count("| ONNX ") == len(LEAST)


def test_what_is_too_slow_is_marked():
    got = {
        "times": {"torch": 1.0, "fp32": 2.0, "int8": 1.0}, "off": {"fp32": 0, "int8": 0},
        "cosine": {"fp32": 1, "int8": 1}, "bytes": {"fp32": 1, "int8": 1}, "export": 1,
        "versions": "", "load": None,
    }  # fmt: skip
    assert "0.50 × PyTorch **below 0.9**" in text(got)
    assert "2.00 × ONNX fp32 |" in text(got)
