"""A broken cache costs a warning, never a result; killed writers leave whole puts."""

import os
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import finish
from nearfar.detector.folder.disk import write_folder
from nearfar.errors import NearfarWarning
from nearfar.runtime.cache import EmbeddingCache
from processes import output, python, tree

FILE = "embeddings.sqlite"
ROW = np.arange(5, dtype=np.float32)


@pytest.fixture
def cache(tmp_path):
    made = EmbeddingCache(tmp_path / "cache")
    yield made
    made.close()


# ---- cache: what goes in comes out ---------------------------------------------------------------


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


# ---- cache: several processes, killed ones -------------------------------------------------------


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


# ---- cache: damage -------------------------------------------------------------------------------


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


# ---- cache: places that cannot be used -----------------------------------------------------------


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
