"""Files written whole or not at all, and what identifies them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nearfar.errors import StorageError

STALE = 3600.0  # s; a half-written file older than this has lost its writer


def check_output(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before hours of work.

    Raises:
        StorageError: no such folder, or no permission.
    """
    for path in paths:
        if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
            why = "is a folder" if path.is_dir() else f"{path.parent} cannot be written to"
            raise StorageError(f"{path}: {why}; choose another place")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the file system says into one line of ours.

    Raises:
        StorageError: the body raised OSError.
    """
    try:
        yield
    except StorageError:  # is an OSError itself; its message is better than the one below
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
        # In the same folder: a rename across disks would be a copy. The name is cut, for with
        # what is put around it a long one would be longer than file systems take.
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the new name with no content
            part.chmod(0o644)  # mkstemp's are for their owner alone
            part.replace(path)
        except BaseException:  # Ctrl-C, too
            part.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_file(path) as file:
        file.write(text.encode())


def sha256(path: Path) -> str:
    """What identifies a file: the sha256 of its content, hexadecimal.

    Raises:
        OSError: it cannot be read; the one who asks knows what to do about it.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "a.txt"), "abc")
    ...     print(sha256(Path(folder, "a.txt"))[:16])
    ba7816bf8f01cfea
    """
    with path.open("rb") as file:  # in pieces: weights are larger than some memories
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_age(path: Path) -> float:
    """Seconds since a file or folder was changed; 0 if it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
