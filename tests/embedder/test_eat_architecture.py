"""What an EAT is: sizes, names, the position table, what a config may say."""

import hashlib
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import DATA, TINY
from eat_folders import configure, refused, tiny_in
from nearfar.embedder.eat.architecture import Architecture, from_config, positions
from nearfar.embedder.eat.weights import file_size, open_weights

GOLD = DATA / "eat"


LARGE = Architecture(dim=1024, depth=24, heads=16, hidden=4096)


BASE = Architecture(dim=768, depth=12, heads=12, hidden=3072)


TABLE = "fixed_positional_encoder.positions"


@pytest.fixture
def folder(tmp_path):
    return tiny_in(tmp_path)


@pytest.fixture
def tensors():
    return load_file(TINY / "model.safetensors")


# ---- what an EAT is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "parameters", "tensors", "size"),
    [(LARGE, 308_867_072, 294, 1_235_498_104), (BASE, 89_972_736, 150, 359_905_840)],
)
def test_sizes_of_the_published_files(shape, parameters, tensors, size):
    """Counts and bytes as the hub states them."""
    assert shape.parameters == parameters
    assert len(shape.shapes()) == tensors
    assert file_size(shape) == size
    assert math.prod(shape.shapes()[TABLE]) == 6144 * shape.dim


def test_size_of_a_fine_tuned_file():
    assert replace(LARGE, classes=527).parameters == 309_409_295
    assert len(replace(LARGE, classes=527).shapes()) == 298


@pytest.mark.parametrize("name", ["tiny", "tiny_finetune"])
def test_reads_what_the_official_code_wrote(name):
    weights = open_weights(GOLD / name)
    stored = load_file(GOLD / name / "model.safetensors")
    config = json.loads((GOLD / name / "config.json").read_text())
    shape = weights.architecture
    assert (shape.dim, shape.depth) == (config["embed_dim"], config["depth"])
    assert (shape.heads, shape.columns) == (config["num_heads"], config["max_length"])
    assert {weights.key(n): s for n, s in shape.shapes().items()} == {
        n: t.shape for n, t in stored.items()
    }
    assert file_size(shape) == weights.path.stat().st_size
    assert weights.sha256 == hashlib.sha256(weights.path.read_bytes()).hexdigest()
    assert open_weights(str(weights.path)) == weights


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        (LARGE, "EAT-large pretrained"),
        (replace(BASE, classes=527), "EAT-base fine-tuned on AudioSet (527 classes)"),
        (Architecture(64, 2, 4, 256), "EAT 64×2 pretrained"),
    ],
)
def test_names(shape, name):
    assert shape.name == name


@pytest.mark.parametrize("shape", [LARGE, replace(BASE, classes=527, norm_eps=1e-5, columns=64)])
def test_a_config_says_all(shape):
    assert from_config(json.loads(json.dumps(shape.config())), shape.shapes()) == shape


# ---- the position table --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "tiny_finetune"])
def test_position_table_of_the_published_files(name):
    """To float32's accuracy of the largest angle: a CPU's sine is its own in the last bit."""
    stored = load_file(GOLD / name / "model.safetensors")[f"model.{TABLE}"]
    columns = stored.shape[1] // 8
    made = positions(stored.shape[2], columns)
    assert made.dtype == np.float32
    assert made.shape == stored.shape
    assert np.abs(made - stored).max() <= columns * 2.0**-23


def test_position_table_of_the_large_encoder():
    """Mel index first, then time; the formula in float64 to float32's accuracy of an angle."""
    table = positions(1024, 768)[0]
    patch = np.arange(6144)
    omega = 10_000.0 ** (-np.arange(256) / 256)
    mel, time = (patch % 8)[:, None] * omega, (patch // 8)[:, None] * omega
    want = np.concatenate([np.sin(mel), np.cos(mel), np.sin(time), np.cos(time)], axis=1)
    assert np.abs(table - want).max() < 768 * 2.0**-22
    assert np.array_equal(table[:512], positions(1024, 64)[0])  # a shorter one is its beginning


# ---- the config ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layer_norm_first", True), ("norm_affine", False), ("qkv_bias", False),
        ("fixed_positions", False), ("patch_size", 8), ("stride", 10), ("mel_bins", 64),
        ("in_chans", 3), ("in_chans", True), ("act_layer", "gelu_tanh"), ("num_extra_tokens", 2),
        ("img_size", [1024, 64]),
        ("embed_dim", 96), ("depth", 12), ("mlp_ratio", 2.0), ("mlp_ratio", float("nan")),
        ("num_heads", 3), ("num_heads", 0), ("num_heads", "4"), ("num_heads", True),
        ("norm_eps", 0), ("norm_eps", "small"), ("model_variant", "finetune"),
    ],
)  # fmt: skip
def test_a_config_we_do_not_compute(folder, field, value):
    shown = {"num_heads": ("heads",), "model_variant": ("finetune", "no head")}
    refused(lambda: open_weights(configure(folder, **{field: value})), *shown.get(field, (field,)))


def test_heads_are_never_guessed(folder):
    refused(lambda: open_weights(configure(folder, without=["num_heads"])), "num_heads", "64")
    assert from_config({}, LARGE.shapes()).heads == 16
    assert from_config({}, BASE.shapes()).heads == 12
    refused(lambda: from_config({}, replace(LARGE, dim=512, heads=8).shapes()), "num_heads")


def test_a_config_of_another_model(folder):
    refused(lambda: open_weights(configure(folder, model_type="beats")), "not an EAT", "beats")


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "3"])
def test_a_config_that_is_none(folder, text):
    (folder / "config.json").write_text(text)
    refused(lambda: open_weights(folder), "config.json")


def test_a_config_of_bytes(folder):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    refused(lambda: open_weights(folder), "config.json", "no text")


def test_classes_must_agree(tmp_path):
    shutil.copytree(GOLD / "tiny_finetune", tmp_path / "w")
    config = json.loads((GOLD / "tiny_finetune/config.json").read_text())
    for wrong in ({"num_classes": 527}, {"model_variant": "pretrain"}):
        (tmp_path / "w/config.json").unlink()
        (tmp_path / "w/config.json").write_text(json.dumps(config | wrong))
        refused(lambda: open_weights(tmp_path / "w"), *wrong)


def test_sslam_has_the_parameters_of_an_eat_in_its_base_size():
    # As others counted them in ta012/SSLAM_pretrain, whose code calls itself EAT.
    assert Architecture(768, 12, 12, 3072).parameters == 89_972_736
