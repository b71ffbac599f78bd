"""Log-mels of training clips on disk, read as if they lay in memory.

A store is a folder of one front end's log-mels. Each sound has one file, `DIGEST.npy`; each clip
has one note, `STAMP.note`, by which a second run knows its sound without opening the recording.
Both are written whole or not at all, end in a sum, and hold the same whoever writes them: any
number of processes may read and write without a lock.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import StorageError, warn
from nearfar.files import STALE, file_age, storage_errors

Float32 = NDArray[np.float32]

FOLDER = "mels"  # in the cache
BANDS = 128
ROW = 4 * BANDS  # bytes a frame
LARGE = 2e9  # bytes from which a person is told
OPEN = 128  # files mapped at a time: each holds a descriptor, and some systems give 256
_KEY_DIGITS = 16  # of the key's hash, in the name of a store's folder
_SUM = 4  # bytes of crc32 at the end, where NumPy does not look
_KINDS = (".npy", ".note", ".f32", ".json")  # the last two were those of an earlier format


@dataclass(frozen=True)
class Source:
    """The sound of one file.

    >>> Source(digest="9f86…", near="2c62…", samples=160_000).samples / 16_000  # s
    10.0
    """

    digest: str  # sha256 of the channels that the front end takes
    near: str  # sha256 of channel 0 alone
    samples: int


class MelStore:
    """The log-mels of one front end.

    >>> store = MelStore.open(None, "a front end's settings")
    >>> store.add("9f86…", np.zeros((16, BANDS), np.float32))
    >>> "9f86…" in store, store["9f86…"].shape
    (True, (16, 128))
    >>> store.close()

    Raises:
        StorageError: no folder can be made there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # made where there is none
        self._maps: dict[str, Float32] = {}  # digest → (frames, 128), on the disk
        self._sound: set[str] = set()  # digests whose sums were right
        self._remove: Callable[[], object] = lambda: None
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def open(cls, cache: Path | None, key: str) -> MelStore:
        """The store of a cache folder, or without one a temporary one that goes with this object.

        The key is everything that changes the numbers, as text.
        """
        if cache is None:
            with storage_errors(Path(tempfile.gettempdir())):
                store = cls(Path(tempfile.mkdtemp(prefix="nearfar-mels-")))
            store._remove = weakref.finalize(store, shutil.rmtree, store.folder, True)
            return store
        _tidy(cache / FOLDER)
        name = hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]
        return cls(cache / FOLDER / name)

    def __getitem__(self, digest: str) -> Float32:
        """The log-mel of a sound, (frames, 128): a view of the file, not to be written to.

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
                    "cache while a training runs, and start again with --resume"
                ) from None
            # A plain view: a memmap's slices would be slower objects.
            self._maps[digest] = np.asarray(mapped)
        return self._maps[digest]

    def __contains__(self, digest: object) -> bool:
        """Is it there, and as it was written? What was damaged on the disk counts as not there."""
        if digest not in self._sound:
            with suppress(OSError, ValueError):
                _read(self.folder / f"{digest}.npy")
                self._sound.add(str(digest))
        return digest in self._sound

    def add(self, digest: str, mel: Float32) -> None:
        """Keep a log-mel, (frames, 128) float32.

        Raises:
            StorageError: full disk, no permission.
        """
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(mel, dtype="<f4"))
        _write(self.folder / f"{digest}.npy", content.getvalue())

    def source(self, stamp: str) -> Source | None:
        """The sound that a file gave, if its log-mel is there."""
        try:
            found = Source(**json.loads(_read(self.folder / f"{stamp}.note")))
        except (OSError, ValueError):
            return None
        return found if found.digest in self else None

    def note(self, stamp: str, source: Source) -> None:
        """Remember what a file gave."""
        _write(self.folder / f"{stamp}.note", json.dumps(asdict(source)).encode())

    def close(self) -> None:
        """Let go of the files; a temporary store is gone then."""
        self._maps.clear()
        self._sound.clear()
        self._remove()


def check_room(folder: Path, size: int) -> None:
    """Say that a store in this folder will take so many bytes more, before it is filled.

    Raises:
        StorageError: the disk has not that much room.
    """
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"{folder}: the log-mels take {size / 1e9:.3g} GB, {free / 1e9:.3g} GB are free; free "
            "some space, or set NEARFAR_CACHE to a folder on another disk"
        )
    if size > LARGE:
        told = f"storing log-mels, {size / 1e9:.1f} GB ({free / 1e9:.0f} GB are free)"
        warn(f"{folder}: {told}")


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


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all to other processes; after a power cut the sum tells.

    To wait for the disk, as `atomic_file` does, would take longer than to compute a log-mel.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with storage_errors(path):
        try:
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


def _tidy(folder: Path) -> None:
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
