"""Two that save one detector at once: whoever comes last, the folder is whole."""

import json
import shutil
import threading
from itertools import count

import pytest

import nearfar as nf
from conftest import finish, refused
from nearfar.detector.folder import disk, index, siblings
from nearfar.detector.folder.disk import alone, write_folder
from nearfar.errors import FormatError, StorageError
from processes import python, tree

pytest.importorskip("fcntl", reason="locks are those of POSIX")

SAVER = """
import sys
import nearfar as nf
from pathlib import Path

detector, folder, times = nf.load(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    detector.save(folder)
"""


@pytest.fixture
def two(detector_folder, tmp_path):
    """A detector of two machines, and one of its first machine alone: other banks and index."""
    whole = nf.load(detector_folder)
    first = whole.machines[0]
    part = {key: section for key, section in whole.sections.items() if key[0] == first}
    folder = tmp_path / "part"
    nf.Detector(whole.system, part, whole.order, whole.false_alarm_rate).save(folder)
    return detector_folder, folder


@pytest.mark.slow
def test_a_reader_beside_two_savers_always_finds_a_whole_detector(two, tmp_path):
    shared = tmp_path / "shared"
    nf.load(two[0]).save(shared)
    savers = [python(SAVER, one, shared, 40, stdin=-1) for one in two]
    for saver in savers:
        assert saver.stdout.readline() == "ready\n"
    for saver in savers:
        saver.stdin.write("go\n")
        saver.stdin.flush()
    loads = 0
    while any(saver.poll() is None for saver in savers):
        assert nf.load(shared).machines  # never a bank that is gone
        loads += 1
    for saver in savers:
        finish(saver)
        assert saver.returncode == 0
    assert loads
    # As one of them would have left it alone: no bank too few, none too many.
    assert tree(shared) in [tree(one) for one in two]


def test_a_bank_that_is_really_gone_is_said(two, tmp_path):
    copy = nf.load(two[1]).save(tmp_path / "copy")
    next(copy.glob("bank-*")).unlink()
    with pytest.raises(FormatError, match="cannot be read"):
        nf.load(copy)


def test_alone_what_a_killed_writer_left_is_swept_at_once(tmp_path):
    folder = tmp_path / "det"
    write_folder(folder, "detector.json", "{}", {})
    left = folder / f".bank-{'0' * 32}.safetensors.x1"
    left.touch()
    write_folder(folder, "detector.json", "{}", {})
    assert left.exists()  # without a lock its writer may be at work
    write_folder(folder, "detector.json", "{}", {}, stale=0)
    assert not left.exists()


def test_a_reader_looks_again_though_the_first_writer_is_back(two, tmp_path, monkeypatch):
    whole, part = map(nf.load, two)
    folder, read, calls = tmp_path / "shared", index._content, []

    def beside_writers(*arguments):
        calls.append(arguments)
        if len(calls) > 1:
            return read(*arguments)
        part.save(folder)  # takes a bank of the other away
        try:
            return read(*arguments)
        finally:
            whole.save(folder)  # and the index that is read again is the same one

    whole.save(folder)
    monkeypatch.setattr(index, "_content", beside_writers)
    assert nf.load(folder).machines == whole.machines
    assert len(calls) == 2


# ---- the lock itself -----------------------------------------------------------------------------


def elsewhere(call):
    """What another writer gets, for whom a lock of ours is a lock: a value, or an error."""
    found = []

    def work():
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found[0]


def take(folder, **given):
    with alone(folder, **given) as locked:
        return locked


def test_who_has_the_lock_may_ask_again_and_others_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "WAIT", 0.0)
    (folder := tmp_path / "det").mkdir()
    (tmp_path / "link").symlink_to(folder)
    with alone(folder):
        assert take(folder)
        assert take(tmp_path / "link")  # by another of its names
        assert take(tmp_path / "other")
        for name in ("det", "link"):
            error = elsewhere(lambda name=name: take(tmp_path / name))
            assert isinstance(error, StorageError), error
            assert str(error).startswith(f"{tmp_path / name}: another nearfar has been writing it")
            assert "choose another folder" in str(error)
        assert elsewhere(lambda: take(tmp_path / "other")) is True
    assert elsewhere(lambda: take(folder)) is True


def test_a_writer_is_waited_for_up_to_a_limit(tmp_path, monkeypatch):
    """By a clock of the test's own."""
    now, folder = [0.0], tmp_path / "det"
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(disk, "monotonic", lambda: now[0])
    monkeypatch.setattr(disk, "sleep", sleep)
    with alone(folder):
        assert isinstance(elsewhere(lambda: take(folder)), StorageError)
    assert sum(slept) == pytest.approx(disk.WAIT, abs=2 * disk.PAUSE)
    # One that leaves in time is no fault.
    other = alone(folder)
    turns = count()
    monkeypatch.setattr(disk, "sleep", lambda _: next(turns) == 3 and other.__exit__(*[None] * 3))
    assert elsewhere(other.__enter__) is True
    assert take(folder)
    assert next(turns) == 4


def test_no_folder_is_made_only_to_be_locked(tmp_path):
    assert not take(tmp_path / "none", make=False)
    assert not (tmp_path / "none").exists()


def test_a_lock_that_is_refused_writes_nothing(two, monkeypatch):
    monkeypatch.setattr(disk, "WAIT", 0.0)
    before = tree(two[0])
    with alone(two[0]):
        assert isinstance(elsewhere(lambda: nf.load(two[1]).save(two[0])), StorageError)
    assert tree(two[0]) == before


def test_a_rate_does_not_put_the_detector_before_a_fit_back(run, two, tmp_path, monkeypatch):
    """The fit saves between load and save of the other: it must wait, or would be undone."""
    folder = tmp_path / "shared"
    shutil.copytree(two[0], folder)
    fitted, monkeyed = nf.load(two[1]), siblings.read
    monkeypatch.setattr(disk, "WAIT", 0.0)
    tried = []

    def beside_a_fit(*arguments, **named):
        content = monkeyed(*arguments, **named)
        tried.append(elsewhere(lambda: fitted.save(folder)))
        return content

    monkeypatch.setattr(siblings, "read", beside_a_fit)
    assert run("threshold", folder, "--false-alarm-rate", 0.3)[0] == 0
    monkeypatch.undo()
    assert [type(error) for error in tried] == [StorageError]
    assert json.loads((folder / "detector.json").read_text())["false_alarm_rate"] == 0.3
    fitted.save(folder)  # the fit that waited is the last
    assert nf.load(folder).machines == fitted.machines


def test_a_rate_for_no_detector_makes_no_folder(run, tmp_path):
    code, _, err = run("threshold", tmp_path / "none", "--false-alarm-rate", 0.3)
    assert (code, err.count("\n"), list(tmp_path.iterdir())) == (2, 1, [])
    refused(lambda: nf.load(tmp_path / "none"), "is no folder")
