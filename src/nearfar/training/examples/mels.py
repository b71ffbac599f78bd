"""Log-mels of training clips on disk, read as if they lay in memory.

A store is a folder of one front end's log-mels. Each sound has one file, `DIGEST.npy`; each clip
has one note, `STAMP.note`, by which a second run knows its sound without opening the recording.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from nearfar.errors import StorageError, warn
from nearfar.files import locked, storage_errors
from nearfar.runtime.arrays import FOLDER, ArrayStore, tidy

TEMPORARY = "nearfar-mels-"  # begins the names of stores without a cache, in the system's folder
LOCK = ".lock"  # in such a store; held as long as its process lives
BANDS = 128
ROW = 4 * BANDS  # bytes a frame
LARGE = 2e9  # bytes from which a person is told
_KEY_DIGITS = 16  # of the key's hash, in the name of a store's folder


@dataclass(frozen=True)
class Source:
    """The sound of one file.

    >>> Source(digest="9f86…", near="2c62…", samples=160_000).samples / 16_000  # s
    10.0
    """

    digest: str  # sha256 of the channels that the front end takes
    near: str  # sha256 of channel 0 alone
    samples: int


class MelStore(ArrayStore):
    """The log-mels of one front end, (frames, 128) each, by the sound's digest.

    >>> import numpy as np
    >>> store = MelStore.open(None, "a front end's settings")
    >>> store.add("9f86…", np.zeros((16, BANDS), np.float32))
    >>> "9f86…" in store, store["9f86…"].shape
    (True, (16, 128))
    >>> store.close()

    Raises:
        StorageError: no folder can be made there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)  # its room is asked for before it is filled
        self._remove: Callable[[], object] = lambda: None

    @classmethod
    def open(cls, cache: Path | None, key: str) -> MelStore:
        """The store of a cache folder, or without one a temporary one that goes with this object.

        The key is everything that changes the numbers, as text.
        """
        if cache is None:
            place = Path(tempfile.gettempdir())
            _sweep(place)
            with storage_errors(place):
                folder, handle = _temporary(place)
            store = cls(folder)
            store._remove = weakref.finalize(store, _removed, folder, handle)
            return store
        tidy(cache / FOLDER)
        name = hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]
        return cls(cache / FOLDER / name)

    def source(self, stamp: str) -> Source | None:
        """The sound that a file gave, if its log-mel is there."""
        try:
            found = Source(**self.noted(stamp))
        except TypeError:  # no note, or another's
            return None
        return found if found.digest in self else None

    def note(self, stamp: str, source: Source) -> None:
        """Remember what a file gave."""
        self.write_note(stamp, asdict(source))

    def close(self) -> None:
        """Let go of the files; a temporary store is gone then."""
        super().close()
        self._remove()


def _temporary(place: Path) -> tuple[Path, int | None]:
    """A new folder for a store that goes with its process, and what says that this one lives."""
    # Under another name until it is locked: or it would look as if its process were gone.
    made = Path(tempfile.mkdtemp(prefix=f".{TEMPORARY}", dir=place))
    handle = locked(made / LOCK)
    return made.rename(place / made.name.removeprefix(".")), handle


def _removed(folder: Path, handle: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if handle is not None:
        os.close(handle)


def _sweep(place: Path) -> None:
    """Remove temporary stores of processes that were killed: nobody holds their locks any more."""
    # To tidy up is no reason to fail: others' folders there are not ours to open.
    with suppress(OSError):
        for folder in [p for p in place.iterdir() if p.name.startswith(TEMPORARY)]:
            if (handle := locked(folder / LOCK, make=False)) is not None:
                _removed(folder, handle)


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
