"""A detector's folder is the old one or the new one, whatever happens while it is saved."""

import os
import signal
import tempfile
from errno import ENOSPC
from pathlib import Path

import pytest

from conftest import finish
from nearfar.detector.folder.disk import write_folder
from nearfar.errors import StorageError
from processes import no_space, python, tree

# ---- the detector folder -------------------------------------------------------------------------


INDEX = "detector.json"


BANK_A, BANK_B, BANK_C, BANK_D = (f"bank-{x * 32}.safetensors" for x in "abcd")


OLD = {BANK_A: b"a" * 100, BANK_B: b"b" * 200}
NEW = {
    BANK_C: b"c" * 300,
    BANK_D: b"d",
    BANK_A: b"a" * 100,
}


# The index of a detector names its banks.
OLD_INDEX, NEW_INDEX = f"old {' '.join(OLD)}", f"new {' '.join(NEW)}"


@pytest.fixture
def detector(tmp_path):
    folder = tmp_path / "det"
    write_folder(folder, INDEX, OLD_INDEX, OLD)
    return folder


def contents(files, index):
    return {Path(k): v for k, v in files.items()} | {Path(INDEX): index}


def test_a_new_folder_and_its_parents(tmp_path):
    write_folder(tmp_path / "a" / "b", INDEX, "γ", OLD)
    assert tree(tmp_path / "a" / "b") == contents(OLD, "γ".encode())
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", INDEX, OLD_INDEX, OLD)
    assert tree(tmp_path / "empty") == contents(OLD, OLD_INDEX.encode())


def test_new_over_old_and_the_same_again(detector):
    write_folder(detector, INDEX, NEW_INDEX, NEW)
    assert tree(detector) == contents(NEW, NEW_INDEX.encode())
    write_folder(detector, INDEX, NEW_INDEX, NEW)
    assert tree(detector) == contents(NEW, NEW_INDEX.encode())
    write_folder(detector, INDEX, "none", {})
    assert tree(detector) == contents({}, b"none")


def test_other_peoples_files_in_a_detector_survive(detector):
    """Encoder weights may lie in the folder itself."""
    for name in ("encoder.safetensors", "bank-notes.txt", ".hidden"):
        (detector / name).write_bytes(name.encode())
    write_folder(detector, INDEX, NEW_INDEX, NEW)
    assert {k: v for k, v in tree(detector).items() if k.name not in {*NEW, INDEX}} == {
        Path(name): name.encode() for name in ("encoder.safetensors", "bank-notes.txt", ".hidden")
    }


def test_a_damaged_bank_is_mended_by_saving_the_same_again(detector):
    """Its name, which is its hash, is there already; its bytes are not."""
    for damage in (b"", b"a" * 99, b"A" * 100):
        (detector / BANK_A).write_bytes(damage)
        write_folder(detector, INDEX, OLD_INDEX, OLD)
        assert tree(detector) == contents(OLD, OLD_INDEX.encode())


def test_a_file_is_no_place_for_a_folder(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="is a file; choose another name"):
        write_folder(tmp_path / "file", INDEX, NEW_INDEX, NEW)
    with pytest.raises(StorageError, match="cannot be written"):
        write_folder(tmp_path / "file" / "below", INDEX, NEW_INDEX, NEW)
    assert tree(tmp_path) == {Path("file"): b"mine"}


@pytest.mark.parametrize(
    "name",
    ["recording.wav", "weights.safetensors", ".git", "bank-statement.pdf", "bank-1.safetensors"],
)
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(StorageError, match=f"has other files in it and no {INDEX}"):
        write_folder(tmp_path, INDEX, NEW_INDEX, NEW)
    assert tree(tmp_path) == {Path(name): b"mine"}


def failing_at(monkeypatch, owner, name, turn, error):
    """Let the `turn`-th call of a function fail."""
    real, calls = getattr(owner, name), []

    def maybe(*arguments, **named):
        calls.append(arguments)
        if len(calls) == turn + 1:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, maybe)
    return calls


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (Path, "replace"), (Path, "chmod"), (tempfile, "mkstemp")]
)
@pytest.mark.parametrize(
    "error",
    [OSError(ENOSPC, os.strerror(ENOSPC)), KeyboardInterrupt()],
    ids=["full", "interrupted"],
)
def test_failure_at_each_step_leaves_the_old_detector(
    tmp_path, monkeypatch, owner, name, turn, error, existed
):
    """Two banks are new and the index: three files, three turns."""
    folder = tmp_path / "det"
    if existed:
        write_folder(folder, INDEX, OLD_INDEX, OLD)
    before = tree(tmp_path)
    calls = failing_at(monkeypatch, owner, name, turn, error)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else StorageError):
        write_folder(folder, INDEX, "new", NEW if existed else OLD)
    assert len(calls) == turn + 1
    monkeypatch.undo()
    assert tree(tmp_path) == before
    assert folder.exists() == existed
    write_folder(folder, INDEX, NEW_INDEX, NEW)  # and the next attempt works
    assert tree(folder) == contents(NEW, NEW_INDEX.encode())


def test_old_banks_that_cannot_be_removed_do_no_harm(detector, monkeypatch):
    monkeypatch.setattr(Path, "unlink", no_space)
    write_folder(detector, INDEX, NEW_INDEX, NEW)
    monkeypatch.undo()
    assert tree(detector) == contents(OLD | NEW, NEW_INDEX.encode())


def test_ctrl_c_just_after_the_last_rename_keeps_the_new_detector(detector, monkeypatch):
    real = Path.replace

    def replace(self, target):
        real(self, target)
        if Path(target).name == INDEX:
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        write_folder(detector, INDEX, NEW_INDEX, NEW)
    monkeypatch.undo()
    assert (detector / INDEX).read_bytes() == NEW_INDEX.encode()
    assert all((detector / name).read_bytes() == content for name, content in NEW.items())


KILLED = """
import os, signal, sys
from pathlib import Path
from nearfar.detector.folder.disk import write_folder
real, turn = Path.replace, int(sys.argv[2])
def replace(self, target):
    global turn
    if turn == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    turn -= 1
    return real(self, target)
Path.replace = replace
banks = {f"bank-{x * 32}.safetensors": x.encode() * 300 for x in "cd"}
write_folder(Path(sys.argv[1]), "detector.json", "new", banks)
"""


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("existed", [True, False])
def test_killed_while_saving(tmp_path, turn, existed):
    """The old detector still stands; saving again works and tidies up."""
    folder = tmp_path / "det"
    if existed:
        write_folder(folder, INDEX, OLD_INDEX, OLD)
    killed = python(KILLED, folder, turn)
    finish(killed)
    assert killed.returncode == -signal.SIGKILL
    now = tree(folder)
    assert len(now) > (3 if existed else 0)  # it did leave something behind
    if existed:
        assert now | contents(OLD, OLD_INDEX.encode()) == now
    else:
        assert Path(INDEX) not in now
    write_folder(folder, INDEX, NEW_INDEX, NEW)  # another writer could still be at work
    assert tree(folder).items() >= contents(NEW, NEW_INDEX.encode()).items()
    for path in folder.iterdir():
        os.utime(path, (0, 0))  # long ago
    write_folder(folder, INDEX, NEW_INDEX, NEW)
    assert tree(folder) == contents(NEW, NEW_INDEX.encode())


# ---- places that are no files --------------------------------------------------------------------


def test_two_writers_on_one_folder_leave_one_whole_detector(tmp_path):
    """A writer removes only what the index it replaced had named."""
    folder = tmp_path / "det"
    write_folder(folder, INDEX, OLD_INDEX, OLD)
    other = {BANK_D: b"d"}
    real = Path.replace

    def replace(self, target):
        real(self, target)
        if Path(target).name == BANK_C:  # in the middle of ours the other one begins and ends
            Path.replace = real
            write_folder(folder, INDEX, f"other {BANK_D}", other)

    Path.replace = replace
    try:
        write_folder(folder, INDEX, NEW_INDEX, NEW)
    finally:
        Path.replace = real
    assert tree(folder).items() >= contents(NEW, NEW_INDEX.encode()).items()
