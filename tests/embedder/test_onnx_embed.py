"""An exported encoder as an embedder: the rows of torch, without torch."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("torch")

import nearfar as nf
from beats_folders import folder as beats
from conftest import TINY, refused
from nearfar.embedder.contract import alike_of, files_of, has_grid, is_two_step, training_of
from nearfar.embedder.onnx.exporting import as_onnx, export
from nearfar.errors import AudioError, SettingError, WeightsError
from nearfar.parts.data import from_data, to_data
from nearfar.runtime.runtime import Runtime
from nearfar.testing import check_embedder
from onnx_folders import exported, mel, sound
from trained_file import make_trained

CPU = Runtime(device="cpu")
NEAR = 1e-5  # of the largest number


def off(a, b):
    """The largest difference as a share of the largest number."""
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.float32
    return np.abs(a - b).max() / np.abs(a).max()


def trained(path):
    make_trained(path / "model.safetensors", [sound(1)])
    return nf.EAT(str(path / "model.safetensors"))


ENCODERS = {
    "eat": lambda path: nf.EAT(str(TINY)),
    "eat, first token, first block": lambda path: nf.EAT(str(TINY), pooling="cls", layer=1),
    "eat, mean of all": lambda path: nf.EAT(str(TINY), pooling="mean_all"),
    "eat, trained": trained,
    "beats": lambda path: nf.BEATs(beats()),
    "beats, first layer": lambda path: nf.BEATs(beats(), layer=1),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_rows_and_grids_are_those_of_torch_at_any_length(tmp_path, name):
    encoder = ENCODERS[name](tmp_path)
    made = export(encoder, tmp_path / "out")
    assert (made.dim, made.grid_dim) == (encoder.dim, encoder.grid_dim)
    mels = [mel(frames) for frames in (16, 32, 48, 208, 1008)]
    assert off(encoder.encode(mels, CPU), made.encode(mels, CPU)) < NEAR
    pairs = zip(encoder.grids(mels, CPU), made.grids(mels, CPU), strict=True)
    assert max(off(was, now) for was, now in pairs) < NEAR


def test_frames_are_those_of_the_encoder_it_was_made_of(tmp_path):
    encoder = nf.EAT(str(TINY), frames=64)
    made = export(encoder, tmp_path)
    for seconds in (0.3, 2):  # padded, and cut with a warning
        heard = encoder.prepare if seconds < 1 else None
        if heard is not None:
            assert np.array_equal(made.prepare(sound(seconds)), heard(sound(seconds)))
    assert made.opened().facts["longest"] == 64


def test_a_clip_longer_than_the_stored_positions_is_as_in_torch(tmp_path):
    encoder = nf.EAT(str(TINY))
    stored = 16 * encoder.opened().architecture.columns
    made = export(encoder, tmp_path, longest=(stored + 320) / 100)
    longer = [mel(stored + 320)]
    assert off(encoder.encode(longer, CPU), made.encode(longer, CPU)) < NEAR


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_row_does_not_depend_on_the_clips_beside_it(precision):
    made = nf.OnnxEncoder(str(exported(precision)))
    mels = [mel(32), mel(64), mel(32, 1), mel(32)]
    rows = made.encode(mels, CPU)
    for one, row in zip(mels, rows, strict=True):
        assert np.array_equal(made.encode([one], CPU)[0], row)
    assert made.encode([], CPU).shape == (0, made.dim)


def test_it_keeps_the_contract_of_an_embedder():
    made = nf.OnnxEncoder(str(exported()))
    check_embedder(made)
    assert is_two_step(made)
    assert has_grid(made)
    assert from_data(to_data(made)) == made


def test_its_fingerprint_names_the_file_and_what_it_was_made_of(tmp_path):
    made, copy = nf.OnnxEncoder(str(exported())), tmp_path / "encoder.onnx"
    copy.write_bytes(made.files["encoder.onnx"].read_bytes())
    assert nf.OnnxEncoder(str(tmp_path)).fingerprint == made.fingerprint  # wherever it lies
    assert nf.OnnxEncoder(str(copy)).fingerprint == made.fingerprint
    assert len(made.fingerprint.split("|")) == 3
    assert alike_of(made) == (nf.EAT(str(TINY)).fingerprint,)
    assert alike_of(nf.OnnxEncoder(str(exported("int8")))) == ()
    assert set(files_of(nf.Crops(made, n=2))) == {"encoder.onnx"}


def test_a_trained_encoder_remembers_its_training(tmp_path):
    encoder = trained(tmp_path)
    made = export(encoder, tmp_path / "out")
    assert made.training == encoder.training is not None
    assert training_of(nf.OnnxEncoder(str(exported()))) is None
    assert made.dim == encoder.dim
    assert np.linalg.norm(made([sound(1)])[0]) == pytest.approx(1, abs=1e-6)


def test_what_wraps_an_encoder_gives_the_same_rows(tmp_path):
    eat = nf.EAT(str(TINY))
    audio = np.concatenate([sound(1), sound(1, 1)])
    wrapped = {
        "crops": (nf.Crops(eat, n=2), audio[:1]),
        "bands": (nf.Pooled(eat), audio[:1]),
        "far": (nf.FarSubtracted(nf.Pooled(eat)), audio),
    }
    for name, (embedder, heard) in wrapped.items():
        made = as_onnx(embedder, tmp_path / name)
        assert replace(made, embedder=embedder.embedder) == embedder  # its settings stayed
        assert off(embedder([heard]), made([heard])) < NEAR, name


def test_what_needs_no_torch_stays_as_it_is(tmp_path):
    assert as_onnx(nf.DIF(), tmp_path / "out") == nf.DIF()
    assert not (tmp_path / "out").exists()


def test_lengths_it_cannot_hear_are_one_line():
    made = nf.OnnxEncoder(str(exported()))
    said = refused(lambda: made.prepare(sound(13)), error=AudioError)
    assert "reads 1200 at most" in said
    assert "longest=14" in said
    refused(lambda: made.prepare(sound(0.01)), error=AudioError)
    refused(lambda: made.encode([mel(1216)], CPU), error=AudioError)
    refused(lambda: nf.OnnxEncoder(""), error=SettingError)


def test_without_onnxruntime_it_says_which_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    made = nf.OnnxEncoder(str(exported()))
    assert made.dim == 64  # asks for none
    said = refused(lambda: made.encode([mel(16)], CPU), error=WeightsError)
    assert "nearfar[edge]" in said


@pytest.mark.slow
def test_no_torch_is_loaded_where_it_runs():
    """In a process that could not: neither torch nor what made the file."""
    code = (
        "import sys, json\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'transformers'): sys.modules[name] = None\n"
        "import numpy as np, nearfar as nf\n"
        "made = nf.Pooled(nf.OnnxEncoder(sys.argv[1]))\n"
        "audio = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)\n"
        "print(json.dumps([made([audio]).tolist(), made.embedder([audio]).tolist()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported())], capture_output=True, text=True, check=True
    )
    audio = np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    pooled, rows = json.loads(done.stdout)
    assert np.float32(pooled).shape == (1, 512)
    assert off(nf.EAT(str(TINY))([audio]), np.float32(rows)) < NEAR
