"""Checkpoints in fairseq's layouts become the published one; no code in a pickle runs."""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from conftest import DATA, TINY
from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import StorageError

torch = pytest.importorskip("torch")

from checkpoints import leaves_nothing, pretrain_names, refused, same, save
from nearfar.embedder.eat.convert import convert

GOLD = DATA / "eat"


TUNED = GOLD / "tiny_finetune"


IMAGE = "modality_encoders.IMAGE."


NORM = f"{IMAGE}context_encoder.norm."


TABLE = "fixed_positional_encoder.positions"


@pytest.fixture
def model():
    """What is under "model" in a pre-training checkpoint of the tiny encoder."""
    state = pretrain_names(load_file(TINY / "model.safetensors"))
    for i in range(3):
        state[f"{IMAGE}decoder.blocks.{i}.0.weight"] = torch.randn(64, 4, 5, 5)
        state[f"{IMAGE}decoder.blocks.{i}.0.bias"] = torch.randn(64)
    state[f"{IMAGE}decoder.proj.weight"] = torch.randn(64, 64)
    state["_ema"] = {name: value + 1 for name, value in state.items()}
    return state


# ---- layouts -------------------------------------------------------------------------------------


def test_fine_tuned_layout(tmp_path):
    weights = convert(TUNED / "fairseq_layout.pt", tmp_path / "out", TUNED / "config.json")
    same(tmp_path / "out", TUNED)
    # The reference implementation wrote the gold file: header, order and numbers are its.
    assert weights.path.read_bytes() == (TUNED / "model.safetensors").read_bytes()
    assert weights.architecture == open_weights(TUNED).architecture
    config = json.loads((tmp_path / "out/config.json").read_text())
    official = json.loads((TUNED / "config.json").read_text())
    assert config.items() <= official.items()
    leaves_nothing(tmp_path, ["out"])


def test_pretraining_layout(tmp_path, model):
    """Decoder and teacher are dropped, the context encoder's norm is kept."""
    checkpoint = save(tmp_path / "pt.pt", model)
    weights = convert(checkpoint, tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out")
    assert weights.path.read_bytes() == (TINY / "model.safetensors").read_bytes()
    assert weights.architecture == open_weights(TINY).architecture


def test_published_names_in_a_pytorch_file(tmp_path):
    tensors = load_file(TINY / "model.safetensors")
    torch.save({k: torch.from_numpy(v) for k, v in tensors.items()}, tmp_path / "m.bin")
    convert(tmp_path / "m.bin", tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out")


@pytest.mark.filterwarnings("ignore")
def test_the_older_file_format(tmp_path, model):
    content = {"model": model, "cfg": None}
    torch.save(content, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    convert(tmp_path / "old.pt", tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_float32(tmp_path, model, dtype):
    half = {k: v.to(dtype) if isinstance(v, torch.Tensor) else v for k, v in model.items()}
    weights = convert(save(tmp_path / "h.pt", half), tmp_path / "out", TINY / "config.json")
    assert weights.dtypes == ("F32",)
    have, want = load_file(weights.path), load_file(TINY / "model.safetensors")
    for name, value in want.items():
        assert np.array_equal(have[name], torch.from_numpy(value).to(dtype).float().numpy())


def test_views_and_parameters(tmp_path, model):
    key = "blocks.0.attn.qkv.weight"
    model[key] = torch.nn.Parameter(model[key].T.contiguous()).T  # not contiguous, with gradient
    convert(save(tmp_path / "p.pt", dict(model)), tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out")


# ---- traps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_the_norm_before_the_blocks_is_never_skipped(tmp_path, model, name):
    del model[NORM + name]
    checkpoint = save(tmp_path / "pt.pt", model)
    call = lambda: convert(checkpoint, tmp_path / "out", TINY / "config.json")  # noqa: E731
    refused(call, f"context_encoder.norm.{name}")
    leaves_nothing(tmp_path, ["pt.pt"])


@pytest.mark.parametrize(
    "extra",
    ["surprise", f"{IMAGE}alibi_bias", f"{IMAGE}blocks.0.norm1.weight", "modality_encoders.AUDIO.x",
     f"{IMAGE}context_encoder.blocks.0.norm1.weight", "blocks.0.norm3.weight", "fc_norm.gain",
     "blocks.2.norm1.weight", "decoder", f"{IMAGE}pre_norm.weight", "head.scale"],
)  # fmt: skip
def test_a_tensor_nobody_knows(tmp_path, model, extra):
    model[extra] = torch.zeros(64)
    checkpoint = save(tmp_path / "pt.pt", model)
    call = lambda: convert(checkpoint, tmp_path / "out", TINY / "config.json")  # noqa: E731
    refused(call, "depth" if extra.startswith("blocks.2") else extra)
    leaves_nothing(tmp_path, ["pt.pt"])


def test_one_tensor_under_two_names(tmp_path, model):
    model["model.blocks.0.norm1.bias"] = torch.zeros(64)
    checkpoint = save(tmp_path / "pt.pt", model)
    refused(lambda: convert(checkpoint, tmp_path / "o", TINY / "config.json"), "second tensor")


@pytest.mark.parametrize("value", [3, None, {"a": 1}, torch.zeros(64, dtype=torch.int64)])
def test_what_is_no_tensor_of_numbers(tmp_path, model, value):
    model["blocks.0.norm1.bias"] = value
    checkpoint = save(tmp_path / "pt.pt", model)
    refused(
        lambda: convert(checkpoint, tmp_path / "o", TINY / "config.json"), "blocks.0.norm1.bias"
    )


def test_numbers_that_are_none(tmp_path, model):
    model["blocks.0.norm1.bias"][3] = float("nan")
    checkpoint = save(tmp_path / "pt.pt", model)
    refused(lambda: convert(checkpoint, tmp_path / "o", TINY / "config.json"), "not finite")
    leaves_nothing(tmp_path, ["pt.pt"])


@pytest.mark.parametrize("columns", [0, 64])
@pytest.mark.parametrize("half", [False, True])
def test_a_short_position_table_is_completed(tmp_path, model, columns, half):
    key = IMAGE + TABLE
    table = model.pop(key)
    if columns:
        model[key] = table[:, : columns * 8].half() if half else table[:, : columns * 8]
    convert(save(tmp_path / "s.pt", model), tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out", **{TABLE: positions(64, 128)})  # as many columns as its config says


def test_without_a_config_the_table_is_as_long_as_the_published_one(tmp_path, model):
    checkpoint = save(tmp_path / "s.pt", model, cfg={"model": {"num_heads": 4}})
    weights = convert(checkpoint, tmp_path / "out")
    assert weights.architecture == Architecture(64, 2, 4, 256, columns=768)
    assert np.array_equal(load_file(weights.path)[f"model.{TABLE}"], positions(64, 768))


def test_a_learned_table_is_not_replaced(tmp_path, model):
    model[IMAGE + TABLE] = model[IMAGE + TABLE][:, :512] + 0.1
    checkpoint = save(tmp_path / "s.pt", model)
    refused(lambda: convert(checkpoint, tmp_path / "o", TINY / "config.json"), "max_length = 64")


# ---- what the checkpoint says --------------------------------------------------------------------


def test_heads_are_asked_for(tmp_path, model):
    checkpoint = save(tmp_path / "pt.pt", model)
    refused(lambda: convert(checkpoint, tmp_path / "out"), "num_heads", "--config")
    leaves_nothing(tmp_path, ["pt.pt"])


@pytest.mark.parametrize(
    "parts",
    [
        {"cfg": {"model": {"num_heads": 4, "norm_eps": 1e-5}}},
        {"cfg": {"model": {"num_heads": None, "pretrained_model_args":
                           {"model": {"num_heads": 4, "norm_eps": 1e-5}}}}},
        {"cfg": None, "args": argparse.Namespace(num_heads=4, norm_eps=1e-5)},
    ],
)  # fmt: skip
def test_heads_in_the_checkpoint(tmp_path, model, parts):
    weights = convert(save(tmp_path / "pt.pt", model, **parts), tmp_path / "out")
    assert (weights.architecture.heads, weights.architecture.norm_eps) == (4, 1e-5)


def test_a_checkpoint_we_do_not_compute(tmp_path, model):
    cfg = {"model": {"num_heads": 4, "layer_norm_first": True}}
    checkpoint = save(tmp_path / "pt.pt", model, cfg=cfg)
    refused(lambda: convert(checkpoint, tmp_path / "out"), "layer_norm_first = True")


def test_published_widths_need_no_config(tmp_path):
    shape = Architecture(768, 1, 12, 3072, columns=2)
    tensors = {n: np.zeros(s, np.float32) for n, s in shape.shapes().items()}
    tensors[TABLE] = positions(768, 2)
    checkpoint = save(tmp_path / "b.pt", pretrain_names(tensors))
    assert convert(checkpoint, tmp_path / "out").architecture.heads == 12


def test_another_encoders_config(tmp_path, model):
    checkpoint = save(tmp_path / "pt.pt", model)
    refused(lambda: convert(checkpoint, tmp_path / "o", TUNED / "config.json"), "config")
    refused(lambda: convert(checkpoint, tmp_path / "o", tmp_path / "none.json"), "none.json")


# ---- code in a pickle ----------------------------------------------------------------------------


class Code:
    """os.system with a command that leaves a mark."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("place", ["extra_state", "last_optimizer_state", "cfg", "model"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_code_in_a_checkpoint_is_not_run(tmp_path, model, place, zipped):
    mark = tmp_path / "ran"
    content = {"model": model, "cfg": None} | {place: {"x": Code(mark)}}
    path = tmp_path / "evil.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(lambda: convert(path, tmp_path / "out", TINY / "config.json"), "run code", "system")
    assert not mark.exists()
    leaves_nothing(tmp_path, ["evil.pt"])
    # The file does what it is made for, where it is trusted: the test has teeth.
    torch.load(path, weights_only=False)
    assert mark.exists()


def test_code_in_a_bare_pickle_is_not_run(tmp_path):
    import pickle

    mark = tmp_path / "ran"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "evil.pt").write_bytes(pickle.dumps(Code(mark), protocol))
        refused(lambda: convert(tmp_path / "evil.pt", tmp_path / "out"), "evil.pt")
    assert not mark.exists()


def test_a_harmless_type_is_a_stand_in(tmp_path, model):
    """Numbers of NumPy in the training state are common; nothing of theirs is run or needed."""
    state = {"best": np.float64(1.5), "args": argparse.Namespace(x=1), "n": np.float32(2)}
    checkpoint = save(tmp_path / "pt.pt", model, extra_state=state)
    convert(checkpoint, tmp_path / "out", TINY / "config.json")
    same(tmp_path / "out")


def test_another_type_is_named(tmp_path, model):
    checkpoint = save(tmp_path / "pt.pt", model, extra_state={"x": Path("a")})
    refused(lambda: convert(checkpoint, tmp_path / "o", TINY / "config.json"), "pathlib", "Posix")


# ---- files and folders ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    return tmp_path_factory.mktemp("cut")


WHOLE = (TUNED / "fairseq_layout.pt").read_bytes()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, len(WHOLE) - 1))
def test_truncated_anywhere(cut, length):
    (cut / "c.pt").write_bytes(WHOLE[:length])
    refused(lambda: convert(cut / "c.pt", cut / "out", TUNED / "config.json"), "c.pt")
    leaves_nothing(cut, ["c.pt"])


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"<html>", b"\0" * 4096])
def test_no_checkpoint(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    refused(lambda: convert(tmp_path / "c.pt", tmp_path / "out"), "c.pt")


def test_no_such_file(tmp_path):
    refused(lambda: convert(tmp_path / "none.pt", tmp_path / "out"), "none.pt", "no such file")
    refused(lambda: convert(tmp_path, tmp_path / "out"), "is a folder")


@pytest.mark.parametrize("content", [[1, 2], {"model": {}}, {}, {"model": 3}, {1: torch.zeros(1)}])
def test_a_pickle_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "c.pt")
    refused(lambda: convert(tmp_path / "c.pt", tmp_path / "out"), "c.pt")


def test_safetensors_are_no_checkpoint(tmp_path):
    refused(lambda: convert(TINY / "model.safetensors", tmp_path / "out"), "model.safetensors")


def test_a_place_that_is_taken(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("file", "full"):
        refused(lambda n=name: make(tmp_path / n), name, "a new folder", error=StorageError)
    assert make(tmp_path / "empty").path == tmp_path / "empty" / "model.safetensors"
    leaves_nothing(tmp_path, ["file", "full", "empty"])


def make(out):
    return convert(TUNED / "fairseq_layout.pt", out, TUNED / "config.json")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    from nearfar.embedder import conversion as module

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_tensors", full)
    refused(lambda: make(tmp_path / "deep" / "out"), "No space left", error=StorageError)
    leaves_nothing(tmp_path / "deep", [])


def test_interrupted_leaves_nothing(tmp_path, monkeypatch):
    from nearfar.embedder import conversion as module

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out")
    leaves_nothing(tmp_path, [])
