"""The embedding cache seen from outside: how large it is, and emptying it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from nearfar import store
from nearfar.errors import StorageError
from nearfar.store import CACHE_FILE, storage_errors

DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True)
class CacheSize:
    """What an embedding cache holds."""

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
                    connection.execute("VACUUM")
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
    connection = sqlite3.connect(place, timeout=store.PATIENCE, isolation_level=None, uri=True)
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
