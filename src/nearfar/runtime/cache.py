"""The embedding cache: arrays by key; on disk, how much it holds, and emptying it.

Nothing is pickled, and nothing half-written is ever found: it is an SQLite database.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, StorageError, warn
from nearfar.files import storage_errors
from nearfar.runtime.urls import place, url_of

PATIENCE = 30.0  # s; how long to wait for another process that writes to the cache
CACHE_FILE = "embeddings.sqlite"

# What SQLite says of a file that it cannot read, or that has other tables: it may be deleted.
DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def default_cache() -> Path:
    """The cache of the command line: the folder or URL in $NEARFAR_CACHE, or `machine_cache`.

    Raises:
        SettingError: this user has no home folder, as in some containers.
    """
    chosen = os.environ.get("NEARFAR_CACHE")
    return place(chosen) if chosen else machine_cache()


def machine_cache() -> Path:
    """The user's own cache folder on this machine; raises as `default_cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return Path(base or Path.home() / ".cache") / "nearfar"
    except RuntimeError as error:
        raise SettingError(f"no home folder ({error}); set NEARFAR_CACHE to a folder") from None


def check_cache(cache: Path) -> None:
    """Refuse a cache that somebody asked for and that cannot be; nothing is made or connected to.

    Raises:
        StorageError: a file, or a folder that cannot be written to.
        SettingError: fsspec, or what a URL's protocol needs, is not installed.
    """
    if url := url_of(cache):
        from nearfar.runtime.remote import filesystem

        filesystem(url, SettingError)
        return
    if len(cache.parts) == 1 and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+:", cache.name):
        raise SettingError(f"{cache}// names no place; write {cache}//BUCKET/FOLDER")
    with storage_errors(cache):
        there = next(p for p in (cache, *cache.absolute().parents) if p.exists())
        if not there.is_dir():
            raise StorageError(f"{there}: is a file; embeddings are kept in a folder, name another")
        if not os.access(there, os.W_OK | os.X_OK):
            raise StorageError(f"{there}: cannot be written to; name another folder for the cache")


class RowCache(ABC):
    """float32 arrays by key, which several processes may read and write.

    What cannot be read or written costs a warning and time, never a result.

    >>> EmbeddingCache(None).get_many([b"a key"])
    [None]
    """

    together: ClassVar[int] = 1  # clips whose rows are worth asking for at once

    @abstractmethod
    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """The array kept under each key, flat; None where there is none, or a damaged one."""

    @abstractmethod
    def put(self, items: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Keep arrays, each whole or not at all."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open; afterwards nothing is found or kept."""

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """The array kept under a key, flat; None if there is none."""
        return self.get_many([key])[0]


def blob_of(array: NDArray[np.float32]) -> bytes:
    """An array's numbers: little-endian on every machine, for a cache may be copied."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()


def array_of(blob: bytes, total: object) -> NDArray[np.float32] | None:
    """What `blob_of` was given, flat; None if `sum_of` says that it is damaged.

    >>> blob = blob_of(np.float32([1, 2]))
    >>> array_of(blob, sum_of(blob)), array_of(blob[:7], sum_of(blob))
    (array([1., 2.], dtype=float32), None)
    """
    if sum_of(blob) != total or len(blob) % 4:
        return None
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def sum_of(value: object) -> bytes:
    """A checksum of 64 bits: against damage, not attacks."""
    return hashlib.blake2b(value if isinstance(value, bytes) else b"", digest_size=8).digest()


class EmbeddingCache(RowCache):
    """float32 arrays by key, in one SQLite file that several processes may read and write.

    A cache that cannot be used (full disk, no permission, damaged file) costs a warning and time,
    never a result.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = EmbeddingCache(Path(folder))
    ...     cache.put([(b"a key", np.float32([1, 2]))])
    ...     print(cache.get(b"a key"), cache.get(b"another"))
    ...     cache.close()
    [1. 2.] None
    """

    def __init__(self, folder: Path | None) -> None:
        self._connection: sqlite3.Connection | None = None
        if folder is None:
            return
        self._path = folder / CACHE_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._open(self._path)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    @classmethod
    def _open(cls, path: Path) -> sqlite3.Connection:
        latest = time.monotonic() + PATIENCE
        while True:
            try:
                return cls._connect(path)
            except sqlite3.OperationalError as error:
                # Changing the journal's mode does not wait for others who are doing the same.
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF
                if code != sqlite3.SQLITE_BUSY or time.monotonic() > latest:
                    raise
                time.sleep(0.01)

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=PATIENCE)
        try:
            connection.execute("PRAGMA journal_mode=WAL")  # who reads does not wait for a writer
            # A power cut may lose the last rows, never damage the file: they are computed again.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB, sum BLOB)"
            )
            # Another program's table of that name is found out now, not at the first row.
            connection.execute("SELECT key, value, sum FROM rows LIMIT 1").fetchone()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def get_many(self, keys: Sequence[bytes]) -> list[NDArray[np.float32] | None]:
        """As `RowCache.get_many`."""
        return [self._one(key) for key in keys]

    def _one(self, key: bytes) -> NDArray[np.float32] | None:
        if self._connection is None:
            return None
        try:
            found = self._connection.execute(
                "SELECT value, sum FROM rows WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        # The sum catches what SQLite does not promise to: a damaged byte inside a value.
        return None if found is None else array_of(found[0], found[1])

    def put(self, items: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Keep arrays, all or none of the call."""
        if self._connection is None:
            return
        blobs = [(key, blob_of(x)) for key, x in items]
        if not blobs:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
                    [(key, value, sum_of(value)) for key, value in blobs],
                )
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _give_up(self, error: Exception) -> None:
        self.close()
        warn(
            f"{self._path}: the embedding cache cannot be used ({error}); going on without it. "
            "Set NEARFAR_CACHE to another folder, or delete the file"
        )


@dataclass(frozen=True)
class CacheSize:
    """What an embedding cache holds.

    >>> cache_size(Path("no such folder"))
    CacheSize(entries=0, bytes=0)
    """

    entries: int | None  # embeddings; None: the file is damaged and nobody can tell
    bytes: int  # on disk, with SQLite's own files beside the database


def cache_size(folder: Path) -> CacheSize:
    """How many embeddings a cache folder holds and what they take on disk; 0 where there is none.

    Raises:
        StorageError: the file cannot be opened, or another process keeps it locked.
    """
    with _cache_errors(folder):
        if folder.is_file():
            raise StorageError(f"{folder}: is a file; set NEARFAR_CACHE to a folder")
        entries: int | None = 0
        if (folder / CACHE_FILE).exists():
            try:
                with _existing(folder) as connection:
                    entries = connection.execute("SELECT count(*) FROM rows").fetchone()[0]
            except sqlite3.Error as error:
                if _code(error) not in DAMAGE:
                    raise
                entries = None
        return CacheSize(entries, _bytes(folder))


def clear_cache(folder: Path) -> int:
    """Empty a cache folder; other processes may have it open, and find it empty.

    A damaged file is deleted. A cache that is not there is empty.

    Returns:
        Bytes freed on disk.

    Raises:
        StorageError: no permission, or another process keeps the file locked.
    """
    with _cache_errors(folder):
        before = _bytes(folder)
        try:
            if (folder / CACHE_FILE).exists():
                with _existing(folder) as connection:
                    connection.execute("SELECT key, value, sum FROM rows LIMIT 1")  # is it ours?
                    connection.execute("DELETE FROM rows")
                    connection.execute("VACUUM")  # the file stays; others may have it open
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            if _code(error) not in DAMAGE:
                raise
            # The database last: beside a new one, its old log would be taken for the new one's.
            for path in reversed(_cache_files(folder)):
                path.unlink(missing_ok=True)
        return max(before - _bytes(folder), 0)


@contextmanager
def _existing(folder: Path) -> Iterator[sqlite3.Connection]:
    """The database that is there, each statement a transaction of its own."""
    place = (folder / CACHE_FILE).resolve().as_uri() + "?mode=rw"
    connection = sqlite3.connect(place, timeout=PATIENCE, isolation_level=None, uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _cache_files(folder: Path) -> list[Path]:
    """The database, and what SQLite keeps beside it while it is open or after a crash."""
    paths = [folder / (CACHE_FILE + tail) for tail in ("", "-journal", "-shm", "-wal")]
    return [path for path in paths if path.exists()]


def _bytes(folder: Path) -> int:
    size = 0
    for path in _cache_files(folder):
        with suppress(FileNotFoundError):  # they come and go
            size += path.stat().st_size
    return size


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary error code; what Python itself raises counts as damage."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextmanager
def _cache_errors(folder: Path) -> Iterator[None]:
    path = folder / CACHE_FILE
    try:
        with storage_errors(path):
            yield
    except sqlite3.Error as error:
        if _code(error) in BUSY:
            what = "busy, another process is using it; try again when it is done"
        else:
            what = f"cannot be used ({error}); look at its permissions"
        raise StorageError(f"{path}: {what}") from None
