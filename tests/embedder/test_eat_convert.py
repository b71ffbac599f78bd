"""fairseq checkpoints → the published layout: every trap of it, and no code is ever run."""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from typer.testing import CliRunner

from conftest import DATA
from nearfar.embedder.eat.architecture import Architecture, positions
from nearfar.embedder.eat.weights import open_weights
from nearfar.errors import NearfarError, StorageError, WeightsError

torch = pytest.importorskip("torch")

from nearfar.cli import weights as cli_weights
from nearfar.embedder.eat.convert import convert
from nearfar.embedder.eat.selftest import resample

GOLD = DATA / "eat"
TINY = GOLD / "tiny"
TUNED = GOLD / "tiny_finetune"
IMAGE = "modality_encoders.IMAGE."
NORM = f"{IMAGE}context_encoder.norm."
TABLE = "fixed_positional_encoder.positions"


def pretrain_names(tensors):
    """The published names turned into those of a fairseq pre-training checkpoint."""
    out = {}
    for name, value in tensors.items():
        bare = name.removeprefix("model.")
        if bare.startswith("pre_norm."):
            out[NORM + bare.removeprefix("pre_norm.")] = torch.from_numpy(value.copy())
        elif bare.startswith("blocks."):
            out[bare] = torch.from_numpy(value.copy())
        else:
            out[IMAGE + bare] = torch.from_numpy(value.copy())
    return out


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


def save(path, model, **parts):
    """A checkpoint as fairseq's trainer writes it."""
    content = {"args": None, "cfg": {"model": {"_name": "data2vec_multi"}}, "model": model}
    content |= {"optimizer_history": [], "extra_state": {}, "last_optimizer_state": None}
    torch.save(content | parts, path)
    return path


def same(folder, gold=TINY, **instead):
    """The tensors of the published file to the bit, but for those given instead."""
    have, want = load_file(folder / "model.safetensors"), load_file(gold / "model.safetensors")
    assert have.keys() == want.keys()
    want |= {f"model.{name}": value for name, value in instead.items()}
    for name, value in want.items():
        assert have[name].dtype == np.float32
        assert np.array_equal(have[name], value), name


def refused(call, *words, error=WeightsError):
    with pytest.raises(error) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert str(word) in line, line
    return line


def leaves_nothing(folder, before):
    """No half-written folder, hidden or not."""
    assert sorted(p.name for p in folder.iterdir()) == sorted(before)


# ---- layouts -----------------------------------------------------------------------------------


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


# ---- traps -------------------------------------------------------------------------------------


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


# ---- what the checkpoint says ------------------------------------------------------------------


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


# ---- code in a pickle --------------------------------------------------------------------------


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


# ---- files and folders -------------------------------------------------------------------------


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
    refused(lambda: convert(tmp_path, tmp_path / "out"), "no such file")


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
    from nearfar.embedder.eat import convert as module

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_tensors", full)
    refused(lambda: make(tmp_path / "deep" / "out"), "No space left", error=StorageError)
    leaves_nothing(tmp_path / "deep", [])


def test_interrupted_leaves_nothing(tmp_path, monkeypatch):
    from nearfar.embedder.eat import convert as module

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write_tensors", stop)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out")
    leaves_nothing(tmp_path, [])


# ---- on the command line -----------------------------------------------------------------------


def weights_command(*arguments):
    done = CliRunner().invoke(cli_weights.app, [str(a) for a in arguments])
    if isinstance(done.exception, NearfarError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_convert_and_check(tmp_path):
    arguments = (TUNED / "fairseq_layout.pt", tmp_path / "out", "--config", TUNED / "config.json")
    code, out = weights_command("convert", *arguments)
    assert code == 0
    assert "EAT 32×1 fine-tuned (7 classes)" in out
    code, out = weights_command("check", tmp_path / "out")
    assert code == 0
    for word in ("22, F32", "37,703", "16,384", "152,796, as this", "mean", "72b3aabaf463c3f6"):
        assert word in out
    code, out = weights_command("check", tmp_path)
    assert code == 2
    assert "model.safetensors" in out


def test_a_header_written_otherwise(tmp_path):
    from safetensors.numpy import save_file

    shutil.copyfile(TINY / "config.json", tmp_path / "config.json")
    tensors = load_file(TINY / "model.safetensors")
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt", "a": "b"})
    assert "as this architecture has" in weights_command("check", tmp_path)[1]


def test_convert_without_torch(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "nearfar.embedder.eat.convert")
    monkeypatch.delattr("nearfar.embedder.eat.convert")
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out = weights_command("convert", TUNED / "fairseq_layout.pt", tmp_path / "out")
    assert code == 2
    assert "pip install 'nearfar[eat]'" in out


@pytest.fixture
def features(tmp_path):
    """The official code's tokens of one recording, as the EAT repository publishes its own."""
    np.save(tmp_path / "f.npy", np.load(TINY / "wav6s.npz")["tokens"])
    return tmp_path / "f.npy"


WAV = GOLD / "wav" / "wav6s.wav"


def test_check_against_published_features(features):
    code, out = weights_command("check", TINY, "--against", WAV, features)
    assert code == 0, out
    assert "513 tokens" in out
    assert "passed" in out


def test_check_against_the_cls_token_alone(features):
    np.save(features, np.load(TINY / "wav6s.npz")["cls"])
    code, out = weights_command("check", TINY, "--against", WAV, features)
    assert code == 0, out
    assert "1 tokens" in out


@pytest.mark.parametrize("spoil", ["token", "scale", "nan", "recording"])
def test_features_that_differ(features, spoil):
    tokens = np.load(features)
    if spoil == "token":
        tokens[300, 5] += 0.02
    elif spoil == "scale":
        tokens *= 1.05
    elif spoil == "nan":
        tokens[0, 0] = np.nan
    np.save(features, tokens)
    wav = GOLD / "wav" / "wav10s.wav" if spoil == "recording" else WAV
    code, out = weights_command("check", TINY, "--against", wav, features)
    assert code == 1
    assert "FAILED" in out


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((513, 768), np.float32), "(513, 768)"),
        (np.zeros(768, np.float32), "768"),
        (np.zeros((512, 64), np.float32), "512 tokens"),
        (np.zeros((0, 64), np.float32), "need features"),
        (np.zeros((513, 64), np.int16), "int16"),
        (np.array("x"), "need features"),
        (np.float32(1), "shape ()"),
        (np.array([None]), "NumPy"),
    ],
)
def test_features_of_other_weights(features, values, words):
    np.save(features, values, allow_pickle=True)
    code, out = weights_command("check", TINY, "--against", WAV, features)
    assert code == 2
    assert words in out
    assert "\n" not in out


def test_features_that_cannot_be_read(features, tmp_path):
    for content in (b"", b"\x93NUMPY", features.read_bytes()[:1000], b"no"):
        (tmp_path / "g.npy").write_bytes(content)
        code, out = weights_command("check", TINY, "--against", WAV, tmp_path / "g.npy")
        assert code == 2
        assert "g.npy" in out
    assert weights_command("check", TINY, "--against", WAV, tmp_path / "none.npy")[0] == 2
    assert weights_command("check", TINY, "--against", tmp_path / "none.wav", features)[0] == 2
    assert weights_command("check", TINY, "--against", tmp_path / "f.npy", features)[0] == 2


def test_check_hears_with_the_resampler_of_the_features(tmp_path):
    """At 32 kHz, as the published recording is, ours would fail a faultless encoder."""
    from nearfar.embedder.eat import EAT
    from nearfar.sound.audio import read

    noise = 0.1 * np.random.default_rng(0).standard_normal((1, 96_000)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise[0], 32_000, subtype="FLOAT")
    encoder = EAT(str(TINY), frames=1024)
    theirs = resample(noise, 32_000).astype(np.float32)
    for heard, passed in ((theirs, 0), (read(tmp_path / "a.wav"), 1)):
        np.save(tmp_path / "f.npy", encoder.tokens([heard])[0])
        arguments = ("--against", tmp_path / "a.wav", tmp_path / "f.npy")
        assert weights_command("check", TINY, *arguments)[0] == passed


# ---- the resampler of the published features ---------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("frequency", [50.0, 440.0, 3000.0])
def test_a_sine_stays_a_sine(rate, frequency):
    audio = np.sin(2 * np.pi * frequency * np.arange(rate) / rate)[None].astype(np.float32)
    made = resample(audio, rate)
    want = np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)
    assert made.shape == (1, 16_000)
    assert np.abs(made[0] - want)[200:-200].max() < 0.02  # six zero crossings are a short filter


def test_same_rate_changes_nothing():
    audio = np.random.default_rng(0).standard_normal((2, 100)).astype(np.float32)
    assert np.array_equal(resample(audio, 16_000), audio)


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100])
def test_resampled_as_the_sum_says(rate):
    """Each sample on its own: Σ x[i] h(i / rate − j / 16 kHz), h a sinc under a Hann window."""
    audio = np.random.default_rng(1).standard_normal((1, 700)).astype(np.float32)
    made = resample(audio, rate)[0]
    assert len(made) == -(-700 * 16_000 // rate)
    cutoff = 0.99 * min(rate, 16_000)  # twice the edge of the pass band, Hz
    time = np.arange(700) / rate - np.arange(len(made))[:, None] / 16_000
    zeros = time * cutoff
    h = np.where(np.abs(zeros) < 6, np.sinc(zeros) * np.cos(np.pi * zeros / 12) ** 2, 0)
    assert np.abs(made - h @ audio[0].astype(np.float64) * cutoff / rate).max() < 1e-9
