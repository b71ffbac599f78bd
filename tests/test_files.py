"""Nothing half-written is ever found."""

import os
import tempfile
from pathlib import Path

import pytest

from conftest import finish, refused
from nearfar.errors import StorageError
from nearfar.files import HALF, MAKER, atomic_file, check_output, is_picture, sweep, write_text
from processes import no_space, python, tree

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


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no /dev/fd")
def test_a_pipe_known_by_its_number_gets_the_text():
    """As /dev/stdout is where a shell pipes it on: a link that leads to no name."""
    out, into = os.pipe()
    with os.fdopen(out, "rb") as read:
        write_text(Path(f"/dev/fd/{into}"), "machine,section")
        os.close(into)
        assert read.read() == b"machine,section"


# ---- what is never written to --------------------------------------------------------------------

CSV = {"endings": (".csv",), "ours": lambda path: path.read_bytes().startswith(b"ours")}


@pytest.fixture
def day(tmp_path):
    """A folder of recordings with a list, and beside it an earlier table and somebody's own."""
    (tmp_path / "day").mkdir()
    for name, content in {
        "day/a.wav": b"RIFF", "day/b.wav": b"RIFF", "day/list.csv": b"path",
        "earlier.csv": b"ours, made", "mine.csv": b"name,phone",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_link_to_itself_is_refused_in_a_line(day):
    (day / "loop.csv").symlink_to("loop.csv")
    refused(lambda: check_output(day / "loop.csv", **CSV), "leads to itself", error=StorageError)


@pytest.mark.parametrize("name", ["new.csv", "day/new.csv", "NEW.CSV", "earlier.csv"])
def test_new_files_and_earlier_ones_of_the_kind_may_be_written(day, name):
    check_output(day / name, inputs=[day / "day", None, "a/hub-id"], **CSV)


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("day/a.wav", "ends in .csv; call it a.csv"),  # a shell's --csv day/*.wav
        ("new", "call it new.csv"),
        ("day/list.csv", "is an input"),  # in a folder that is read
        ("day", "is a folder"),
        ("none/new.csv", "cannot be written to"),
    ],
)
def test_other_endings_inputs_and_no_places_are_refused_whatever_is_asked(day, name, said, replace):
    refused(
        lambda: check_output(day / name, inputs=[day / "day"], replace=replace, **CSV),
        name, said, error=StorageError,
    )  # fmt: skip


def test_a_file_of_somebody_is_written_over_when_that_is_asked(day):
    refused(lambda: check_output(day / "mine.csv", **CSV), "--replace", error=StorageError)
    check_output(day / "mine.csv", replace=True, **CSV)
    refused(lambda: check_output(day / "earlier.csv", endings=(".csv",)), "--replace")


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_an_input_is_known_by_any_of_its_names(day):
    (day / "soft.csv").symlink_to(day / "earlier.csv")
    (day / "hard.csv").hardlink_to(day / "earlier.csv")
    (day / "round").symlink_to(day / "day")
    for name in ("earlier.csv", "soft.csv", "hard.csv", "day/../earlier.csv"):
        refused(
            lambda name=name: check_output(
                day / name, inputs=[day / "earlier.csv"], replace=True, **CSV
            ),
            "is an input",
        )
    refused(lambda: check_output(day / "round/list.csv", inputs=[day / "day"], **CSV), "an input")


def test_nothing_is_written_into_a_detector(day):
    (day / "detector.json").write_text("{}")
    refused(lambda: check_output(day / "new.csv", replace=True, **CSV), "lies in a detector")


@pytest.mark.skipif(os.name == "nt", reason="devices and pipes")
def test_devices_pipes_and_standard_output_take_anything(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (None, Path("-"), Path("/dev/null"), Path("/dev/stdout"), tmp_path / "pipe"):
        check_output(path, **CSV)


def test_a_picture_of_ours_says_so(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG Software\x00Matplotlib")
    assert not is_picture(tmp_path / "a.png")
    assert not is_picture(tmp_path / "none.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG Software\x00" + MAKER.encode())
    assert is_picture(tmp_path / "a.png")


# ---- what is half written and nobody's -----------------------------------------------------------

WRITER = """
import os, signal, sys
from pathlib import Path
from nearfar.files import atomic_file

with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half of it")
    file.flush()
    if sys.argv[2] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    print("writing", flush=True)
    sys.stdin.readline()
"""
posix = pytest.mark.skipif(os.name == "nt", reason="locks")


def half_written(folder):
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


@posix
def test_what_a_killed_writer_left_goes_with_the_next_file_there(tmp_path):
    finish(python(WRITER, tmp_path / "one.json", "die"))
    assert len(half_written(tmp_path)) == 1
    write_text(tmp_path / "other.csv", "a,b")
    assert tree(tmp_path) == {Path("other.csv"): b"a,b"}


@posix
def test_a_writer_at_work_is_left_alone(tmp_path):
    writer = python(WRITER, tmp_path / "one.json", "live", stdin=-1)
    assert writer.stdout.readline() == "writing\n"
    for _ in range(2):
        write_text(tmp_path / "one.json", "of another")
        assert len(half_written(tmp_path)) == 1
    assert finish(writer, "go on\n") is not None
    assert writer.returncode == 0
    assert tree(tmp_path) == {Path("one.json"): b"half of it"}


@posix
def test_one_that_is_swept_before_it_is_locked_is_begun_again(tmp_path, monkeypatch):
    """The moment between a file's making and its lock, in which its writer seems gone."""
    real, made = tempfile.mkstemp, []

    def swept(*arguments, **given):
        made.append(real(*arguments, **given))
        if len(made) == 1:
            sweep(tmp_path)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkstemp", swept)
    write_text(tmp_path / "a.txt", "whole")
    assert len(made) == 2
    assert tree(tmp_path) == {Path("a.txt"): b"whole"}


@pytest.mark.parametrize("locks", [True, False])
def test_nothing_of_somebody_is_swept(tmp_path, monkeypatch, locks):
    if not locks:  # it goes by age, then
        monkeypatch.setattr("nearfar.files._lock", lambda _: None)
    ours = f".a.json.abcd_123{HALF}"
    mine = ["a.nearfar", ".hidden", ".a.json.abcd1234", f".a.json.ABCD1234{HALF}", f".a{HALF}"]
    for name in (ours, *mine):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / f".b.abcd_123{HALF}").mkdir()
    sweep(tmp_path)
    assert sorted(half_written(tmp_path)) == sorted([*mine[1:], f".b.abcd_123{HALF}"])
    (tmp_path / ours).write_text("new")
    sweep(tmp_path)
    assert (tmp_path / ours).exists() != (locks and os.name != "nt")
    sweep(tmp_path / "none")
