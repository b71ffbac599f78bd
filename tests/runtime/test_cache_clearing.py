"""The cache seen from outside: its size, and that clearing frees what it says."""

import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest

from conftest import finish
from nearfar.errors import StorageError
from nearfar.runtime import cache as cache_module
from nearfar.runtime.cache import CacheSize, EmbeddingCache, cache_size, clear_cache

FILE = "embeddings.sqlite"


ROW = np.arange(1000, dtype=np.float32)


def fill(folder, rows=300):
    """A cache with that many rows of 4 kB, left open."""
    cache = EmbeddingCache(folder)
    cache.put((f"{i}".encode(), ROW + i) for i in range(rows))
    return cache


def on_disk(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (something TEXT)")
    connection.close()


# ---- size ----------------------------------------------------------------------------------------


def test_no_cache_is_empty_and_stays_away(tmp_path):
    folder = tmp_path / "never"
    assert cache_size(folder) == CacheSize(0, 0)
    assert clear_cache(folder) == 0
    assert not folder.exists()


@pytest.mark.parametrize("rows", [0, 1, 300])
@pytest.mark.parametrize("still_open", [True, False])
def test_size_counts_rows_and_every_file(tmp_path, rows, still_open):
    cache = fill(tmp_path, rows)
    if not still_open:
        cache.close()
    before = on_disk(tmp_path)
    size = cache_size(tmp_path)
    assert size.entries == rows
    assert before >= size.bytes == on_disk(tmp_path) >= rows * ROW.nbytes
    cache.close()


# ---- clearing ------------------------------------------------------------------------------------


def test_clearing_frees_what_it_says_and_the_cache_works_on(tmp_path):
    fill(tmp_path).close()
    before = on_disk(tmp_path)
    freed = clear_cache(tmp_path)
    assert freed == before - on_disk(tmp_path) > 300 * ROW.nbytes
    assert cache_size(tmp_path).entries == 0
    assert on_disk(tmp_path) < 100_000
    again = fill(tmp_path, 3)
    np.testing.assert_array_equal(again.get(b"2"), ROW + 2)
    again.close()


def test_clearing_while_others_have_it_open(tmp_path):
    """They find it empty, write again, and get no wrong row."""
    first, second = fill(tmp_path), EmbeddingCache(tmp_path)
    assert second.get(b"7") is not None
    assert clear_cache(tmp_path) > 300 * ROW.nbytes
    assert first.get(b"7") is None
    assert second.get(b"7") is None
    first.put([(b"7", ROW)])
    np.testing.assert_array_equal(second.get(b"7"), ROW)
    assert cache_size(tmp_path).entries == 1
    first.close()
    second.close()


OTHER = """
import sys
from pathlib import Path
import numpy as np
from nearfar.runtime.cache import EmbeddingCache
cache = EmbeddingCache(Path(sys.argv[1]))
cache.put([(b"theirs", np.ones(4, np.float32))])
print("ready", flush=True)
sys.stdin.readline()
assert cache.get(b"theirs") is None
cache.put([(b"new", np.ones(4, np.float32))])
assert cache.get(b"new") is not None
"""


def test_clearing_while_another_process_has_it_open(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    code = [sys.executable, "-W", "error", "-c", OTHER, str(tmp_path)]
    with subprocess.Popen(code, text=True, **pipes) as other:
        assert other.stdout.readline() == "ready\n"
        clear_cache(tmp_path)
        _, errors = finish(other, "\n")
    assert other.returncode == 0, errors
    assert cache_size(tmp_path).entries == 1


def test_busy_is_said_and_nothing_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "PATIENCE", 0.05)
    fill(tmp_path, 5).close()
    writer = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="busy, another process"):
        clear_cache(tmp_path)
    assert cache_size(tmp_path).entries == 5  # reading goes on
    writer.execute("COMMIT")
    writer.close()
    clear_cache(tmp_path)
    assert cache_size(tmp_path).entries == 0


# ---- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"no database", b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 500, foreign, "cut", "empty"],
    ids=["text", "zeros", "header", "foreign", "cut", "empty"],
)
def test_a_damaged_file_is_cleared_too(tmp_path, content):
    path = tmp_path / FILE
    if content == "cut":
        fill(tmp_path).close()
        path.write_bytes(path.read_bytes()[:6000])
    elif content == "empty":
        path.touch()
    elif callable(content):
        content(path)
    else:
        path.write_bytes(content)
    if not callable(content):
        path.with_name(FILE + "-wal").write_bytes(b"an old log" * 1000)
    size = cache_size(tmp_path)
    assert size.entries in ((None, 0) if callable(content) else (None,))
    assert size.bytes == on_disk(tmp_path)
    clear_cache(tmp_path)
    if size.entries is None:
        assert not list(tmp_path.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = fill(tmp_path, 2)
    np.testing.assert_array_equal(cache.get(b"1"), ROW + 1)
    assert cache_size(tmp_path).entries == 2
    cache.close()


def test_an_old_log_is_not_taken_for_the_new_ones(tmp_path):
    """A damaged database with a whole log beside it: nothing of the log comes back."""
    cache = fill(tmp_path, 20)
    log = (tmp_path / (FILE + "-wal")).read_bytes()
    cache.close()
    (tmp_path / FILE).write_bytes(b"\xff" * 8192)
    (tmp_path / (FILE + "-wal")).write_bytes(log)
    clear_cache(tmp_path)
    assert cache_size(tmp_path).entries in (0, None)
    cache = EmbeddingCache(tmp_path)
    assert cache.get(b"7") is None
    cache.close()


def test_a_place_that_cannot_be_used(tmp_path):
    (tmp_path / FILE).mkdir()
    for work in (cache_size, clear_cache):
        with pytest.raises(StorageError, match=FILE) as error:
            work(tmp_path)
        assert "\n" not in str(error.value)
    assert (tmp_path / FILE).is_dir()
