"""`nearfar weights`: converted, checked against published features, heard with their resampler."""

import shutil
import sys

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load_file
from typer.testing import CliRunner

from conftest import DATA, TINY
from nearfar.errors import NearfarError

torch = pytest.importorskip("torch")

from nearfar.cli import weights as cli_weights
from nearfar.embedder.eat.selftest import resample

GOLD = DATA / "eat"


TUNED = GOLD / "tiny_finetune"


# ---- on the command line -------------------------------------------------------------------------


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


# ---- the resampler of the published features -----------------------------------------------------


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
