"""Nothing half-written is ever found."""

import os
from pathlib import Path

import pytest

from nearfar.errors import StorageError
from nearfar.files import atomic_file, write_text
from processes import no_space, tree

# ---- atomic files --------------------------------------------------------------------------------


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "out.bin"
    with atomic_file(path) as file:
        file.write(b"first ")
        assert not path.exists()
        file.write(b"second")
    assert path.read_bytes() == b"first second"
    assert [p.name for p in tmp_path.iterdir()] == ["out.bin"]
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o644


def test_text_is_utf_8_and_replaces(tmp_path):
    path = tmp_path / "Lüfter µ.json"
    write_text(path, "alt")
    write_text(path, "neu: γ ≤ 1\n")
    assert path.read_bytes() == "neu: γ ≤ 1\n".encode()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError, OSError])
def test_an_error_while_writing_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_file(path) as file:
            file.write(b"half of it")
            raise error("in the middle")

    with pytest.raises(StorageError if error is OSError else error):
        interrupted()
    assert tree(tmp_path) == {Path("out.bin"): b"old"}


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_disk_that_fails_leaves_what_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(*{"fsync": (os, "fsync")}.get(step, (Path, step)), no_space)
    with pytest.raises(StorageError, match=r"out\.bin: cannot be written .*space") as caught:
        write_text(path, "new")
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert tree(tmp_path) == {Path("out.bin"): b"old"}


def test_places_that_take_no_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "no" / "out", tmp_path / "folder", tmp_path / "file" / "out"):
        with pytest.raises(StorageError, match="cannot be written"):
            write_text(path, "new")
    assert tree(tmp_path) == {Path("file"): b"mine"}


def test_a_storage_error_inside_is_told_as_it_is(tmp_path):
    def refused():
        with atomic_file(tmp_path / "out"):
            raise StorageError("the reason")

    with pytest.raises(StorageError, match=r"^the reason$"):
        refused()


# ---- places that are no files --------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="links and pipes")
def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    import stat

    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    write_text(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"
    write_text(Path(os.devnull), "gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(StorageError, match="cannot be written"):
        write_text(Path("/dev/full"), "x")
