"""Checkpoints of BEATs: read without running code, every name and shape checked."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

torch = pytest.importorskip("torch")

import nearfar as nf
from beats_folders import GOLD, TINY, changed, content
from checkpoints import leaves_nothing, pretrain_names, refused, save
from conftest import DATA
from conftest import TINY as EAT_TINY
from nearfar.embedder.beats.architecture import TAPS_V
from nearfar.embedder.beats.convert import convert
from nearfar.embedder.encoders import encoder_of, kind_of, kind_of_checkpoint
from nearfar.errors import StorageError

FIRST = "encoder.layers.0.self_attn."


def test_a_checkpoint_becomes_a_folder_with_its_own_tensors(tmp_path):
    weights = convert(TINY, tmp_path / "out")
    have = load_file(tmp_path / "out" / "model.safetensors")
    want = content()["model"]
    assert have.keys() == want.keys()
    for name, tensor in want.items():
        assert np.array_equal(have[name], tensor.numpy()), name
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "beats"
    assert kind_of(tmp_path / "out") == "beats"
    assert encoder_of(tmp_path / "out") == nf.BEATs(str(tmp_path / "out"))
    assert weights.architecture.name == "BEATs 64×3"
    leaves_nothing(tmp_path, ["out"])


def test_what_a_checkpoint_is_stands_in_it(tmp_path):
    assert kind_of_checkpoint(TINY) == "beats"
    assert kind_of_checkpoint(DATA / "eat" / "tiny_finetune" / "fairseq_layout.pt") == "eat"
    old = tmp_path / "old.pt"
    torch.save(content(), old, _use_new_zipfile_serialization=False)
    assert kind_of_checkpoint(old) == "beats"
    assert convert(old, tmp_path / "out").architecture.depth == 3


def test_the_head_of_a_fine_tuned_one_is_dropped_and_said(tmp_path):
    with pytest.warns(nf.NearfarWarning, match="predictor.weight and predictor.bias.*are left out"):
        convert(GOLD / "tiny_finetuned" / "checkpoint.pt", tmp_path / "out")
    assert not any("predictor" in n for n in load_file(tmp_path / "out" / "model.safetensors"))


def test_half_precision_and_newer_names_are_read(tmp_path):
    was = content()
    half = {name: tensor.half() for name, tensor in was["model"].items()}
    newer = "encoder.pos_conv.0.parametrizations.weight.original"
    half[f"{newer}0"] = half.pop("encoder.pos_conv.0.weight_g")
    half[f"{newer}1"] = half.pop("encoder.pos_conv.0.weight_v")
    torch.save({"cfg": was["cfg"], "model": half}, tmp_path / "half.pt")
    convert(tmp_path / "half.pt", tmp_path / "out")
    have = load_file(tmp_path / "out" / "model.safetensors")
    for name, tensor in was["model"].items():
        assert have[name].dtype == np.float32
        assert np.array_equal(have[name], tensor.half().float().numpy()), name


class Bomb:
    def __reduce__(self):
        return eval, ("open('exploded', 'w').close()",)


def test_a_checkpoint_with_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(content() | {"extra": Bomb()}, "bomb.pt")
    assert kind_of_checkpoint(tmp_path / "bomb.pt") == "beats"
    refused(lambda: convert(tmp_path / "bomb.pt", tmp_path / "out"), "would run code", "eval")
    leaves_nothing(tmp_path, ["bomb.pt"])


def test_a_plain_pickle_with_code_is_called_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        Path("bomb.pt").write_bytes(pickle.dumps({"cfg": {}, "model": Bomb()}, protocol))
        refused(lambda: convert(Path("bomb.pt"), Path("out")), "would run code", "eval")
    leaves_nothing(tmp_path, ["bomb.pt"])


def test_settings_that_no_tensor_tells_are_asked_for(tmp_path):
    """Of tensors alone nobody knows them; what the base size has would be another encoder."""
    torch.save(content()["model"], tmp_path / "x.pt")
    refused(lambda: convert(tmp_path / "x.pt", tmp_path / "out"), "no config says max_distance")
    (tmp_path / "config.json").write_text(json.dumps(content()["cfg"]))
    weights = convert(tmp_path / "x.pt", tmp_path / "out", tmp_path / "config.json")
    assert weights.architecture == convert(TINY, tmp_path / "other").architecture


BROKEN = {
    "missing": ({"drop": ("layer_norm.weight",)}, "'layer_norm.weight' is missing"),
    "a layer": ({"drop": (f"{FIRST}grep_a",)}, "grep_a' is missing"),
    "unknown": ({"quantize": torch.zeros(3)}, "'quantize' is none of a BEATs"),
    "shape": ({"encoder__layers__1__fc1__bias": torch.zeros(5)}, "fc1.bias' is (5,), need (128,)"),
    "integers": ({"layer_norm__bias": torch.zeros(32).int()}, "need floating point"),
    "no tensor": ({"layer_norm__bias": "words"}, "none of a BEATs' tensors"),
    "infinite": ({"layer_norm__bias": torch.full((32,), torch.inf)}, "not finite"),
    "tables": (
        {"encoder__layers__2__self_attn__relative_attention_bias__weight": torch.ones(64, 4)},
        "one table for all layers",
    ),
    "pre-norm": ({"cfg": {"layer_norm_first": True}}, "layer_norm_first = True; only False"),
    "no gate": ({"cfg": {"gru_rel_pos": False}}, "gru_rel_pos = False; only True"),
    "depth": ({"cfg": {"encoder_layers": 12}}, "encoder_layers = 12, the tensors 3"),
    "heads": (
        {"cfg": {"encoder_attention_heads": 8}},
        "encoder_attention_heads = 8, the tensors 4",
    ),
    "distance": ({"cfg": {"max_distance": "far"}}, "max_distance of the encoder is 'far'"),
    "a tensor": ({"cfg": {"num_buckets": torch.zeros(3)}}, "the tensors 64"),
    "sparse": ({"layer_norm__bias": torch.zeros(32).to_sparse()}, "need a dense tensor"),
    "no length": ({TAPS_V.replace(".", "__"): torch.zeros(64, 16, 32)}, "that it cannot have"),
    "near": ({"cfg": {"max_distance": 3}}, "num_buckets 64 with max_distance 3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_not_a_whole_beats_is_refused(name, tmp_path):
    change, words = BROKEN[name]
    path = changed(tmp_path / "x.pt", **change)
    refused(lambda: convert(path, tmp_path / "out"), path, words)
    leaves_nothing(tmp_path, ["x.pt"])


def test_an_eat_is_called_one(tmp_path):
    path = save(tmp_path / "eat.pt", pretrain_names(load_file(EAT_TINY / "model.safetensors")))
    refused(lambda: convert(path, tmp_path / "out"), "has the tensors of EAT, not of a BEATs")
    from nearfar.embedder.eat.convert import convert as to_eat

    refused(lambda: to_eat(TINY, tmp_path / "out"), "has the tensors of BEATs, not of an EAT")


def test_no_checkpoint_at_all(tmp_path):
    for content_ in (b"", b"words", b"PK\x03\x04", bytes(100)):
        (tmp_path / "x.pt").write_bytes(content_)
        refused(lambda: convert(tmp_path / "x.pt", tmp_path / "out"), "no PyTorch checkpoint")
    refused(lambda: convert(tmp_path / "none.pt", tmp_path / "out"), "no such file")
    refused(lambda: convert(tmp_path, tmp_path / "out"), "is a folder; give the .pt file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    refused(lambda: convert(TINY, tmp_path / "out"), "has files in it", error=StorageError)


def test_a_truncated_folder_is_refused(tmp_path):
    convert(TINY, tmp_path / "out")
    file = tmp_path / "out" / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        refused(lambda: nf.BEATs(str(tmp_path / "out")).dim, file)
    shutil.rmtree(tmp_path / "out")
    refused(lambda: nf.BEATs(str(tmp_path / "out")).dim, "BEATs_iter3.pt")
