"""The embedding cache at a URL: one small object a key, in whatever store fsspec reaches."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, StorageError, warn
from nearfar.runtime.cache import CacheSize, RowCache, array_of, blob_of, sum_of
from nearfar.runtime.remote import as_os_errors, filesystem, reason_of

REST = 600.0  # s for which a process asks nothing of a cache that could not be used
_SUM = 8  # bytes before an array's own
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]*")
_KEY = re.compile(r"/[0-9a-f]{2}/\.?[0-9a-f]{8,}[0-9a-f.]*")  # in what a store says
_SOME = 1000  # objects removed at a time
_resting: dict[str, float] = {}  # URL → when it may be tried again, of this process


class RemoteCache(RowCache):
    """As `EmbeddingCache`, at a URL.

    Objects are called by their keys in hexadecimal, in 256 folders. Each has a checksum before its
    numbers. A store that cannot be reached is left alone for `REST` seconds: every try would wait.

    Raises:
        SettingError: fsspec, or what the URL's protocol needs, is not installed.

    >>> cache = RemoteCache("memory://rows")
    >>> cache.put([(b"a key", np.float32([1, 2]))])
    >>> print(cache.get_many([b"a key", b"another"]))
    [array([1., 2.], dtype=float32), None]
    """

    together: ClassVar[int] = 16  # as long as one answer takes, others come too

    def __init__(self, url: str) -> None:
        self._url = url
        self._fs, self._root = filesystem(url, SettingError)
        self._open = _resting.get(url, 0.0) <= time.monotonic()

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """As `RowCache.get_many`; all are asked for at once."""
        if not self._open or not keys:
            return [None] * len(keys)
        paths = [self._path(key) for key in keys]
        try:
            with as_os_errors():
                found = self._fs.cat(list(dict.fromkeys(paths)), on_error="return")
                trouble = [
                    x for x in found.values()
                    if isinstance(x, Exception) and not isinstance(x, FileNotFoundError)
                ]  # fmt: skip
                if trouble:
                    raise trouble[0]
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # some say so of all when one is missing
                self._give_up(error)
            return [None] * len(keys)
        blobs = [found.get(path) for path in paths]
        return [_array(blob) for blob in blobs]

    def put(self, items: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """As `RowCache.put`; all are sent at once."""
        if not self._open:
            return
        blobs = ((key, blob_of(x)) for key, x in items)
        objects = {self._path(key): sum_of(blob) + blob for key, blob in blobs}
        if not objects:
            return
        try:
            with as_os_errors():
                _write(self._fs, objects)
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """As `RowCache.close`."""
        self._open = False

    def _path(self, key: bytes) -> str:
        name = key.hex()
        return f"{self._root.rstrip('/')}/{name[:2]}/{name[2:]}"

    def _give_up(self, error: Exception) -> None:
        self.close()
        _resting[self._url] = time.monotonic() + REST
        # Each process stumbles over another object: without its name all say the same, and once.
        root = self._root.rstrip("/")
        below = re.escape(root) + r"/[0-9a-f]{2}(?![^/'\" ])"
        reason = re.sub(below, root, _KEY.sub("", reason_of(error)))
        warn(
            f"{self._url}: the embedding cache cannot be used ({reason}); going on without it. "
            "See to the connection and to your access to it"
        )

    def __reduce__(self) -> Any:
        raise TypeError("a cache is opened where it is used")  # connections go nowhere


def _array(found: object) -> NDArray[np.float32] | None:
    if not isinstance(found, bytes):
        return None
    return array_of(found[_SUM:], found[:_SUM])


def _write(fs: Any, blobs: dict[str, bytes]) -> None:
    """Objects, each whole or not at all to whoever reads."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    if isinstance(fs, AsyncFileSystem | MemoryFileSystem):  # stores: an object is there or not
        fs.pipe(blobs)
        return
    for path, blob in blobs.items():
        folder, _, name = path.rpartition("/")
        part = f"{folder}/.{name}.{secrets.token_hex(8)}"
        fs.makedirs(folder, exist_ok=True)
        fs.pipe_file(part, blob)
        try:
            fs.mv(part, path)
        except OSError:  # some move nothing to a name that is taken
            fs.rm_file(path)
            fs.mv(part, path)


def remote_size(url: str) -> CacheSize:
    """How many embeddings a URL's cache holds and their bytes; of other objects nothing is said.

    Raises:
        StorageError: it cannot be listed.
        SettingError: as `RemoteCache`.
    """
    found = _objects(url)[1]
    return CacheSize(len(found), sum(found.values()))


def clear_remote(url: str) -> int:
    """Empty a URL's cache; objects that are no embeddings stay.

    Returns:
        Bytes freed.

    Raises:
        StorageError: it cannot be listed, or objects cannot be removed.
        SettingError: as `RemoteCache`.
    """
    fs, found = _objects(url)
    names = list(found)
    try:
        with as_os_errors():
            for first in range(0, len(names), _SOME):
                fs.rm(names[first : first + _SOME])
    except FileNotFoundError:  # another process empties it, too
        pass
    except OSError as error:
        raise StorageError(f"{url}: cannot be emptied ({reason_of(error)})") from None
    return sum(found.values())


def _objects(url: str) -> tuple[Any, dict[str, int]]:
    """The file system, and the objects that are embeddings with their bytes."""
    fs, root = filesystem(url, SettingError)
    try:
        with as_os_errors():
            fs.invalidate_cache()
            listed = fs.find(root, detail=True)
    except FileNotFoundError:
        return fs, {}
    except OSError as error:
        raise StorageError(
            f"{url}: cannot be listed ({reason_of(error)}); see to the connection and to your "
            "access to it"
        ) from None
    below = root.rstrip("/") + "/"
    return fs, {
        name: int(about.get("size") or 0)
        for name, about in listed.items()
        if name.startswith(below) and _NAME.fullmatch(name[len(below) :])
    }
