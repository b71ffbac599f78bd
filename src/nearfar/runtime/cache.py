"""The embedding cache on disk: arrays by key, how much it holds, emptying it.

Nothing is pickled, and nothing half-written is ever found: it is an SQLite database.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import SettingError, StorageError, warn
from nearfar.files import storage_errors

PATIENCE = 30.0  # s; how long to wait for another process that writes to the cache
CACHE_FILE = "embeddings.sqlite"

# What SQLite says of a file that it cannot read, or that has other tables: it may be deleted.
DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def default_cache() -> Path:
    """The cache folder of the command line: $NEARFAR_CACHE, or the user's cache folder.

    Raises:
        SettingError: this user has no home folder, as in some containers.
    """
    if chosen := os.environ.get("NEARFAR_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return Path(base or Path.home() / ".cache") / "nearfar"
    except RuntimeError as error:
        raise SettingError(f"no home folder ({error}); set NEARFAR_CACHE to a folder") from None


class EmbeddingCache:
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

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        """The array kept under a key, flat; None if there is none."""
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
        if found is None or _sum(found[0]) != found[1] or len(found[0]) % 4:
            return None
        return np.frombuffer(found[0], dtype="<f4").astype(np.float32)

    def put(self, items: Iterable[tuple[bytes, NDArray[np.float32]]]) -> None:
        """Keep arrays, all or none of the call."""
        if self._connection is None:
            return
        # Little-endian on every machine: a cache may be copied.
        blobs = [(key, np.ascontiguousarray(x, dtype="<f4").tobytes()) for key, x in items]
        if not blobs:
            return
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
                    [(key, value, _sum(value)) for key, value in blobs],
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


def _sum(value: object) -> bytes:
    return hashlib.blake2b(
        value if isinstance(value, bytes) else b"", digest_size=8
    ).digest()  # 64 bits: damage, not attacks


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
