"""Where a training writes, and what it does not write over."""

import pytest

from nearfar.errors import SettingError, StorageError
from nearfar.training.files import Files


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
        files.refuse_existing(resume=False)
    files.refuse_existing(resume=True)
    files.log.write_text("my notes")
    with pytest.raises(StorageError, match="no log of a training"):
        files.refuse_existing(resume=True)
