"""Objects elsewhere: their bytes at any place, and every protocol's trouble as a disk's."""

import importlib.util
import os
import sys

import fsspec
import numpy as np
import pytest

from nearfar.errors import AudioError, SettingError
from nearfar.runtime import remote as remote_module
from nearfar.runtime.remote import Remote, as_os_errors, filesystem, marks_of

CONTENT = np.random.default_rng(0).bytes(1000)


@pytest.fixture
def store():
    memory = fsspec.filesystem("memory")
    memory.pipe("/things/one", CONTENT)
    yield memory
    memory.rm("/things", recursive=True)


@pytest.fixture
def counted(store, monkeypatch):
    """(first, last) of all that was fetched of an object."""
    asked, fetch = [], type(store).cat_file

    def cat_file(self, path, start=None, end=None, **how):
        asked.append((start, end))
        return fetch(self, path, start=start, end=end, **how)

    monkeypatch.setattr(type(store), "cat_file", cat_file)
    return asked


def test_a_small_object_is_fetched_once(counted):
    remote = Remote("memory://things/one")
    for _ in range(2):
        with remote.open() as file:
            assert file.read() == CONTENT
    assert counted == [(None, None)]


@pytest.mark.parametrize("block", [1, 7, 64, 5000])
def test_of_a_large_object_what_is_asked_for_comes_and_little_else(counted, monkeypatch, block):
    monkeypatch.setattr(remote_module, "SMALL", 10)
    monkeypatch.setattr(remote_module, "BLOCK", block)
    with Remote("memory://things/one").open() as file:
        file.seek(500)
        assert file.read(30) == CONTENT[500:530]
        assert file.seek(-5, os.SEEK_END) == 995
        assert file.read() == CONTENT[-5:]
        assert file.seek(2000) == 2000
        assert file.read(4) == b""
    assert sum(last - first for first, last in counted) <= 30 + 5 + 3 * min(block, 1000)


def test_a_server_that_gives_all_where_some_was_asked_for(store, monkeypatch):
    monkeypatch.setattr(remote_module, "SMALL", 10)
    monkeypatch.setattr(type(store), "cat_file", lambda *_, **__: CONTENT)
    assert Remote("memory://things/one").between(10, 20) == CONTENT[10:20]


def test_an_object_that_became_shorter_is_no_shorter_sound(store, monkeypatch):
    monkeypatch.setattr(remote_module, "SMALL", 10)
    remote = Remote("memory://things/one")
    store.pipe("/things/one", CONTENT[:100])
    with pytest.raises(OSError, match="50 of 100 bytes came"):
        remote.between(50, 150)


def test_what_changes_with_the_content(store):
    before = marks_of("memory://things/one")
    assert marks_of("memory://things/one") == before != []
    store.pipe("/things/one", CONTENT[::-1])
    assert marks_of("memory://things/one") != before
    with pytest.raises(FileNotFoundError):
        marks_of("memory://things/gone")


def test_an_object_of_which_less_comes_than_is_said_is_not_whole(store, monkeypatch):
    monkeypatch.setattr(type(store), "cat_file", lambda *_, **__: CONTENT[:999])
    with pytest.raises(OSError, match="999 of 1000 bytes came"):
        Remote("memory://things/one")


def test_trouble_of_any_package_is_that_of_a_disk():
    class Strange(Exception):
        pass

    for raised, seen in ((Strange("no region"), OSError), (PermissionError("denied"), OSError),
                         (FileNotFoundError("x"), FileNotFoundError)):  # fmt: skip
        with pytest.raises(seen), as_os_errors():
            raise raised
    with pytest.raises(OSError, match="refused") as caught, as_os_errors():
        raise FileNotFoundError("x") from ConnectionRefusedError("refused")  # as http has it
    assert not isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(("url", "words"), [
    ("nothing://b/x", "no protocol 'nothing'"),
    ("gs://b/x", "gs:// needs a package of its own (Please install gcsfs"),
])  # fmt: skip
def test_what_cannot_be_opened_is_said_with_the_way_out(url, words):
    if url.startswith("gs") and importlib.util.find_spec("gcsfs"):
        pytest.skip("gcsfs is here")
    with pytest.raises(SettingError) as caught:
        filesystem(url, SettingError)
    assert str(caught.value).startswith(f"{url}: ")
    assert words in str(caught.value)


def test_without_fsspec_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(AudioError, match=r"^s3://b/x: URLs need fsspec; pip install 'nearfar\[rem"):
        Remote("s3://b/x", AudioError)
