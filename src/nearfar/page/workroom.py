"""Where requests put what takes room: a folder that nobody else reads, gone with the page."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from nearfar.files import locked, storage_errors
from nearfar.page.refusal import Refusal
from nearfar.page.sounds.normal_sounds import NormalSounds

T = TypeVar("T")
PREFIX, LOCK = "nearfar-page-", "lock"  # of the folder, and a file in it that says who is alive
ROOM = 10  # times the largest request: bytes of uploads that lie on the disk at once


class Workroom:
    """A temporary folder, and what is remembered of earlier requests.

    Args:
        largest: bytes of one request.

    >>> room = Workroom(200_000_000)
    >>> with room.place() as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    >>> room.close()
    """

    def __init__(self, largest: int) -> None:
        self._most, self._taken = ROOM * largest, 0
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._handle: int | None = None  # of the lock
        self._closed = False
        self.normals = NormalSounds()
        self._ones: dict[Any, Any] = {}  # kind → the only one

    def one(self, kind: Callable[[Callable[[], Path]], T]) -> T:
        """The page's only one of a kind, made of `new` when it is first asked for."""
        with self._lock:
            if kind not in self._ones:
                self._ones[kind] = kind(self.new)
            found: T = self._ones[kind]
        return found

    def new(self) -> Path:
        """A folder in it, which its maker removes.

        Raises:
            StorageError: no disk takes it.
            Refusal: the page ends.
        """
        with self._lock:
            if self._closed:
                raise Refusal(503, "the page ends; start it again")
            with storage_errors(Path(tempfile.gettempdir())):
                if self._folder is None:
                    _sweep(Path(tempfile.gettempdir()))
                    # Of this user alone, as mkdtemp makes it.
                    self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
                    self._handle = _lock_in(self._folder)
                return Path(tempfile.mkdtemp(dir=self._folder))

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A folder for as long as a request lasts, however it ends."""
        folder = self.new()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def take(self, size: int) -> None:
        """So many bytes are about to lie there.

        Raises:
            Refusal: too much lies there.
        """
        with self._lock:
            if self._taken + size > self._most:
                raise Refusal(503, "too much is being sent at once; try again in a minute")
            self._taken += size

    def give_back(self, size: int) -> None:
        """They are gone."""
        with self._lock:
            self._taken -= size

    def close(self) -> None:
        """Remove all of it; nothing is put there any more."""
        with self._lock:
            self._closed, folder, self._folder = True, self._folder, None
            handle, self._handle = self._handle, None
        if handle is not None:  # before: Windows removes no file that is open
            os.close(handle)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _lock_in(folder: Path) -> int | None:
    """Say that the folder is in use; the system lets go of it however this process ends."""
    fresh = folder / f"{LOCK}.new"
    handle = locked(fresh)
    if handle is not None:
        # By its name only once it is locked: in between it would look as if its maker were gone.
        fresh.rename(folder / LOCK)
    return handle


def _sweep(place: Path) -> None:
    """Remove folders of pages that were killed: people's recordings may lie in them."""
    for folder in place.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != _user():
                continue
            handle = locked(folder / LOCK, make=False)
            if handle is not None:
                os.close(handle)
                shutil.rmtree(folder, ignore_errors=True)


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0
