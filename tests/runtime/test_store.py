"""Nothing half-written is ever found, and a broken cache costs a warning, never a result."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import finish
from nearfar.detector.folder.disk import write_folder
from nearfar.errors import NearfarWarning, SettingError, StorageError
from nearfar.files import atomic_file, write_text
from nearfar.runtime import cache as store
from nearfar.runtime.cache import EmbeddingCache, default_cache
from nearfar.runtime.runtime import Runtime

FILE = "embeddings.sqlite"
ROW = np.arange(5, dtype=np.float32)


@pytest.fixture
def cache(tmp_path):
    made = EmbeddingCache(tmp_path / "cache")
    yield made
    made.close()


def python(code, *arguments, **options):
    """Run a script in a process of its own; warnings are errors there, too."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def output(process):
    out, err = finish(process)
    assert process.returncode == 0, err
    return out


def tree(folder):
    """Every file below a folder with its bytes."""
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---- cache: what goes in comes out


@pytest.mark.parametrize("shape", [(1,), (5,), (7, 120), (0,), (1024,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_round_trip(cache, shape, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    cache.put([(b"key", x.astype(dtype))])
    got = cache.get(b"key")
    np.testing.assert_array_equal(got, x.ravel())
    assert got.dtype == np.float32
    got[...] = 0  # the caller's own, to write in
    np.testing.assert_array_equal(cache.get(b"key"), x.ravel())


def test_strange_numbers_come_back_bit_for_bit(cache):
    x = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.4e38], np.float32)
    cache.put([(b"key", x)])
    assert cache.get(b"key").tobytes() == x.tobytes()


def test_a_turned_array_is_kept_in_its_own_order(cache):
    x = np.arange(6, dtype=np.float32).reshape(2, 3).T
    cache.put([(b"key", x)])
    np.testing.assert_array_equal(cache.get(b"key"), x.ravel())


@given(
    st.dictionaries(st.binary(max_size=40), st.lists(st.floats(width=32), max_size=9), max_size=20)
)
@settings(max_examples=25, deadline=None)
def test_any_keys_and_values(rows):
    with tempfile.TemporaryDirectory() as folder:
        arrays = {k: np.array(v, np.float32) for k, v in rows.items()}
        cache = EmbeddingCache(Path(folder))
        cache.put(arrays.items())
        cache.close()
        again = EmbeddingCache(Path(folder))
        for key, x in arrays.items():
            assert again.get(key).tobytes() == x.tobytes()
        again.close()


def test_a_later_put_replaces(cache):
    cache.put([(b"key", ROW)])
    cache.put([(b"key", ROW + 1), (b"other", ROW)])
    np.testing.assert_array_equal(cache.get(b"key"), ROW + 1)
    assert cache.get(b"nothing") is None


def test_no_folder_keeps_nothing_and_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    none = EmbeddingCache(None)
    none.put([(b"key", ROW)])
    assert none.get(b"key") is None
    none.close()
    assert list(tmp_path.iterdir()) == []


def test_closed_is_closed(cache):
    cache.put([(b"key", ROW)])
    cache.close()
    cache.close()
    cache.put([(b"key", ROW)])
    assert cache.get(b"key") is None


# ---- cache: several processes, killed ones

WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from nearfar.runtime.cache import EmbeddingCache
folder, go, me = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
for i in range(15):
    cache = EmbeddingCache(folder)
    cache.put([(f"{me} {i} {j}".encode(), np.full(50, i, np.float32)) for j in range(10)])
    cache.put([(b"shared", np.full(4, me, np.float32))])
    assert cache.get(f"{me} 0 0".encode()) is not None
    cache.close()
"""


@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_another_process_that_is_making_the_file_is_waited_for(tmp_path, lock):
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None, check_same_thread=False)
    other.execute(lock)
    other.execute("CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB, sum BLOB)")
    timer = threading.Timer(0.2, lambda: (other.execute("COMMIT"), other.close()))
    timer.start()
    cache = EmbeddingCache(tmp_path)
    cache.put([(b"key", ROW)])
    np.testing.assert_array_equal(cache.get(b"key"), ROW)
    cache.close()
    timer.join()


def test_processes_that_open_a_new_cache_at_once_and_write(tmp_path):
    go = tmp_path / "go"
    writers = [python(WRITER, tmp_path / "cache", go, i) for i in range(5)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    go.touch()
    for writer in writers:
        output(writer)  # a warning ("database is locked") would be an error
    cache = EmbeddingCache(tmp_path / "cache")
    for me in range(5):
        for i in range(15):
            for j in range(10):
                np.testing.assert_array_equal(cache.get(f"{me} {i} {j}".encode()), i)
    assert set(cache.get(b"shared")) <= {0, 1, 2, 3, 4}
    cache.close()


ENDLESS = """
import itertools, sys
from pathlib import Path
import numpy as np
from nearfar.runtime.cache import EmbeddingCache
cache = EmbeddingCache(Path(sys.argv[1]))
for i in itertools.count():
    cache.put([(f"{i} {j}".encode(), np.full(300, i, np.float32)) for j in range(40)])
    print(i, flush=True)
"""


@pytest.mark.parametrize("wait", [0.0, 0.003, 0.011, 0.03])
def test_killed_in_mid_write_leaves_whole_puts_only(tmp_path, wait):
    writer = python(ENDLESS, tmp_path)
    for _ in range(3):
        assert writer.stdout.readline()
    time.sleep(wait)
    writer.send_signal(signal.SIGKILL)
    out, _ = finish(writer)
    assert writer.returncode == -signal.SIGKILL
    said = int(out.split()[-1]) if out.split() else 2
    cache = EmbeddingCache(tmp_path)
    for i in range(said + 3):
        found = [cache.get(f"{i} {j}".encode()) for j in range(40)]
        there = [x is not None for x in found]
        assert all(there) if i <= said else all(there) or not any(there)
        assert all(np.array_equal(x, np.full(300, i)) for x in found if x is not None)
    cache.put([(b"new", ROW)])
    np.testing.assert_array_equal(cache.get(b"new"), ROW)
    cache.close()
    connection = sqlite3.connect(tmp_path / FILE)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_put_that_fails_leaves_nothing_of_it(cache):
    bad = [(b"a", ROW), (b"b", np.zeros(1, np.float32)), (None, ROW)]
    connection = sqlite3.connect(cache._path)
    connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON rows WHEN NEW.key = x'62' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    connection.commit()
    connection.close()
    with pytest.warns(NearfarWarning, match="cannot be used"):
        cache.put(bad)
    again = EmbeddingCache(cache._path.parent)
    assert again.get(b"a") is None
    again.close()


# ---- cache: damage


def filled(folder, rows=200):
    cache = EmbeddingCache(folder)
    cache.put((f"{i}".encode(), np.full(500, i, np.float32)) for i in range(rows))
    cache.close()
    return folder / FILE


def one_line(caught):
    messages = [str(w.message) for w in caught if issubclass(w.category, NearfarWarning)]
    assert len(messages) == 1
    assert FILE in messages[0]
    assert "NEARFAR_CACHE" in messages[0]
    return messages[0]


@pytest.mark.parametrize(
    "content", [b"no database", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 500]
)
def test_a_file_that_is_no_database_costs_one_warning(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.warns(NearfarWarning) as caught:
        cache = EmbeddingCache(tmp_path)
    assert "delete the file" in one_line(caught)
    cache.put([(b"key", ROW)])
    assert cache.get(b"key") is None
    cache.close()
    assert (tmp_path / FILE).read_bytes() == content


def test_another_table_of_that_name(tmp_path):
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE rows (something TEXT)")
    connection.close()
    with pytest.warns(NearfarWarning, match="cannot be used"):
        EmbeddingCache(tmp_path)


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_gives_the_right_array_or_none(tmp_path, seed):
    """Overwritten stretches: SQLite may see it, or only our sum; a wrong array never comes out."""
    path = filled(tmp_path)
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    for _ in range(10):
        at = int(rng.integers(0 if seed % 2 else 4096, len(content) - 64))
        content[at : at + 64] = rng.bytes(64)
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = EmbeddingCache(tmp_path)
        for i in range(200):
            found = cache.get(f"{i}".encode())
            assert found is None or np.array_equal(found, np.full(500, i))
        cache.put([(b"new", ROW)])
        found = cache.get(b"new")
        assert found is None or np.array_equal(found, ROW)
        cache.close()
    assert all(issubclass(w.category, NearfarWarning) for w in caught)


def test_a_truncated_file(tmp_path):
    path = filled(tmp_path)
    content = path.read_bytes()
    for length in (1, 99, 4096, len(content) // 2):
        path.write_bytes(content[:length])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NearfarWarning)
            cache = EmbeddingCache(tmp_path)
            for i in range(200):
                found = cache.get(f"{i}".encode())
                assert found is None or np.array_equal(found, np.full(500, i))
            cache.close()


@pytest.mark.parametrize(
    "change",
    [
        "value = CAST(x'01' || substr(value, 2) AS BLOB)",
        "value = CAST(substr(value, 1, length(value) - 4) AS BLOB)",
        "value = CAST(substr(value, 1, length(value) - 1) AS BLOB)",
        "value = x''", "value = NULL", "value = 7", "value = 'text'", "sum = x'00'", "sum = NULL",
        "sum = 'text'", "sum = 1.5", "value = NULL, sum = NULL",
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_sum_counts_as_missing(tmp_path, change):
    path = filled(tmp_path, 3)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE rows SET {change} WHERE key = ?", (b"1",))
    connection.commit()
    connection.close()
    cache = EmbeddingCache(tmp_path)
    assert cache.get(b"1") is None
    np.testing.assert_array_equal(cache.get(b"2"), 2)
    cache.put([(b"1", ROW)])  # and can be put right
    np.testing.assert_array_equal(cache.get(b"1"), ROW)
    cache.close()


# ---- cache: places that cannot be used


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "cache").write_text("mine")
    with pytest.warns(NearfarWarning) as caught:
        cache = EmbeddingCache(tmp_path / "cache")
    one_line(caught)
    assert cache.get(b"key") is None
    assert (tmp_path / "cache").read_text() == "mine"


# Run as a user who may not write: root may write anywhere.
READ_ONLY = """
import os, sys, warnings
from pathlib import Path
import numpy as np
from nearfar.errors import StorageError
from nearfar.runtime.cache import EmbeddingCache
from nearfar.detector.folder.disk import write_folder
from nearfar.files import write_text
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
folder = Path(sys.argv[1])
for place in (folder, folder / "new", folder / "filled"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache = EmbeddingCache(place)
        cache.put([(b"key", np.ones(3, np.float32))])
        cache.get(b"key")
        cache.close()
    assert len(caught) == 1 and "cannot be used" in str(caught[0].message), (place, caught)
for call in (
    lambda: write_text(folder / "a.txt", "text"),
    lambda: write_folder(folder / "det", "detector.json", "{}", {}),
    lambda: write_folder(folder, "detector.json", "{}", {"bank-1.safetensors": b"x"}),
    lambda: write_folder(folder / "filled", "detector.json", "{}", {"bank-1.safetensors": b"x"}),
):
    try:
        call()
    except StorageError as error:
        assert "\\n" not in str(error) and str(folder) in str(error), error
    else:
        raise SystemExit("written where nothing may be")
print(sorted(p.name for p in folder.rglob("*")))
"""


@pytest.mark.skipif(os.name == "nt", reason="no such permissions on Windows")
def test_a_folder_that_may_only_be_read():
    folder = Path(tempfile.mkdtemp())  # tmp_path is closed to other users
    try:
        filled(folder / "filled", 3)
        folder.chmod(0o555)
        (folder / "filled").chmod(0o555)
        (folder / "filled" / FILE).chmod(0o444)
        assert output(python(READ_ONLY, folder)) == f"['{FILE}', 'filled']\n"
    finally:
        folder.chmod(0o755)
        (folder / "filled").chmod(0o755)
        shutil.rmtree(folder)


# A file-size limit is the disk that is full: the kernel refuses the write.
FULL_DISK = """
import resource, sys, warnings
from pathlib import Path
import numpy as np
from nearfar.errors import StorageError
from nearfar.runtime.cache import EmbeddingCache
from nearfar.files import atomic_file
from nearfar.detector.folder.disk import write_folder
folder = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    cache = EmbeddingCache(folder / "cache")
    cache.put([(b"small", np.ones(3, np.float32))])
    cache.put([(bytes([i]), np.ones(9000, np.float32)) for i in range(9)])
    cache.get(b"small")
    cache.close()
assert len(caught) == 1 and "cannot be used" in str(caught[0].message), caught
big = {"bank-2.safetensors": b"x" * 5000, "bank-3.safetensors": b"x" * 300_000}
try:
    write_folder(folder / "det", "detector.json", "new", big)
except StorageError as error:
    print(error)
try:
    with atomic_file(folder / "big") as file:
        for _ in range(300):
            file.write(b"x" * 1000)
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="no such limit on Windows")
def test_a_full_disk(tmp_path):
    old = {"bank-1.safetensors": b"old bank"}
    write_folder(tmp_path / "det", "detector.json", "old", old)
    before = tree(tmp_path / "det")
    lines = output(python(FULL_DISK, tmp_path)).splitlines()
    assert len(lines) == 2
    assert all("cannot be written" in line and "free some space" in line for line in lines)
    assert tree(tmp_path / "det") == before
    assert {p.name for p in tmp_path.iterdir()} == {"det", "cache"}
    cache = EmbeddingCache(tmp_path / "cache")
    np.testing.assert_array_equal(cache.get(b"small"), 1)
    assert [cache.get(bytes([i])) for i in range(9)] == [None] * 9
    cache.close()


# ---- atomic files


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


def no_space(*_, **__):
    raise OSError(ENOSPC, os.strerror(ENOSPC))


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


# ---- the detector folder

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


# ---- runtime


def test_runtime_takes_a_text_for_the_cache():
    assert Runtime(cache="somewhere").cache == Path("somewhere")
    assert Runtime().cache is None
    assert Runtime(workers=2) == Runtime(2)


@pytest.mark.parametrize("bad", [0, -1, True, 1.0, "2", None])
def test_bad_workers(bad):
    with pytest.raises(SettingError, match=r"workers is .*from 1 up"):
        Runtime(workers=bad)


def test_default_cache(monkeypatch, tmp_path):
    for name in ("NEARFAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_cache() == tmp_path / ".cache" / "nearfar"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "nearfar"
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"


def test_a_user_without_a_home(monkeypatch):
    """Containers that run under a number instead of a name have none."""

    def nobody():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NEARFAR_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    with pytest.raises(SettingError, match="set NEARFAR_CACHE"):
        default_cache()


def test_nothing_waits_longer_than_it_must():
    assert 0 < store.PATIENCE <= 60


# ---- places that are no files


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
