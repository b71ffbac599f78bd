"""The hidden folder in which a download works, one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nearfar.errors import StorageError
from nearfar.files import storage_errors

WORK = ".download"  # below the folder of the data set
LOCK = "lock"


def refuse_place(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before anything is asked of a server."""
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder}: is a file; choose a folder")
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise StorageError(f"{folder}: {there} cannot be written to; choose another place")


def refuse_blocked(place: Path, folder: Path) -> None:
    """Refuse what stands where folders are to be, before hours of fetching.

    Args:
        place: a machine's folder, there or not.
        folder: that of the data set, above it.

    Raises:
        StorageError: a file, or a link that leads nowhere.
    """
    for one in (place, *place.parents):
        if one == folder:
            return
        with storage_errors(one):
            if os.path.lexists(one) and not one.is_dir():
                kind = "a link that leads nowhere" if one.is_symlink() else "a file"
                raise StorageError(f"{one}: is {kind}, and recordings belong there; move it away")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The place for what is not whole yet, of one download at a time; gone when it is empty."""
    work = folder / WORK
    with _locked(work, folder):
        try:
            yield
        finally:
            # What broke off stays, to be gone on with.
            with suppress(OSError):
                if [child.name for child in work.iterdir()] == [LOCK]:
                    (work / LOCK).unlink()
                    work.rmdir()


@contextmanager
def _locked(work: Path, folder: Path) -> Iterator[None]:
    """Keep other downloads out of a folder.

    Raises:
        StorageError: one is at work in it.
    """
    while True:
        with storage_errors(work):
            work.mkdir(parents=True, exist_ok=True)
            file = (work / LOCK).open("ab")
        with file:
            _lock(file.fileno(), folder)
            # One that ended just now has removed what was opened, and a third made it anew.
            if _inode(work / LOCK) == os.fstat(file.fileno()).st_ino:
                yield
                return


def _inode(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_ino
    return None


def _lock(handle: int, folder: Path) -> None:
    with suppress(ModuleNotFoundError):  # where there are no locks nobody can be kept out
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(
                f"{folder}: another nearfar download is at work in it; wait for its end"
            ) from None
        except OSError:  # some disks have none
            return
