"""Where a training writes, and whom it tells."""

import pytest

from nearfar.errors import SettingError, StorageError
from nearfar.training import FineTuning
from nearfar.training.log import EpochLine, StepLine
from nearfar.training.run import Files, _refuse_existing, _telling

STEP = StepLine(1, 2, 3, 10, 8.2, 5e-6, 30.0, 430.0)
EPOCH = EpochLine(1, 2, 5, 6.1, 0.5, 0.9, 30.0, 21.0)


@pytest.mark.parametrize(
    ("device", "there", "asked", "wanted"),
    [
        ("cuda", True, "auto", "bf16"),
        ("cuda", False, "auto", "fp32"),  # an older one
        ("cpu", True, "auto", "fp32"),
        ("mps", True, "auto", "fp32"),
        ("cuda", True, "fp32", "fp32"),
        ("cpu", True, "bf16", "bf16"),
        ("cuda", False, "bf16", None),
    ],
)
def test_the_precision_is_bf16_on_a_gpu_that_has_it(monkeypatch, device, there, asked, wanted):
    torch = pytest.importorskip("torch")
    from nearfar.training import run

    monkeypatch.setattr(run, "has_bf16", lambda device: there)
    settings = FineTuning(precision=asked)
    if wanted is None:
        with pytest.raises(SettingError, match=r"training\.precision is 'bf16'"):
            run._with_precision(settings, torch.device(device))
    else:
        assert run._with_precision(settings, torch.device(device)).precision == wanted


def test_files_lie_beside_the_result(tmp_path):
    files = Files.beside(tmp_path / "s1.safetensors")
    assert {files.out.parent, files.checkpoint.parent, files.log.parent} == {tmp_path}
    assert len({files.out, files.checkpoint, files.log}) == 3


def test_places_that_are_refused(tmp_path):
    with pytest.raises(SettingError, match=r"call it s1\.safetensors"):
        Files.beside(tmp_path / "s1.pt")
    with pytest.raises(StorageError, match="cannot be written to"):
        Files.beside(tmp_path / "none" / "s1.safetensors")
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(StorageError, match="is a folder"):
        Files.beside(tmp_path / "a.safetensors")


def test_only_ones_own_half_written_files_go(tmp_path):
    files = Files.beside(tmp_path / "s1.safetensors")
    own = [f".{files.out.name}.x7", f".{files.checkpoint.name}.y8"]
    others = [".s2.safetensors.x7", "s1.safetensors", ".s1.jsonl.z9", f"{files.checkpoint.name}"]
    for name in (*own, *others):
        (tmp_path / name).write_text("half")
    files.tidy()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


def test_long_names_are_left_alone(tmp_path):
    """`atomic_file` cuts them off: such a part may be another training's, or somebody's own."""
    files = Files.beside(tmp_path / f"{'x' * 60}.safetensors")
    parts = [tmp_path / f".{files.out.name[:n]}.x7" for n in (40, None)]
    for part in parts:
        part.write_text("half")
    files.tidy()
    assert all(part.exists() for part in parts)


@pytest.mark.parametrize("there", ["out", "checkpoint", "log"])
def test_nothing_is_overwritten_and_resume_takes_what_is_its_own(tmp_path, there):
    files = Files.beside(tmp_path / "s1.safetensors")
    path = getattr(files, there)
    path.write_text('{"epoch": 1}\n')
    with pytest.raises(StorageError, match=path.name):
        _refuse_existing(files, resume=False)
    _refuse_existing(files, resume=True)
    files.log.write_text("my notes")
    with pytest.raises(StorageError, match="no log of a training"):
        _refuse_existing(files, resume=True)


def test_progress_counts_steps_and_who_watches_hears_all():
    counted, heard = [], []
    tell = _telling(lambda *what: counted.append(what), heard.append)
    for entry in (STEP, EPOCH):
        tell(entry)
    assert counted == [("training", 3, 10)]
    assert heard == [STEP, EPOCH]
    _telling(None, None)(STEP)
