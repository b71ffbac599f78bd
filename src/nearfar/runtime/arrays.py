"""Arrays on disk, read as if they lay in memory: the stores of a cache folder.

A store is a folder. Each array has one file, `NAME.npy`; beside them may lie notes, `NAME.note`, of
JSON. All are written whole or not at all, end in a sum, and hold the same whoever writes them: any
number of processes may read and write without a lock.
"""

from __future__ import annotations

import io
import json
import secrets
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import StorageError, warn
from nearfar.files import STALE, file_age, storage_errors

Float32 = NDArray[np.float32]

FOLDER = "mels"  # of all stores, in the cache
OPEN = 128  # files mapped at a time: each holds a descriptor, and some systems give 256
_SUM = 4  # bytes of crc32 at the end, where NumPy does not look
_KINDS = (".npy", ".note", ".f32", ".json")  # the last two were those of an earlier format
# What was whole when this process looked: a file, its size and time. Many encoders read a store,
# one after the other, and each would read all of it once more for its sums.
_looked_at: dict[Path, tuple[int, int]] = {}


class ArrayStore:
    """Arrays of one kind, by name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = ArrayStore(Path(folder, "kind"))
    ...     store.add("9f86…", np.zeros((16, 128), np.float32))
    ...     "9f86…" in store, store["9f86…"].shape, "2c62…" in store
    (True, (16, 128), False)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # made by the first that is written
        self._maps: dict[str, Float32] = {}  # name → the array, on the disk

    def __getitem__(self, digest: str) -> Float32:
        """An array: a view of the file, not to be written to.

        Raises:
            StorageError: it is not there.
        """
        if digest not in self._maps:
            if len(self._maps) >= OPEN:
                self._maps.clear()
            try:
                mapped = np.load(self.folder / f"{digest}.npy", mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise StorageError(
                    f"{self.folder}: a log-mel cannot be read any more ({error}); do not empty the "
                    "cache while it is in use, and start again with --resume"
                ) from None
            # A plain view: a memmap's slices would be slower objects.
            self._maps[digest] = np.asarray(mapped)
        return self._maps[digest]

    def __contains__(self, digest: object) -> bool:
        """Is it there, and as it was written? What was damaged on the disk counts as not there."""
        path = self.folder / f"{digest}.npy"
        with suppress(OSError, ValueError):
            facts = path.stat()
            if _looked_at.get(path) != (facts.st_size, facts.st_mtime_ns):
                _read(path)
                _looked_at[path] = (facts.st_size, facts.st_mtime_ns)
            return True
        return False

    def add(self, digest: str, array: Float32) -> None:
        """Keep an array of float32.

        Raises:
            StorageError: full disk, no permission.
        """
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(array, dtype="<f4"))
        _write(self.folder / f"{digest}.npy", content.getvalue())

    def noted(self, name: str) -> Any:
        """What a note says; None where there is none, or a damaged one."""
        try:
            return json.loads(_read(self.folder / f"{name}.note"))
        except (OSError, ValueError):
            return None

    def write_note(self, name: str, what: Any) -> None:
        """Write a note of what JSON can hold.

        Raises:
            StorageError: full disk, no permission.
        """
        _write(self.folder / f"{name}.note", json.dumps(what).encode())

    def close(self) -> None:
        """Let go of the files."""
        self._maps.clear()


def stored_bytes(cache: Path) -> int:
    """What all stores of a cache folder take on disk, those of an earlier format among them."""
    return sum(size for _, size in _files(cache / FOLDER))


def clear_stores(cache: Path) -> int:
    """Bytes freed by removing all stores of a cache folder; who reads one may stop, and resume.

    Raises:
        StorageError: no permission.
    """
    before = stored_bytes(cache)
    with storage_errors(cache / FOLDER):
        for path, _ in list(_files(cache / FOLDER)):
            path.unlink(missing_ok=True)
    return before - stored_bytes(cache)


def tidy(folder: Path) -> None:
    """Remove what killed writers left long ago; say what an earlier format left behind."""
    old = 0
    for path, size in _files(folder):
        if path.name[0] == "." and file_age(path) > STALE:
            with suppress(OSError):
                path.unlink()
        elif path.parent == folder:  # stores of today have folders of their own
            old += size
    if old:
        told = f"{old / 1e9:.3g} GB of log-mels that an earlier nearfar stored, of no use now"
        warn(f"{folder}: {told}; nearfar cache --clear frees them")


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all to other processes; after a power cut the sum tells.

    To wait for the disk, as `atomic_file` does, would take longer than to compute a log-mel.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # also where it was removed meanwhile
            part.write_bytes(content + zlib.crc32(content).to_bytes(_SUM, "little"))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    """What was written; a damaged file is a ValueError."""
    content = path.read_bytes()
    if zlib.crc32(content[:-_SUM]).to_bytes(_SUM, "little") != content[-_SUM:]:
        raise ValueError(f"{path}: damaged")
    return content[:-_SUM]


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """All that stores, those of an earlier format too, may have put there, and how many bytes."""
    for path in folder.rglob("*"):
        if path.suffix in _KINDS or path.name[0] == ".":
            with suppress(OSError):  # another process may remove it meanwhile
                yield path, path.stat().st_size
