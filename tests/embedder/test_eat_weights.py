"""Where weights come from, and that their tensors are those of the architecture."""

import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import DATA, TINY
from eat_folders import configure, refused, store, tiny_in
from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.eat.weights import file_size, open_weights
from nearfar.embedder.tensorfile import header

GOLD = DATA / "eat"


TABLE = "fixed_positional_encoder.positions"


@pytest.fixture
def folder(tmp_path):
    return tiny_in(tmp_path)


@pytest.fixture
def tensors():
    return load_file(TINY / "model.safetensors")


def hub(monkeypatch, download):
    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


WHOLE = (TINY / "model.safetensors").read_bytes()


# ---- where ---------------------------------------------------------------------------------------


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
    refused(lambda: open_weights("owner/name"), "pip install 'nearfar[eat]'")


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


# ---- what is in the file -------------------------------------------------------------------------


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


# ---- the file itself -----------------------------------------------------------------------------


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
    refused(lambda: open_weights(folder), "model.safetensors: is no file; put the tensors of")
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

    from nearfar.embedder.eat.weights import open_weights
    from nearfar.embedder.soundness import damaged_tensor

    types = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    (tmp_path / "config.json").write_bytes((TINY / "config.json").read_bytes())
    tensors = {n: t.to(types[kind]) for n, t in load_file(TINY / "model.safetensors").items()}
    save_file(tensors, tmp_path / "model.safetensors")
    assert damaged_tensor(open_weights(tmp_path)) is None
    tensors["model.blocks.1.mlp.fc2.weight"][3, 4] = value
    save_file(tensors, tmp_path / "model.safetensors")
    assert damaged_tensor(open_weights(tmp_path)) == "blocks.1.mlp.fc2.weight"
