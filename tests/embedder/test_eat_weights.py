"""Weights on disk: what is taken, and one line for each way in which they can be wrong."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from conftest import DATA
from nearfar.embedder.eat.architecture import Architecture, from_config, positions
from nearfar.embedder.eat.weights import file_size, header, open_weights
from nearfar.errors import WeightsError

GOLD = DATA / "eat"
TINY = GOLD / "tiny"
LARGE = Architecture(dim=1024, depth=24, heads=16, hidden=4096)
BASE = Architecture(dim=768, depth=12, heads=12, hidden=3072)
TABLE = "fixed_positional_encoder.positions"


def refused(call, *words):
    """A WeightsError of one line that has these words."""
    with pytest.raises(WeightsError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert str(word) in line, line
    return line


@pytest.fixture
def folder(tmp_path):
    """A copy of the tiny encoder, to be spoiled."""
    copy = tmp_path / "weights"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(GOLD / "tiny" / name, copy / name)
    return copy


@pytest.fixture
def tensors():
    return load_file(GOLD / "tiny" / "model.safetensors")


def configure(folder, without=(), **fields):
    config = json.loads((GOLD / "tiny" / "config.json").read_text()) | fields
    config = {k: v for k, v in config.items() if k not in without}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def store(folder, tensors, metadata=None):
    save_file(tensors, folder / "model.safetensors", metadata=metadata)
    return folder


# ---- what an EAT is --------------------------------------------------------------------------


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


# ---- the position table ------------------------------------------------------------------------


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


# ---- the config --------------------------------------------------------------------------------


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


# ---- where -------------------------------------------------------------------------------------


def test_a_file_that_carries_its_config(folder, tensors):
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text('{"num_heads": 1}')
    store(folder, tensors, {"format": "pt", "config": config})
    alone = folder.parent / "alone.safetensors"
    shutil.move(folder / "model.safetensors", alone)
    assert open_weights(alone).architecture == open_weights(GOLD / "tiny").architecture
    assert open_weights(str(alone)).metadata["config"] == config


def test_a_folder_without_config(folder):
    (folder / "config.json").unlink()
    refused(lambda: open_weights(folder), "config.json")
    refused(lambda: open_weights(folder / "model.safetensors"), "config.json")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "EAT-large_epoch20_pt.pt"])
def test_a_folder_with_a_pickle_only(folder, name):
    (folder / "model.safetensors").rename(folder / name)
    refused(lambda: open_weights(folder), name, "nearfar weights convert")
    refused(lambda: open_weights(folder / name), name, "nearfar weights convert")


def test_a_folder_without_tensors(folder):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    refused(lambda: open_weights(folder), "other.safetensors", "rename")
    (folder / "other.safetensors").unlink()
    refused(lambda: open_weights(folder), "model.safetensors")


@pytest.mark.parametrize(
    "reference",
    ["", " ", "nothing", "./no/where", "/no/where", "~/no/where", "a/b/c", "no\0thing", "a/b.pt",
     "x/y.safetensors", "../up", "owner/name@", Path("owner/name"), "ö/ü", "x" * 5000],
)  # fmt: skip
def test_neither_folder_nor_hub_id(reference, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # must not be asked
    refused(lambda: open_weights(reference), "no such folder or file")


def hub(monkeypatch, download):
    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


def test_a_hub_id(monkeypatch):
    asked = []

    def download(name, revision, allow_patterns):
        asked.append((name, revision, sorted(allow_patterns)))
        return str(GOLD / "tiny")

    hub(monkeypatch, download)
    assert open_weights("owner/EAT-x") == open_weights(GOLD / "tiny")
    open_weights("owner/EAT-x@1109aaae")
    files = ["config.json", "model.safetensors"]
    assert asked == [("owner/EAT-x", None, files), ("owner/EAT-x", "1109aaae", files)]


def test_a_hub_that_fails(monkeypatch):
    def download(name, revision, allow_patterns):
        raise RuntimeError("no\nnetwork " + "!" * 1000)

    hub(monkeypatch, download)
    line = refused(
        lambda: open_weights("owner/name"), "owner/name", "no network", "model.safetensors"
    )
    assert len(line) < 500


def test_no_hub_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    refused(lambda: open_weights("owner/name"), "pip install nearfar[eat]")


def test_offline_is_honoured(tmp_path):
    pytest.importorskip("huggingface_hub")
    code = (
        "from nearfar.embedder.eat.weights import open_weights\n"
        "try: open_weights('owner/name')\n"
        "except ValueError as error: print(error)\n"
    )
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert "download config.json and model.safetensors" in done.stdout


def test_no_torch_is_loaded():
    code = (
        "import sys\nfrom nearfar.embedder.eat.weights import open_weights\n"
        f"open_weights({str(GOLD / 'tiny')!r}).fingerprint\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- what is in the file -----------------------------------------------------------------------


def test_prefix_is_optional(folder, tensors):
    store(folder, {k.removeprefix("model."): v for k, v in tensors.items()})
    weights = open_weights(folder)
    assert weights.key("pre_norm.bias") == "pre_norm.bias"
    assert weights.architecture == open_weights(GOLD / "tiny").architecture


def test_half_a_prefix(folder, tensors):
    tensors["pre_norm.bias"] = tensors.pop("model.pre_norm.bias")
    refused(lambda: open_weights(store(folder, tensors)), "'model.pre_norm.bias' is missing")
    tensors["model.pre_norm.bias"] = tensors["pre_norm.bias"]
    refused(lambda: open_weights(store(folder, tensors)), "'pre_norm.bias' is none of an EAT's")


@pytest.mark.parametrize("name", sorted(Architecture(64, 2, 4, 256).shapes()))
def test_each_missing_tensor_is_named(folder, tensors, name):
    del tensors[f"model.{name}"]
    refused(lambda: open_weights(store(folder, tensors)), f"'model.{name}'", "missing (1 of 30)")


def test_many_missing_tensors_are_counted(folder, tensors):
    kept = {k: v for k, v in tensors.items() if "pre_norm" not in k and "norm2" not in k}
    refused(lambda: open_weights(store(folder, kept)), "missing (6 of 30)")


def test_a_missing_block(folder, tensors):
    kept = {k: v for k, v in tensors.items() if "blocks.1." not in k}
    refused(lambda: open_weights(store(folder, kept)), "depth = 2", "1")
    far = {k.replace("blocks.1.", "blocks.999999999."): v for k, v in tensors.items()}
    refused(lambda: open_weights(store(folder, far)), "blocks.1.", "missing")


@pytest.mark.parametrize("extra", ["model.gate", "model.blocks.0.attn.bias", "model.blocks.x.y"])
def test_a_tensor_too_many(folder, tensors, extra):
    tensors[extra] = np.zeros(2, np.float32)
    configure(folder, without=["depth"])
    refused(lambda: open_weights(store(folder, tensors)), "tensor 'model.")


@pytest.mark.parametrize(
    "extra",
    ["_ema.blocks.0.norm1.weight", "modality_encoders.IMAGE.extra_tokens", "decoder.proj.weight",
     "model.modality_encoders.IMAGE.decoder.proj.bias"],
)  # fmt: skip
def test_fairseq_layouts_get_a_hint(folder, tensors, extra):
    tensors[extra] = np.zeros(2, np.float32)
    refused(lambda: open_weights(store(folder, tensors)), "fairseq", "nearfar weights convert")


@pytest.mark.parametrize("name", sorted(Architecture(64, 2, 4, 256).shapes()))
def test_each_wrong_shape_is_refused(folder, tensors, name):
    value = tensors[f"model.{name}"]
    for wrong in (np.concatenate([value, value], axis=-1), value[None], value[..., :0]):
        refused(lambda w=wrong: open_weights(store(folder, tensors | {f"model.{name}": w})))


@pytest.mark.parametrize("columns", [1, 64, 768, 900])
def test_any_length_of_the_position_table(folder, tensors, columns):
    tensors[f"model.{TABLE}"] = positions(64, columns)
    assert open_weights(store(folder, tensors)).architecture.columns == columns


def test_half_a_column(folder, tensors):
    tensors[f"model.{TABLE}"] = positions(64, 9)[:, :-3]
    refused(lambda: open_weights(store(folder, tensors)), TABLE, "(1, 69, 64)")


def test_another_model(folder):
    beats = {
        "encoder.layers.0.self_attn.q_proj.weight": np.zeros((4, 4), np.float32),
        "post_extract_proj.weight": np.zeros((4, 4), np.float32),
    }
    refused(lambda: open_weights(store(folder, beats)), "not an EAT")
    refused(lambda: open_weights(store(folder, {})), "not an EAT", "no tensors")


def test_half_precision_is_noted(folder, tensors):
    half = {k: v.astype(np.float16) for k, v in tensors.items()}
    weights = open_weights(store(folder, half))
    assert weights.dtypes == ("F16",)
    assert file_size(weights.architecture, "F16", metadata={}) == weights.path.stat().st_size


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float64, np.bool_])
def test_other_numbers_are_refused(folder, tensors, dtype):
    name = "model.blocks.0.mlp.fc1.weight"
    tensors[name] = np.ones(tensors[name].shape, dtype)
    refused(lambda: open_weights(store(folder, tensors)), name, "F32, F16, BF16")


# ---- the file itself ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cut")
    shutil.copyfile(GOLD / "tiny" / "config.json", folder / "config.json")
    return folder


WHOLE = (GOLD / "tiny" / "model.safetensors").read_bytes()


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.integers(0, 4000), st.integers(0, len(WHOLE) - 1)))
def test_truncated_anywhere(cut, length):
    (cut / "model.safetensors").write_bytes(WHOLE[:length])
    refused(lambda: open_weights(cut), "model.safetensors", "download")


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2791), st.binary(min_size=1, max_size=6))
def test_a_damaged_header_is_read_or_refused(cut, where, damage):
    content = WHOLE[:where] + damage + WHOLE[where + len(damage) :]
    (cut / "model.safetensors").write_bytes(content)
    with contextlib.suppress(WeightsError):  # and nothing else
        open_weights(cut)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes(cut, content):
    (cut / "model.safetensors").write_bytes(content)
    refused(lambda: open_weights(cut))


def pack(fields, data=b""):
    text = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        (10**9).to_bytes(8, "little") + b"{" * 50,
        (2**64 - 1).to_bytes(8, "little") + b"{}",
        pack({"a": entry(shape=[2])}, b"1234"),
        pack({"a": entry(offsets=[-4, 0])}),
        pack({"a": entry(offsets=[0, 4, 8])}, b"1234"),
        pack({"a": entry(offsets=[4, 8])}, b"12345678"),
        pack({"a": entry(), "b": entry()}, b"1234"),
        pack({"a": entry(), "b": entry(offsets=[2, 6])}, b"123456"),
        pack({"a": entry(dtype="F31")}, b"1234"),
        pack({"a": entry(shape=[2**62, 4])}, b"1234"),
        pack({"a": entry()}, b"12345"),
        pack([]),
        pack({"a": entry(shape=[True])}, b"1234"),
        pack({"a": entry(shape=[1.0])}, b"1234"),
        pack({"a": entry(shape=1)}, b"1234"),
        pack({"a": entry(dtype=4)}, b"1234"),
        pack({"a": None}),
        pack({"__metadata__": {"a": 1}}),
        pack({"__metadata__": 1}),
        pack(b'{"a":%b,"a":%b}' % (2 * (json.dumps(entry()).encode(),)), b"1234"),
        pack(b'{"a":' * 50_000),
        pack(b'{"a":"\xff"}'),
        b"<html>not found</html>",
    ],
)
def test_headers_that_are_none(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    line = refused(
        lambda: header(folder / "model.safetensors"), "or damaged (", "download it again"
    )
    assert line.startswith(str(folder / "model.safetensors"))
    assert len(line) < len(str(folder)) + 300


def test_a_pointer_is_called_one(folder):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1235498104\n"
    (folder / "model.safetensors").write_text(text)
    refused(lambda: header(folder / "model.safetensors"), "a git-LFS pointer", "download it again")


def test_a_header_too_long_is_not_read(tmp_path):
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.write((150_000_000).to_bytes(8, "little") + b"{")
        file.truncate(200_000_000)  # takes no space on the disk
    refused(lambda: header(tmp_path / "a.safetensors"), "header too large", "download it again")


def test_a_header_as_long_as_a_pickle_begins(tmp_path):
    """0x0280 bytes: the file begins as a pickle of protocol 2 does."""
    text = json.dumps({"__metadata__": {"a": ""}})
    text = text.replace('""', '"' + "x" * (0x280 - len(text)) + '"')
    (tmp_path / "a.safetensors").write_bytes(pack(text.encode()))
    assert (tmp_path / "a.safetensors").read_bytes()[:2] == b"\x80\x02"
    assert header(tmp_path / "a.safetensors").tensors == {}


def test_a_pickle_by_another_name_is_not_run(folder):
    import pickle

    class Code:
        def __reduce__(self):
            return os.system, (f"touch {folder / 'ran'}",)

    (folder / "model.safetensors").write_bytes(pickle.dumps(Code()))
    refused(lambda: open_weights(folder), "pickle", "not loaded")
    (folder / "model.safetensors").write_bytes(
        (GOLD / "tiny_finetune/fairseq_layout.pt").read_bytes()
    )
    refused(lambda: open_weights(folder), "pickle", "nearfar weights convert")
    assert not (folder / "ran").exists()


def test_a_folder_of_that_name(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()
    refused(lambda: open_weights(folder), "model.safetensors")
    refused(lambda: header(folder / "model.safetensors"), "no file")


def test_fingerprint_is_of_bytes_and_use(folder, tensors):
    before = open_weights(folder)
    fingerprint = before.fingerprint
    assert fingerprint == open_weights(GOLD / "tiny").fingerprint
    other_heads = open_weights(configure(folder, num_heads=2))
    assert other_heads.sha256 == before.sha256
    assert other_heads.fingerprint != fingerprint
    tensors["model.pre_norm.bias"][0] += 1
    changed = open_weights(configure(store(folder, tensors, {"format": "pt"})))
    assert changed.path.stat().st_size == len(WHOLE)
    assert changed.fingerprint != fingerprint
    (folder / "model.safetensors").unlink()
    refused(lambda: changed.sha256, "cannot be read")


def test_the_hub_is_asked_once(monkeypatch):
    """A batch of clips opens its weights several times; each would be a round trip."""
    import sys
    import types

    from nearfar.embedder.eat.weights import open_weights

    asked = []

    def snapshot_download(name, **_):
        asked.append(name)
        return str(TINY)

    fake = types.ModuleType("huggingface_hub")
    fake.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    for _ in range(5):
        open_weights("somebody/asked-once")
    assert asked == ["somebody/asked-once"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_numbers_that_are_not_finite_are_found(tmp_path, value, kind):
    import torch
    from safetensors.torch import load_file, save_file

    from nearfar.embedder.eat.selftest import damaged_tensor
    from nearfar.embedder.eat.weights import open_weights

    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    (tmp_path / "config.json").write_bytes((TINY / "config.json").read_bytes())
    tensors = {n: t.to(types[kind]) for n, t in load_file(TINY / "model.safetensors").items()}
    save_file(tensors, tmp_path / "model.safetensors")
    assert damaged_tensor(open_weights(tmp_path)) is None
    tensors["model.blocks.1.mlp.fc2.weight"][3, 4] = value
    save_file(tensors, tmp_path / "model.safetensors")
    assert damaged_tensor(open_weights(tmp_path)) == "blocks.1.mlp.fc2.weight"
