"""Batches of an encoder: one length at a time, of a size that a device takes, rows in order."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.engines import engine
from nearfar.embedder.infer import ACCELERATED, POOLING, TOKENS, Engine
from nearfar.errors import SettingError

torch = pytest.importorskip("torch")
TINY = Path(__file__).parents[1] / "data" / "eat" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    return Engine(open_weights(TINY), "fp32", "cpu")


def mel(frames, seed=0):
    return np.random.default_rng(seed).standard_normal((frames, 128)).astype(np.float32)


def test_poolings_by_their_words():
    tokens = torch.tensor([[[4.0], [1.0], [3.0]]])  # CLS, then two patches
    pooled = {name: float(head(tokens)[0, 0]) for name, head in POOLING.items()}
    assert pooled == {"mean": 2.0, "cls": 4.0, "mean_all": pytest.approx(8 / 3)}


def test_rows_of_mixed_lengths_come_in_the_order_of_the_clips(tiny):
    mels = [mel(frames, i) for i, frames in enumerate((32, 64, 32, 16, 64))]
    together = tiny(mels, POOLING["mean"], None, None)
    alone = [tiny([m], POOLING["mean"], None, None)[0] for m in mels]
    assert np.allclose(together, alone, atol=1e-5)


def test_a_batch_on_the_cpu_always_has_the_same_number_of_clips(tiny, monkeypatch):
    shapes = []
    encoder = tiny.encoder
    monkeypatch.setattr(
        tiny, "encoder", lambda x, layer: shapes.append(tuple(x.shape)) or encoder(x, layer)
    )
    tiny([mel(32, i) for i in range(5)], POOLING["mean"], None, 4)
    assert shapes == [(4, 32, 128)] * 2


@pytest.mark.parametrize("frames", [16, 1024, 4096])
def test_a_batch_has_as_many_tokens_as_a_device_takes(tiny, frames, monkeypatch):
    tokens = 1 + frames // 16 * 8
    for device, most in (("cpu", TOKENS["fp32"]), ("cuda", ACCELERATED)):
        monkeypatch.setattr(tiny, "_accelerated", device == "cuda")
        clips = tiny._size(frames)
        assert clips == 1 or clips * tokens <= most < (clips + 1) * tokens


def test_cores_take_batches_of_a_small_encoder_side_by_side(tiny, monkeypatch):
    """One thread a batch, whose own number no other thread sees; the bits are those of a queue."""
    seen, encoder = [], tiny.encoder
    here = threading.get_ident()

    def watched(x, layer):
        seen.append((threading.get_ident() == here, torch.get_num_threads()))
        return encoder(x, layer)

    monkeypatch.setattr(tiny, "encoder", watched)
    mels = [mel(frames, i) for i, frames in enumerate((32, 64, 32, 16, 64, 32))]
    with threadpool_limits(3, user_api="openmp"):
        before = torch.get_num_threads()
        rows = tiny(mels, POOLING["mean"], None, 2)
        assert torch.get_num_threads() == before == 3
        assert seen == [(False, 1)] * 4
        seen.clear()
        monkeypatch.setattr(tiny, "_apart", False)  # as of a large one
        assert (tiny(mels, POOLING["mean"], None, 2) == rows).all()
        assert seen == [(True, 3)] * 4


def test_no_clips_are_one_line(tiny):
    with pytest.raises(SettingError, match="no clips to encode"):
        tiny([], POOLING["mean"], None, None)


def test_an_encoder_is_loaded_once_and_anew_when_its_file_changes(tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((TINY / name).read_bytes())
    first = engine(open_weights(tmp_path), "fp32", "cpu")
    assert engine(open_weights(tmp_path), "fp32", "cpu") is first
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, (1, 1))
    assert engine(open_weights(tmp_path), "fp32", "cpu") is not first
