"""Two that save one detector at once: whoever comes last, the folder is whole."""

import pytest

import nearfar as nf
from conftest import finish
from nearfar.detector.folder import index
from nearfar.detector.folder.disk import write_folder
from nearfar.errors import FormatError
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
