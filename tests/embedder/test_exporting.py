"""Exports: whole or not at all, and what cannot be exported is one line."""

import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file

import nearfar as nf
from beats_folders import folder as beats
from conftest import TINY, refused
from eat_folders import tiny_in
from nearfar.embedder.beats.architecture import TABLE
from nearfar.embedder.onnx import exporting
from nearfar.embedder.onnx.exporting import as_onnx, encoders_in, export
from nearfar.errors import SettingError, StorageError, WeightsError
from nearfar.runtime.runtime import Runtime
from onnx_folders import mel, sound

CPU = Runtime(device="cpu")


def said_of(encoder, path, error=SettingError, **settings):
    said = refused(lambda: export(encoder, path / "out", **settings), error=error)
    assert not (path / "out" / "encoder.onnx").exists()
    return said


def test_impossible_settings_are_refused(tmp_path):
    eat = nf.EAT(str(TINY))
    assert "without normal clips" in said_of(eat, tmp_path, precision="int8")
    assert "precision is 'fp16'" in said_of(eat, tmp_path, precision="fp16")
    assert "longest is 0" in said_of(eat, tmp_path, longest=0)
    assert "longest is '9'" in said_of(eat, tmp_path, longest="9")
    assert "EAT.layer is 9" in said_of(nf.EAT(str(TINY), layer=9), tmp_path)
    assert "no encoder that is exported" in said_of(nf.DIF(), tmp_path)
    said_of(nf.EAT(str(tmp_path / "gone")), tmp_path, WeightsError)


def test_without_onnx_it_says_which_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "nearfar[export]" in said_of(nf.EAT(str(TINY)), tmp_path, WeightsError)


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "out").write_text("a file")
    refused(lambda: export(nf.EAT(str(TINY)), tmp_path / "out"), error=StorageError)


def test_what_cannot_be_run_is_not_written(tmp_path, monkeypatch):
    """An export whose graph is none leaves the one before it alone."""
    export(nf.EAT(str(TINY)), tmp_path)
    before = (tmp_path / "encoder.onnx").read_bytes()

    def fails(*_):
        raise WeightsError("encoder.onnx: cannot be run")

    from nearfar.embedder.onnx import runner

    monkeypatch.setattr(runner, "made_of", fails)
    refused(lambda: export(nf.EAT(str(TINY), layer=1), tmp_path), error=WeightsError)
    assert (tmp_path / "encoder.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.onnx"]


def test_the_same_encoder_gives_the_same_bytes(tmp_path):
    for encoder in (nf.EAT(str(TINY)), nf.BEATs(beats())):
        files = [export(encoder, tmp_path / name).files["encoder.onnx"] for name in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_two_bytes_are_taken_as_torch_does(tmp_path, dtype):
    folder = tiny_in(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    save_file({name: x.to(dtype) for name, x in tensors.items()}, folder / "model.safetensors")
    encoder = nf.EAT(str(folder))
    rows = [e.encode([mel(48)], CPU) for e in (encoder, export(encoder, tmp_path / "out"))]
    assert np.allclose(*rows, rtol=1e-5, atol=1e-6)


def test_positions_that_cannot_be_continued_are_said(tmp_path):
    folder = tiny_in(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (name,) = (name for name in tensors if name.endswith("positions"))
    tensors[name] = torch.randn(tensors[name].shape)
    save_file(tensors, folder / "model.safetensors")
    encoder = nf.EAT(str(folder))
    said = said_of(encoder, tmp_path, longest=100)
    assert "cannot be continued" in said
    made = export(encoder, tmp_path / "out", longest=0.3)
    assert np.allclose(made.encode([mel(32)], CPU), encoder.encode([mel(32)], CPU), atol=1e-5)


def test_tables_that_differ_are_no_beats(tmp_path):
    shutil.copytree(beats(), tmp_path / "own")
    file = tmp_path / "own" / "model.safetensors"
    tensors = load_file(file)
    name = next(n for n in tensors if n.endswith(TABLE) and ".1." in n)
    tensors[name] += 1
    save_file(tensors, file)
    assert "one table for all" in said_of(nf.BEATs(str(tmp_path / "own")), tmp_path, WeightsError)


def test_how_long_a_clip_may_be(tmp_path):
    """A minute, or what is said; what is heard of a fixed length has no other."""
    eat = nf.EAT(str(TINY))
    for encoder, longest, frames in (
        (eat, None, 6_000), (eat, 10, 1_008), (nf.EAT(str(TINY), frames=1024), None, 1_024),
    ):  # fmt: skip
        made = export(encoder, tmp_path, longest=longest)
        assert made.opened().facts["longest"] == frames


def test_only_what_runs_in_torch_is_exported():
    eat = nf.EAT("a folder")
    assert encoders_in(nf.Crops(nf.Pooled(eat), n=2)) == [eat]
    assert encoders_in(nf.DIF()) == encoders_in(nf.YAMNet("a folder")) == []
    assert set(exporting._GRAPHS) == {"eat", "beats"}


@pytest.mark.slow
def test_eight_bits_are_calibrated_on_what_the_whole_hears(tmp_path):
    """Of an encoder in crops, the crops."""
    crops = nf.Crops(nf.EAT(str(TINY)), n=3)
    normals = [sound(1, seed) for seed in range(4)]
    made = as_onnx(crops, tmp_path, precision="int8", normals=normals)
    facts = made.embedder.opened().facts
    assert facts["calibration"]["clips"] == 12
    assert facts["precision"] == "int8"
    a, b = crops([sound(1, 9)])[0], made([sound(1, 9)])[0]
    assert a @ b > 0.999


@pytest.mark.slow
def test_a_detector_keeps_a_copy_of_an_exported_encoder(tmp_path, dcase):
    """It scores alike where the export is gone; a changed byte of the copy is one line."""
    export(nf.EAT(str(TINY)), tmp_path / "export")
    system = nf.System(nf.Near(), nf.OnnxEncoder(str(tmp_path / "export")))
    fitted = nf.fit(system, nf.Clips.open(dcase / "fan", split="train"))
    fitted.save(tmp_path / "detector", weights="copy")
    clips = nf.Clips.open(dcase / "fan", split="test")
    before = [verdict.score for verdict in fitted.score(clips)]
    (tmp_path / "export").rename(tmp_path / "away")
    assert [verdict.score for verdict in nf.load(tmp_path / "detector").score(clips)] == before
    (copy,) = (tmp_path / "detector").glob("weights*/encoder.onnx")
    data = bytearray(copy.read_bytes())
    data[len(data) // 2] ^= 1
    copy.write_bytes(data)
    refused(lambda: list(nf.load(tmp_path / "detector").score(clips)), error=WeightsError)
