"""Banks and then, in one rename, the index that names them: a folder is whole or as it was."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from nearfar.detector.folder.readme import CARD, is_card, reads
from nearfar.errors import StorageError
from nearfar.files import (
    STALE,
    as_bytes,
    atomic_file,
    file_age,
    sha256,
    storage_errors,
    write_text,
)

BANK = "bank-"  # what the name of a bank in a detector folder begins with
WEIGHTS = "weights-"  # and that of a folder with a copy of an encoder's weights
LOG = "learnt.jsonl"  # what a detector has learnt and forgotten since its fit, a line each
WAIT = 60.0  # s for another writer; the largest weights are copied in less
PAUSE = 0.02  # s between two looks whether it is gone
_BANK_NAME = re.compile(BANK + r"[0-9a-f]{32}\.safetensors")
_OUR_NAME = re.compile(rf"{_BANK_NAME.pattern}|{WEIGHTS}[0-9a-f]{{16}}|{re.escape(LOG)}")
_thread = threading.local()  # of its own to each thread: to others a lock of ours is a lock


@contextmanager
def alone(folder: Path, *, make: bool = True) -> Iterator[bool]:
    """The folder, and no other writer in it until the body is done.

    Within it the same thread may ask again: what is read and then saved is held all the while.

    Args:
        folder: of a detector.
        make: make it if need be; else nobody is kept out of a folder that is not there.

    Yields:
        Are others kept out? Not on Windows, nor on a disk that knows no locks.

    Raises:
        StorageError: the folder cannot be made, or another writer did not leave for `WAIT` seconds.
    """
    with storage_errors(folder):
        handle = None if _is_held(folder) else _locked(folder, make)
    if handle is None:
        yield _is_held(folder)
        return
    key = _key(os.fstat(handle))
    _held().add(key)
    try:
        yield True
    finally:
        _held().discard(key)
        os.close(handle)  # and with it the lock, as the system does for a writer that is killed


def _held() -> set[tuple[int, int]]:
    """The folders whose locks this thread has."""
    found: set[tuple[int, int]] = _thread.__dict__.setdefault("held", set())
    return found


def _key(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino


def _is_held(folder: Path) -> bool:
    # By what it is, not by its name: several may lead to it.
    try:
        return _key(folder.stat()) in _held()
    except OSError:
        return False


def _locked(folder: Path, make: bool) -> int | None:
    """The folder itself, opened and locked: a file for the lock would be left behind in it."""
    latest = monotonic() + WAIT
    while True:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        elif not folder.is_dir():
            return None
        try:
            import fcntl
        except ModuleNotFoundError:
            return None
        handle = os.open(folder, os.O_RDONLY)
        try:
            # Not as the system waits for a lock, which may be for ever.
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if monotonic() >= latest:
                raise StorageError(
                    f"{folder}: another nearfar has been writing it for {WAIT:.0f} s; wait until "
                    "it is done, end it, or choose another folder"
                ) from None
            sleep(PAUSE)
            continue
        except OSError:
            os.close(handle)
            return None
        # A writer that failed may have removed the folder while this one waited for it.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), folder.stat()):
                return handle
        os.close(handle)


def write_folder(
    folder: Path,
    index: str,
    index_text: str,
    files: Mapping[str, bytes | Path],
    *,
    stale: float = STALE,
) -> None:
    """Write files and then, in one rename, the index that names them.

    Whatever happens before that rename, the folder still is what it was: new files have names of
    their own (`bank-` and their hash), old ones go last.

    Args:
        folder: made if it is not there.
        index: its name.
        index_text: what it says.
        files: what it names, by their names; a path is a file of this disk, which is moved.
        stale: s, the age from which a file that nobody names has lost its writer; 0 if the caller
            is `alone`.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    check_folder(folder, index)
    with storage_errors(folder):
        existed = folder.exists()
        # Before it is replaced; a log of another detector is none of the new one's.
        old = {*named_banks(folder / index), LOG}
        folder.mkdir(parents=True, exist_ok=True)
        new: list[Path] = []
        try:
            for name, content in files.items():
                _write_new(folder / name, content, new)
            write_text(folder / index, index_text)  # from here on it is the new detector
        except BaseException:
            if not reads(
                folder / index, as_bytes(index_text)
            ):  # Ctrl-C may come just after the rename
                _remove(new)
                if not existed:
                    with suppress(OSError):
                        folder.rmdir()
            raise
        # Only what the old index named, and what a writer left that was killed: without a lock
        # another one may be at work on the same folder.
        _remove(folder / name for name in old if name not in files)
        _remove(
            p
            for p in list(folder.iterdir())
            if is_ours(p, index)
            and p.is_file()
            and p.name not in (*files, CARD)  # of a detector that may be there still
            and (not stale or file_age(p) > stale)
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
        if folder.exists() and not all(is_ours(p, index) for p in folder.iterdir()):
            raise StorageError(
                f"{folder}: has other files in it and no {index}; choose a new folder"
            )
        return False


def is_ours(path: Path, index: str) -> bool:
    """A bank, weights, card, log, or what a killed writer left; all else is somebody's."""
    begun = tuple(f".{name}" for name in (BANK, f"{index}.", WEIGHTS, f"{CARD}.", f"{LOG}."))
    ours = _OUR_NAME.fullmatch(path.name) is not None
    return path.name.startswith(begun) or ours or is_card(path)


def named_banks(index: Path) -> set[str]:
    """Banks that an index names, by their pattern: it may be damaged, or of another version."""
    try:
        return set(_BANK_NAME.findall(index.read_text(errors="replace")))
    except OSError:
        return set()


def whole_bank(path: Path) -> bool:
    """Does a bank hold what its name says, which is the hash of it?"""
    try:
        return sha256(path).startswith(path.stem.removeprefix(BANK))
    except OSError:
        return False


def _write_new(path: Path, content: bytes | Path, new: list[Path]) -> None:
    """Write a file unless it is there and whole (its name says what it holds, damage does not).

    Raises:
        StorageError: a folder or a pipe has its name.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise StorageError(f"{path}: is no file, and one of the detector's goes there; remove it")
    if not path.exists():
        new.append(path)
    elif path.read_bytes() == (content.read_bytes() if isinstance(content, Path) else content):
        return
    if path.is_symlink():  # what it leads to is none of ours to write over
        path.unlink()
    if isinstance(content, Path):  # whole, and on the disk
        content.replace(path)
        return
    with atomic_file(path) as file:
        file.write(content)


def _remove(paths: Iterable[Path]) -> None:
    """Tidy up; what cannot be removed does no harm."""
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
