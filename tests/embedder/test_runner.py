"""Sessions are kept, bounded, and give the same bits with any number of threads."""

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("torch")

from conftest import refused
from nearfar.embedder.onnx import runner
from nearfar.embedder.onnx.modelfile import open_model
from nearfar.embedder.onnx.runner import made_of, session, threads
from nearfar.errors import WeightsError
from onnx_folders import exported, mel


def test_one_is_kept_as_long_as_there_is_room(monkeypatch):
    monkeypatch.setattr(runner, "_kept", {})
    monkeypatch.setattr(runner, "_bytes", {})
    file, other = open_model(exported()), open_model(exported("int8"))
    first = session(file)
    assert session(file) is first
    monkeypatch.setattr(runner, "MOST", file.path.stat().st_size)
    assert session(other) is not first
    assert session(file) is not first  # which had to go


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_threads_change_no_bit(monkeypatch, precision):
    data = (exported(precision) / "encoder.onnx").read_bytes()
    found = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        assert threads() == int(count)
        columns = mel(336).reshape(-1, 16, 128)
        found.append(made_of(data, "a test").run(["row", "grid"], {"columns": columns}))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_threads_are_left_to_onnxruntime_where_nobody_says(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert threads() == 0
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() == 0


def test_what_cannot_be_run_is_one_line():
    assert "cannot run it" in refused(lambda: made_of(b"none", "a.onnx"), error=WeightsError)
