"""Arrays on disk: whole or not there, mended, told and cleared; those of training: test_mels.py."""

import os

import numpy as np
import pytest

from nearfar.errors import StorageError
from nearfar.runtime import arrays
from nearfar.runtime.arrays import FOLDER, ArrayStore, clear_stores, stored_bytes

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / FOLDER / "kind")


def test_an_array_comes_back_to_the_bit_and_cannot_be_written_to(store):
    store.add("a", ROWS)
    other = ArrayStore(store.folder)
    assert "a" in other
    assert np.array_equal(other["a"], ROWS)
    assert other["a"].dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        other["a"][0] = 1
    assert "b" not in other
    with pytest.raises(StorageError, match="again with resume=True"):
        other["b"]


@pytest.mark.parametrize("seen", [False, True])
def test_a_damaged_file_counts_as_not_there_also_if_it_was_whole_before(store, seen):
    store.add("a", ROWS)
    assert not seen or "a" in store
    path = store.folder / "a.npy"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, 10**18))
    assert "a" not in store
    assert "a" not in ArrayStore(store.folder)
    store.add("a", ROWS)
    assert "a" in store


def test_what_is_gone_is_not_there(store):
    store.add("a", ROWS)
    assert "a" in store
    (store.folder / "a.npy").unlink()
    assert "a" not in store


def test_a_whole_file_is_read_for_its_sum_once(store, monkeypatch):
    store.add("a", ROWS)
    assert "a" in store
    monkeypatch.setattr(arrays, "_read", lambda path: pytest.fail("read again"))
    assert "a" in ArrayStore(store.folder)  # as the next of many encoders asks


def test_a_note_is_what_was_said_or_nothing(store):
    said = {"a": [1, 2.5, None, float("inf")], "b": True}
    store.write_note("a", said)
    assert store.noted("a") == said
    assert store.noted("b") is None
    path = store.folder / "a.note"
    path.write_bytes(path.read_bytes()[:-3])
    assert store.noted("a") is None


def test_all_stores_are_told_and_cleared(store, tmp_path):
    store.add("a", ROWS)
    ArrayStore(tmp_path / FOLDER / "other").write_note("a", 1)
    assert stored_bytes(tmp_path) == sum(p.stat().st_size for p in tmp_path.rglob("a.*"))
    assert clear_stores(tmp_path) > ROWS.nbytes
    assert stored_bytes(tmp_path) == 0
