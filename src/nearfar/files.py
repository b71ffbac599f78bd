"""Files written whole or not at all, and what identifies them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from nearfar.errors import StorageError

DETECTOR = "detector.json"  # lies in a detector's folder, and tells one
MAKER = "drawn by nearfar"  # in the metadata of pictures
STALE = 3600.0  # s; where there are no locks, what is half written and older has lost its writer
HALF = ".nearfar"  # ends the name of a file that is not whole yet
_HALF_NAME = re.compile(r"\..*\.[a-z0-9_]{8}" + re.escape(HALF), re.DOTALL)


def check_output(
    path: Path | None,
    *,
    endings: Sequence[str],
    inputs: Iterable[Path | str | None] = (),
    ours: Callable[[Path], bool] | None = None,
    replace: bool = False,
) -> None:
    """Refuse a file that cannot be written or shall not be, before hours of work.

    Nothing that is an input is ever written to: a shell makes `--csv a.wav b.wav c.wav` of
    `--csv today/*.wav`, and the first recording would be gone. Devices and pipes take anything.

    Args:
        path: to be written; None is no file, and "-" standard output.
        endings: of its name, one of them, as (".csv",); letters of any case.
        inputs: files and folders that the command reads; what is no path (a hub id), or None, is
            harmless.
        ours: is a file plainly an earlier output of this kind, made to be replaced? None: no file
            is.
        replace: write over a file that is neither, as the user said.

    Raises:
        StorageError: no such folder, no permission, another ending, an input, a part of a
            detector, or a file that may be somebody's.
    """
    # By name too: standard output may lead to a file, which is the user's own redirection.
    if path is None or str(path) == "-" or path.parts[:2] in ((os.sep, "dev"), (os.sep, "proc")):
        return
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        why = "is a folder" if path.is_dir() else f"{path.parent} cannot be written to"
        raise StorageError(f"{path}: {why}; choose another place")
    if path.exists() and not path.is_file():
        return
    if path.suffix.lower() not in endings:
        raise StorageError(
            f"{path}: what is written here ends in {' or '.join(endings)}; call it "
            f"{path.stem}{endings[0]}"
        )
    _refuse_taken(path, [Path(place) for place in inputs if place], ours, replace)


def _refuse_taken(
    path: Path, inputs: Sequence[Path], ours: Callable[[Path], bool] | None, replace: bool
) -> None:
    """Refuse a place that something else has, or belongs to."""
    try:
        target = path.resolve()  # through links: what they lead to would be replaced
    except (OSError, RuntimeError):  # an old Python's word for links that go round
        raise StorageError(f"{path}: a link that leads to itself; choose another place") from None
    known = path.exists() and ours is not None and ours(path)
    for place in inputs:
        # In a folder that is read any file may be one that is read, however it is called.
        within = path.exists() and not known and place.is_dir()
        if place.exists() and (
            _same(place, path) or (within and place.resolve() in target.parents)
        ):
            raise StorageError(f"{path}: is an input of this command; choose another name")
    if (target.parent / DETECTOR).exists():
        raise StorageError(f"{path}: lies in a detector; choose another folder")
    if path.exists() and not known and not replace:
        raise StorageError(
            f"{path}: is there already, and nothing in it says that this command wrote it; choose "
            "another name, or write over it with --replace"
        )


def begins(path: Path, pattern: str) -> bool:
    """Does a text file begin as a regular expression says? False for what cannot be read."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return re.match(pattern, file.read(400)) is not None  # characters: enough for a head
    except (OSError, ValueError):
        return False


def is_picture(path: Path) -> bool:
    """Is a file plainly a picture that we drew? Its metadata say who made it."""
    try:
        return MAKER.encode() in path.read_bytes()
    except OSError:
        return False


def _same(one: Path, other: Path) -> bool:
    """Are both one file, by whatever names?"""
    # Hard links too: they are one file to the one who opens it.
    return other.exists() and one.samefile(other)


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
        if path.exists() and not path.is_file():  # a device or a pipe has no half-written state
            with path.open("wb") as stream:  # not resolved: /dev/stdout leads to no name at all
                yield stream
            return
        path = path.resolve()  # what a link points to is replaced, not the link
        sweep(path.parent)
        handle, part = _begun(path)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # or a power cut leaves the new name with no content
                # Open, and so locked, until it has its name: what is whole must not be swept.
                if os.name != "nt":
                    _named(part, path)
            if os.name == "nt":  # which renames no file that is open
                _named(part, path)
        except BaseException:  # Ctrl-C, too
            part.unlink(missing_ok=True)
            raise


def _named(part: Path, path: Path) -> None:
    part.chmod(0o644)  # mkstemp's are for their owner alone
    part.replace(path)


def _begun(path: Path) -> tuple[int, Path]:
    """A new file beside a place, open and locked, for what will have its name."""
    while True:
        # In the same folder: a rename across disks would be a copy. The name is cut, for with
        # what is put around it a long one would be longer than file systems take.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name[:40]}.", suffix=HALF, dir=path.parent
        )  # fmt: skip
        part = Path(name)
        # Between the two steps it looked as if its writer were gone.
        if _lock(handle) is not False and part.exists():
            return handle, part
        os.close(handle)
        part.unlink(missing_ok=True)


def _lock(handle: int) -> bool | None:
    """Lock a file; False if another has it, None where there are no locks.

    The system lets go of it when the process ends, however that comes.
    """
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except (ModuleNotFoundError, OSError):
        return None


def locked(path: Path, *, make: bool = True) -> int | None:
    """A handle of a file that this process alone has locked; closed, it lets go.

    Args:
        path: a file of any content.
        make: it, where there is none.

    Returns:
        None if another process has it, if there are no locks here, or no such file.
    """
    try:
        handle = os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600)
    except OSError:
        return None
    if _lock(handle):
        return handle
    os.close(handle)
    return None


def sweep(folder: Path) -> None:
    """Remove from a folder what is half written, by writers that were killed.

    Those at work hold locks on theirs. Where there are none (Windows, some disks) it is by age.
    """
    # To tidy up is no reason to fail: a folder that cannot be listed may still be written to.
    with suppress(OSError), os.scandir(folder) as entries:
        for name in [e.name for e in entries if _HALF_NAME.fullmatch(e.name)]:
            _sweep_one(folder / name)


def _sweep_one(path: Path) -> None:
    with suppress(OSError):
        if path.is_symlink() or not path.is_file():  # neither is ours, and a pipe would wait
            return
        handle = os.open(path, os.O_RDWR)  # some network disks lock only what can be written
        try:
            locked = _lock(handle)
            if locked or (locked is None and file_age(path) > STALE):
                path.unlink()
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_file(path) as file:
        file.write(as_bytes(text))


def as_bytes(text: str) -> bytes:
    r"""Text as UTF-8, whatever a file is called.

    >>> as_bytes("b" + chr(0xDCFF) + ".wav")
    b'b\\udcff.wav'
    """
    # Bytes of a name that are no text are half of a pair to Python; escaped, JSON reads them back.
    return text.encode(errors="backslashreplace")


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
