"""A cache at a URL: what `EmbeddingCache` promises, and what only a store far away can do wrong."""

import pickle
import subprocess
import warnings
from functools import partial

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from conftest import stop
from nearfar.errors import NearfarWarning, SettingError, StorageError
from nearfar.runtime import remote_cache
from nearfar.runtime.remote_cache import RemoteCache, clear_remote, remote_size
from processes import output, python

ROW = np.arange(5, dtype=np.float32)
KEYS = [bytes([n]) * 32 for n in range(6)]


@pytest.fixture(params=["memory", "local"])
def url(request, tmp_path):
    if request.param == "local":
        yield f"local://{tmp_path}/deep/cache"
        return
    yield "memory://cache-of-a-test"
    memory = fsspec.filesystem("memory")
    if memory.exists("/cache-of-a-test"):
        memory.rm("/cache-of-a-test", recursive=True)


@pytest.fixture(autouse=True)
def rested():
    remote_cache._resting.clear()
    yield
    remote_cache._resting.clear()


@pytest.mark.parametrize("x", [
    ROW, ROW.reshape(1, 5), np.float32([]), np.arange(6, dtype=np.float32).reshape(2, 3).T,
    np.array([np.inf, -np.inf, np.nan, -0.0, 1e-45, 3.4e38], np.float32), ROW.astype(">f4"),
], ids=["flat", "row", "empty", "turned", "strange", "big-endian"])  # fmt: skip
def test_what_goes_in_comes_out_flat_and_to_the_bit(url, x):
    RemoteCache(url).put([(KEYS[0], x)])
    found = RemoteCache(url).get(KEYS[0])
    assert found.tobytes() == np.ascontiguousarray(x, "<f4").tobytes()
    assert (found.dtype, found.ndim, found.flags.writeable) == (np.float32, 1, True)


def test_many_at_once_in_the_order_asked_for(url):
    cache = RemoteCache(url)
    cache.put([(key, ROW + n) for n, key in enumerate(KEYS[:4])])
    asked = [3, 5, 0, 0, 2]
    found = cache.get_many([KEYS[n] for n in asked])
    assert [None if x is None else x[0] for x in found] == [3, None, 0, 0, 2]
    assert cache.get_many([]) == []
    cache.put([])
    cache.put([(KEYS[0], ROW + 9)])
    assert cache.get(KEYS[0])[0] == 9


def test_a_damaged_object_is_not_there_and_can_be_put_again(url):
    cache = RemoteCache(url)
    files, path = cache._fs, cache._path(KEYS[0])
    for damage in (lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b[:10], lambda b: b"",
                   lambda b: b[:-4]):  # fmt: skip
        cache.put([(KEYS[0], ROW)])
        files.pipe_file(path, damage(files.cat_file(path)))
        assert cache.get(KEYS[0]) is None
    cache.put([(KEYS[0], ROW)])
    assert np.array_equal(cache.get(KEYS[0]), ROW)


def test_closed_is_closed_and_is_sent_nowhere(url):
    cache = RemoteCache(url)
    cache.put([(KEYS[0], ROW)])
    with pytest.raises(TypeError, match="opened where it is used"):
        pickle.dumps(cache)
    cache.close()
    cache.put([(KEYS[1], ROW)])
    assert cache.get_many(KEYS) == [None] * 6
    assert remote_size(url).entries == 1


def test_one_warning_and_then_nothing_is_asked_until_it_has_rested(monkeypatch):
    asked = []

    def refuse(self, *_, **__):
        asked.append(self)
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)
    with pytest.warns(NearfarWarning, match=r"^memory://c: the .* \(nobody listens\); going on wi"):
        assert RemoteCache("memory://c").get_many(KEYS) == [None] * 6
    once = len(asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = RemoteCache("memory://c")  # of another job
        again.put([(KEYS[0], ROW)])
        assert again.get_many(KEYS) == [None] * 6
    assert len(asked) == once
    monkeypatch.setattr(remote_cache.time, "monotonic", lambda: 1e12)
    with pytest.warns(NearfarWarning, match="nobody listens"):
        RemoteCache("memory://c").put([(KEYS[0], ROW)])


@pytest.mark.parametrize("said", [
    "no answer from \"http://c.host:1/{}\"", "http://host/c/{}: 500", "not a folder: '/c/{}'",
])  # fmt: skip
def test_the_warning_is_the_same_whichever_key_it_was(monkeypatch, said):
    told = set()
    for key in KEYS[:3]:
        path = f"{key.hex()[:2]}/{key.hex()[2:]}"
        error = ConnectionError(said.format(path))
        monkeypatch.setattr(MemoryFileSystem, "cat_file", partial(_fail, error))
        remote_cache._resting.clear()
        with pytest.warns(NearfarWarning) as caught:
            RemoteCache("memory://c").get(key)
        told.add(str(caught[0].message))
        assert path not in str(caught[0].message)
    assert len(told) == 1


def _fail(error, *_, **__):
    raise error


def test_a_folder_that_cannot_be_written_to_costs_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    cache = RemoteCache(f"local://{tmp_path}/file/cache")
    with pytest.warns(NearfarWarning, match="the embedding cache cannot be used"):
        cache.put([(KEYS[0], ROW)])


def test_size_and_clearing_are_of_embeddings_alone(url):
    assert remote_size(url).entries == clear_remote(url) == 0
    cache = RemoteCache(url)
    cache.put([(key, ROW) for key in KEYS])
    files = cache._fs
    for other in ("letter.txt", "00/not ours", "deep/00/0000"):
        files.makedirs(f"{cache._root}/{other}".rpartition("/")[0], exist_ok=True)
        files.pipe_file(f"{cache._root}/{other}", b"mine")
    assert (remote_size(url).entries, remote_size(url).bytes) == (6, 6 * 28)
    assert clear_remote(url) == 6 * 28
    assert remote_size(url).entries == 0
    assert cache.get_many(KEYS) == [None] * 6
    assert len(files.find(cache._root)) == 3


def test_a_store_that_cannot_be_listed_is_said(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: 1 / 0)
    for asked in (remote_size, clear_remote):
        with pytest.raises(StorageError, match="memory://c: cannot be listed"):
            asked("memory://c")
    with pytest.raises(SettingError, match="no protocol"):
        RemoteCache("nothing://c")


WRITER = """
import sys
import numpy as np
from nearfar.runtime.remote_cache import RemoteCache
print("ready", flush=True)
sys.stdin.readline()
cache = RemoteCache(sys.argv[1])
for n in range(60):
    cache.put([(b"k" * 32, np.full(50_000, 7, np.float32))])
    found = cache.get(b"k" * 32)
    assert found is not None and (found == 7).all(), found  # never half of it
print("done", flush=True)
"""


@pytest.mark.slow
def test_processes_that_write_one_key_never_show_half_of_it(tmp_path):
    url = f"local://{tmp_path}/cache"
    both = [python(WRITER, url, stdin=subprocess.PIPE) for _ in range(2)]
    try:
        assert [process.stdout.readline() for process in both] == ["ready\n"] * 2
        for process in both:
            process.stdin.write("go\n")
            process.stdin.flush()
        assert [output(process) for process in both] == ["done\n"] * 2
    finally:
        stop(both)
    assert remote_size(url).entries == 1
    assert not list(tmp_path.rglob(".*"))  # nothing half written is left
