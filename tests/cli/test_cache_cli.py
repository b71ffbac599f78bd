"""The cache seen from outside, and the progress bar."""

import os
import sqlite3
import subprocess
import sys
import warnings

import numpy as np
import pytest

from command import failed
from conftest import finish
from nearfar.errors import StorageError
from nearfar.runtime import cache as store
from nearfar.runtime.cache import CacheSize, EmbeddingCache, cache_size, clear_cache, default_cache

FILE = "embeddings.sqlite"
ROW = np.arange(1000, dtype=np.float32)


def fill(folder, rows=300):
    """A cache with that many rows of 4 kB, left open."""
    cache = EmbeddingCache(folder)
    cache.put((f"{i}".encode(), ROW + i) for i in range(rows))
    return cache


def on_disk(folder):
    return sum(path.stat().st_size for path in folder.iterdir())


# ---- size ------------------------------------------------------------------------------------


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


# ---- clearing --------------------------------------------------------------------------------


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
    monkeypatch.setattr(store, "PATIENCE", 0.05)
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


# ---- damage ----------------------------------------------------------------------------------


def foreign(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (something TEXT)")
    connection.close()


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


# ---- the command -----------------------------------------------------------------------------


def test_the_command_shows_and_clears(run, dcase, tmp_path):
    code, out, _ = run("cache")
    assert (code, out) == (0, f"{default_cache()}: empty\n")
    assert run("fit", dcase, "-s", "logmel", "-o", tmp_path / "d", "--workers", 1)[0] == 0
    code, out, _ = run("cache")
    assert code == 0
    assert f"{default_cache()}: 24 embeddings" in " ".join(out.split())
    code, out, _ = run("cache", "--clear")
    assert code == 0
    assert "freed" in out
    assert cache_size(default_cache()).entries == 0
    code, out, _ = run("cache")
    assert "empty" in out
    assert run("cache", "--clear")[0] == 0


def test_the_command_and_damage(run):
    (default_cache() / FILE).write_bytes(b"no database")
    code, out, _ = run("cache")
    assert code == 0
    assert "damaged" in out
    assert "--clear" in out
    assert run("cache", "--clear")[0] == 0
    assert "empty" in run("cache")[1]


def test_the_command_when_busy(run, monkeypatch):
    monkeypatch.setattr(store, "PATIENCE", 0.05)
    fill(default_cache(), 1).close()
    writer = sqlite3.connect(default_cache() / FILE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    failed(run("cache", "--clear"), "busy")
    writer.close()


# ---- the progress bar ------------------------------------------------------------------------

BAR = """
import rich.console
now = 0.0
rich.console.monotonic = lambda: now  # a clock of its own: a busy machine changes no speed
from nearfar.cli.progress import progress_bar
bar, report = progress_bar()
with bar:
    for step, wait in ((20, 0.125), (10, 0.5)):  # quick and to the end, then again and slow
        for done in (step, 2 * step, 3 * step):
            report("listening", done, 60)
            bar.refresh()
            now += wait
"""


def test_no_bar_without_a_terminal():
    done = subprocess.run([sys.executable, "-c", BAR], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_the_bar_shows_how_much_how_fast_and_how_long():
    import pty

    ours, theirs = pty.openpty()
    surroundings = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", BAR], stderr=theirs, stdout=subprocess.PIPE, env=surroundings
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        assert process.stdout.read() == b""
    os.close(ours)
    text = seen.decode()
    assert "listening" in text
    assert "30/60" in text
    speeds = [float(part.split()[-1]) for part in text.split(" clips/s")[:-1]]
    assert set(speeds) == {160, 20}  # 20 in 0.125 s, 10 in 0.5 s
    assert speeds[-1] == 20  # what was before is over
    assert "0:00:02" in text
    assert text.rstrip().endswith("\x1b[2K")  # transient: the line is erased at the end
