"""Where requests put what takes room: a folder that nobody else reads, gone with the page."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from nearfar.files import storage_errors
from nearfar.page.normal_sounds import NormalSounds
from nearfar.page.refusal import Refusal

T = TypeVar("T")
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
                    # Of this user alone, as mkdtemp makes it.
                    self._folder = Path(tempfile.mkdtemp(prefix="nearfar-page-"))
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
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
