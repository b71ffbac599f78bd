"""Recordings that were sent, in their folder: whole or not at all, and none written over."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO

from nearfar.errors import DatasetError, StorageError
from nearfar.files import atomic_file, sha256, storage_errors, sweep
from nearfar.page.refusal import Refusal
from nearfar.sound.audio import SUFFIXES
from nearfar.text import figure

LIST = ".sent.jsonl"  # in the folder: what was sent, a line each; nothing else is ever removed
SPARE = 2_000_000  # bytes that stay free on the disk: the detector is to be written there


class SentFolder:
    """A folder of recordings that were sent; asked from several threads.

    Args:
        folder: made with the first recording.

    >>> SentFolder(Path("no/such.normals")).count
    0
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        for below, _, _ in os.walk(folder):
            sweep(Path(below))  # of a process that was killed
        self.count, self.bytes = size_of(recordings_in(folder))  # also of what was not sent

    def check_room(self, coming: int) -> None:
        """Refuse what the disk has no room for, before it is sent.

        Args:
            coming: bytes; 0 if nobody says.

        Raises:
            Refusal: the disk would be full.
        """
        above = next(p for p in (self.folder, *self.folder.absolute().parents) if p.is_dir())
        free = shutil.disk_usage(above).free
        if coming + SPARE > free:
            raise Refusal(503, f"{self.folder.name}: {figure(free / 1e6)} MB are free, too few for "
                          f"{figure(coming / 1e6)} MB more; free some space")  # fmt: skip

    def begin(self, place: Path) -> Coming:
        """A recording that is about to come.

        Args:
            place: relative to the folder, as `place_for` has it.

        Raises:
            DatasetError: it would lie elsewhere, or something else is called so.
            StorageError: the folder cannot be written.
        """
        with self._lock:  # nobody tidies up a folder between its making and its first file
            self._make_way(place)
            return Coming(self, place)

    def _make_way(self, place: Path) -> None:
        path = self.folder / place
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        # A link in the folder would lead what is sent to wherever it points.
        inside = path.parent.resolve().is_relative_to(self.folder.resolve())
        if not inside or path.is_symlink() or (path.exists() and not path.is_file()):
            raise DatasetError(f"{place.as_posix()}: something else is called so; rename it")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise DatasetError(
                f"{place.as_posix()}: a recording is called as its folder; rename it"
            ) from None
        except OSError as error:
            raise StorageError(f"{path.parent}: cannot be made ({error.strerror})") from None

    def commit(self, coming: Coming) -> bool:
        """What has come whole gets its name; False if the same is there already.

        Raises:
            DatasetError: another sound has that name.
            StorageError: it cannot be written.
        """
        with self._lock:  # of two that send the same name the second finds the first's
            path = self.folder / coming.place
            if path.exists():
                coming.drop()
                if sha256(path) != coming.digest:
                    raise DatasetError(
                        f"{coming.place.as_posix()}: another recording has this name already; "
                        "rename one of them"
                    )
                return False
            if not coming.is_written:
                raise DatasetError(f"{coming.place.as_posix()}: removed meanwhile; send it again")
            coming.close()
            size = path.stat().st_size
            self.count, self.bytes = self.count + 1, self.bytes + size
            self._note(coming.place, size)
            return True

    def remove(self) -> int:
        """Remove what was sent, and nothing else; how many recordings that were."""
        removed = 0
        with self._lock:
            for place, size in self._sent().items():
                path = self.folder / place
                # Replaced by hand it is somebody's own.
                if path.is_file() and path.stat().st_size == size:
                    with storage_errors(path):
                        path.unlink()
                    removed += 1
                self.tidy(path.parent)
            (self.folder / LIST).unlink(missing_ok=True)
            self.tidy(self.folder)
            self.count, self.bytes = size_of(recordings_in(self.folder))
        return removed

    def tidy(self, below: Path) -> None:
        """Remove folders that have nothing in them, from one up to the folder itself."""
        with self._lock, suppress(OSError):
            while below == self.folder or self.folder in below.parents:
                below.rmdir()
                below = below.parent

    def _note(self, place: Path, size: int) -> None:
        line = json.dumps({"file": place.as_posix(), "bytes": size})
        with storage_errors(self.folder), (self.folder / LIST).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def _sent(self) -> dict[Path, int]:
        """Relative path → bytes; a line that was cut short is none."""
        found: dict[Path, int] = {}
        with suppress(OSError):
            for line in (self.folder / LIST).read_text(encoding="utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    said = json.loads(line)
                    place = Path(str(said["file"]))
                    if not place.is_absolute() and ".." not in place.parts:
                        found[place] = int(said["bytes"])
        return found


class Coming:
    """A recording that is being sent.

    >>> Coming.__init__.__doc__ is None
    True
    """

    def __init__(self, folder: SentFolder, place: Path) -> None:
        self.place = place
        self._of, self._path = folder, folder.folder / place
        self._hash = hashlib.sha256()
        self._file: IO[bytes] | None = None
        self._whole: AbstractContextManager[IO[bytes]] | None = None
        if not self._path.exists():  # else there is something to compare, and nothing to write
            self._whole = atomic_file(self._path)
            self._file = self._whole.__enter__()

    @property
    def is_written(self) -> bool:
        """Is it kept, and not only compared with what is there?"""
        return self._file is not None

    @property
    def digest(self) -> str:
        """sha256 of what came."""
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """More of it.

        Raises:
            StorageError: the disk is full.
        """
        self._hash.update(data)
        if self._file is not None:
            with storage_errors(self._path):
                self._file.write(data)

    def commit(self) -> bool:
        """It has come whole; see `SentFolder.commit`."""
        return self._of.commit(self)

    def close(self) -> None:
        """Give it its name."""
        whole, self._whole, self._file = self._whole, None, None
        if whole is not None:
            whole.__exit__(None, None, None)

    def drop(self) -> None:
        """Nothing more comes of it; nothing of it stays."""
        whole, self._whole, self._file = self._whole, None, None
        if whole is not None:
            given_up = StorageError(f"{self._path}: given up")
            with suppress(StorageError):
                whole.__exit__(StorageError, given_up, None)
            self._of.tidy(self._path.parent)


def recordings_in(folder: Path) -> list[Path]:
    """Recordings at and below a folder by their names, sorted; hidden ones are none."""
    return sorted(
        Path(below, name)
        for below, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    )


def size_of(files: Sequence[Path]) -> tuple[int, int]:
    """How many files, and bytes; one that is gone meanwhile has none."""
    total = 0
    for file in files:
        with suppress(OSError):
            total += file.stat().st_size
    return len(files), total
