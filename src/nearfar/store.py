"""Bytes on disk: the embedding cache, atomic files, the detector folder's banks.

Nothing is pickled, nothing half-written is ever found: files are written beside their place and
renamed into it, the cache is an SQLite database.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import NearfarWarning, SettingError, StorageError

Progress = Callable[[str, int, int], None]  # (what, done, of)
PATIENCE = 30.0  # s; how long to wait for another process that writes to the cache
BANK = "bank-"  # what the name of a bank in a detector folder begins with
WEIGHTS = "weights-"  # and that of a folder with a copy of an encoder's weights
CACHE_FILE = "embeddings.sqlite"
STALE = 3600.0  # s; a half-written file older than this has lost its writer
_BANK_NAME = re.compile(BANK + r"[0-9a-f]{32}\.safetensors")
_OUR_NAME = re.compile(rf"{_BANK_NAME.pattern}|{WEIGHTS}[0-9a-f]{{16}}")


@dataclass(frozen=True)
class Runtime:
    """How to compute, never what: no field changes a score by more than rounding.

    Args:
        workers: processes that read and embed clips; 1 stays in this process.
        cache: folder of the embedding cache; None keeps nothing.
        progress: called as `progress(what, done, of)`.
        device: of encoders: "auto" (CUDA, then MPS, then CPU), "cpu", "cuda", "cuda:1", "mps".
        batch_size: clips an encoder takes at a time; None leaves it to the device. Rows then agree
            to 1e-6 in fp32; in bf16, and on a GPU, they may differ in bfloat16's own rounding.
    """

    workers: int = 1
    cache: Path | None = None
    progress: Progress | None = None
    device: str = "auto"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or self.workers < 1:
            raise SettingError(
                f"workers is {self.workers!r}; it is a number of processes from 1 up"
            )
        if self.cache is not None:
            object.__setattr__(self, "cache", Path(self.cache))
        if not isinstance(self.device, str):
            raise SettingError(f"device is {self.device!r}; it is auto, cpu, cuda, cuda:1 … or mps")
        size = self.batch_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise SettingError(f"batch_size is {size!r}; it is a number of clips from 1 up")


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
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB, sum BLOB)"
            )
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
        warnings.warn(
            f"{self._path}: the embedding cache cannot be used ({error}); going on without it. "
            "Set NEARFAR_CACHE to another folder, or delete the file",
            NearfarWarning,
            stacklevel=2,
        )


def _sum(value: object) -> bytes:
    return hashlib.blake2b(value if isinstance(value, bytes) else b"", digest_size=8).digest()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says into one line of ours.

    Raises:
        StorageError: the body raised OSError.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path}: cannot be written ({reason}); free some space or choose another place"
        ) from None


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears whole or not at all.

    Raises:
        StorageError: no permission, full disk, no such folder.
    """
    with storage_errors(path):
        path = path.resolve()  # what a link points to is replaced, not the link
        if path.exists() and not path.is_file():  # a device or a pipe has no half-written state
            with path.open("wb") as stream:
                yield stream
            return
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


def write_folder(folder: Path, index: str, index_text: str, files: dict[str, bytes]) -> None:
    """Write files and then, in one rename, the index that names them.

    Whatever happens before that rename, the folder still is what it was: new files have names of
    their own (`bank-` and their hash), old ones go last.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    check_folder(folder, index)
    with storage_errors(folder):
        existed = folder.exists()
        old = _named_banks(folder / index)
        folder.mkdir(parents=True, exist_ok=True)
        new: list[Path] = []
        try:
            for name, content in files.items():
                _write_new(folder / name, content, new)
            write_text(folder / index, index_text)
        except BaseException:
            if not _reads(folder / index, index_text):  # Ctrl-C may come just after the rename
                _remove(new)
                if not existed:
                    with suppress(OSError):
                        folder.rmdir()
            raise
        # Only what the old index named, and what a writer left that was killed long ago: another
        # writer may be at work on the same folder.
        _remove(folder / name for name in old if name not in files)
        _remove(
            p
            for p in list(folder.iterdir())
            if _is_ours(p, index) and p.is_file() and p.name not in files and file_age(p) > STALE
        )


def check_folder(folder: Path, index: str) -> bool:
    """Refuse a place that no index and banks can be written to.

    Returns:
        Is there an index already?

    Raises:
        StorageError: a file, or a folder with other things in it.
    """
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder}: is a file; choose another name for the detector")
        if (folder / index).exists():
            return True
        if folder.exists() and not all(_is_ours(p, index) for p in folder.iterdir()):
            raise StorageError(
                f"{folder}: has other files in it and no {index}; choose a new folder"
            )
        return False


def _is_ours(path: Path, index: str) -> bool:
    """A bank, weights, or what a killed writer left behind; all else in it is somebody's."""
    half_written = path.name.startswith((f".{BANK}", f".{index}.", f".{WEIGHTS}"))
    return half_written or _OUR_NAME.fullmatch(path.name) is not None


def _named_banks(index: Path) -> set[str]:
    """Banks that an index names, by their pattern: it may be damaged, or of another version."""
    try:
        return set(_BANK_NAME.findall(index.read_text(errors="replace")))
    except OSError:
        return set()


def file_age(path: Path) -> float:
    """Seconds since a file or folder was changed; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _write_new(path: Path, content: bytes, new: list[Path]) -> None:
    """Write a file unless it is there and whole (its name says what it holds, damage does not)."""
    if not path.exists():
        new.append(path)
    elif path.read_bytes() == content:
        return
    with atomic_file(path) as file:
        file.write(content)


def _reads(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _remove(paths: Iterable[Path]) -> None:
    """Tidy up; what cannot be removed does no harm."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
