"""`nearfar cache`: what it shows, clears and refuses."""

import sqlite3

import numpy as np

from command import failed
from nearfar.runtime import cache as cache_module
from nearfar.runtime.cache import EmbeddingCache, cache_size, default_cache

FILE = "embeddings.sqlite"


ROW = np.arange(1000, dtype=np.float32)


def fill(folder, rows=300):
    """A cache with that many rows of 4 kB, left open."""
    cache = EmbeddingCache(folder)
    cache.put((f"{i}".encode(), ROW + i) for i in range(rows))
    return cache


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
    default_cache().mkdir(parents=True)
    (default_cache() / FILE).write_bytes(b"no database")
    code, out, _ = run("cache")
    assert code == 0
    assert "damaged" in out
    assert "--clear" in out
    assert run("cache", "--clear")[0] == 0
    assert "empty" in run("cache")[1]


def test_the_command_when_busy(run, monkeypatch):
    monkeypatch.setattr(cache_module, "PATIENCE", 0.05)
    fill(default_cache(), 1).close()
    writer = sqlite3.connect(default_cache() / FILE, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    failed(run("cache", "--clear"), "busy")
    writer.close()
