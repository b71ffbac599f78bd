"""Objects elsewhere, read through fsspec: its protocols, its settings, its credentials."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from nearfar.errors import NearfarError, first_line, needs
from nearfar.runtime.urls import url_of

SMALL = 8 << 20  # bytes; what is not larger is fetched in one go
BLOCK = 1 << 20  # bytes; of larger objects so much at a time
# What changes with an object's content, by the names that stores have for it.
_MARKS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created", "generation")


def filesystem(url: str, kind: type[NearfarError]) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it; nothing is connected to yet.

    Args:
        url: as `url_of` gives it.
        kind: of errors.

    Raises:
        NearfarError: fsspec, or what the protocol needs, is not installed; an unknown protocol.
    """
    with needs("remote", f"{url}: URLs need fsspec", kind):
        import fsspec
    protocol = url.partition(":")[0]
    if "::" in url:  # as in zip://a.wav::s3://b/c.zip; paths would make one slash of its second //
        raise kind(f"{url}: a URL within a URL; unpack or copy what is in it and name that")
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec says which package it is
        raise kind(f"{url}: {protocol}:// needs a package of its own "
                   f"({first_line(error)}); install it with pip") from None  # fmt: skip
    except ValueError as error:
        if protocol in fsspec.available_protocols():
            raise kind(f"{url}: no URL of {protocol}:// ({first_line(error)})") from None
        raise kind(f"{url}: no protocol {protocol!r}; fsspec has s3, gs, abfs, https and others, "
                   "and a folder of this machine is named by its whole path") from None  # fmt: skip
    except Exception as error:  # settings of its own that it refuses, in errors of its own
        raise kind(f"{url}: cannot be used ({reason_of(error)})") from None
    return found


@contextmanager
def as_os_errors() -> Iterator[None]:
    """Whatever a protocol raises, as the OSError that a disk would have raised.

    Raises:
        OSError: FileNotFoundError if it is not there, PermissionError if it may not be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        if _is_absence(error.__cause__):
            raise
        raise OSError(reason_of(error.__cause__)) from None
    except PermissionError as error:
        raise PermissionError(reason_of(error)) from None
    except MemoryError:
        raise
    except Exception as error:  # each protocol's packages have errors of their own
        raise OSError(reason_of(error)) from None


def _is_absence(cause: object) -> bool:
    """Is something not there, by what lies behind a FileNotFoundError?

    Over http a server that cannot be reached, or hangs up, looks as if the file were not there.
    """
    if (status := getattr(cause, "status", None)) is not None:
        return bool(status == 404)
    if isinstance(cause, FileNotFoundError):
        return True
    whose = type(cause).__module__.partition(".")[0]
    return not isinstance(cause, OSError | ValueError | ArithmeticError) and whose != "aiohttp"


def reason_of(error: object) -> str:
    """What an error of any package says, in a line.

    >>> reason_of(ValueError("no bucket" + chr(10) + "of that name")), reason_of(KeyError())
    ('no bucket', 'KeyError')
    """
    return first_line(error).strip().rstrip(".") or type(error).__name__


class Remote:
    """One object elsewhere, looked up.

    Attributes:
        size: in bytes.

    Raises:
        NearfarError: of the kind given; as `filesystem`.
        OSError: not there, not to be read, a folder, or no connection.

    >>> import fsspec
    >>> fsspec.filesystem("memory").pipe("/hall/list.csv", b"path")
    >>> remote = Remote("memory://hall/list.csv")
    >>> remote.size, remote.fetch()
    (4, b'path')
    """

    def __init__(self, path: str | os.PathLike[str], kind: type[NearfarError] = NearfarError):
        self._fs, self._path = filesystem(url_of(path) or os.fspath(path), kind)
        self._content: bytes | None = None
        with as_os_errors():
            info = self._fs.info(self._path)
        if info.get("type") == "directory":
            raise IsADirectoryError("a folder, and no file")
        size = info.get("size")
        if size is None or size <= SMALL:  # a server may not say how much it is
            came = len(self.fetch())
            if came < (
                size or 0
            ):  # a stream that has no length of its own would be taken for whole
                raise OSError(f"{came} of {size} bytes came")
            size = came
        self.size: int = size

    def fetch(self) -> bytes:
        """All of it; fetched once."""
        if self._content is None:
            with as_os_errors():
                self._content = bytes(self._fs.cat_file(self._path))
        return self._content

    def open(self) -> BinaryIO:
        """A file to be read at any place; of a large object that was not fetched, in blocks."""
        if self._content is not None:
            return io.BytesIO(self._content)
        return cast(BinaryIO, io.BufferedReader(_Blocks(self), BLOCK))

    def between(self, first: int, last: int) -> bytes:
        """Some of its bytes; OSError where it does not give them."""
        with as_os_errors():
            found = bytes(self._fs.cat_file(self._path, start=first, end=last))
        if len(found) == self.size > last - first:  # a server that gives all or nothing
            self._content = found
            found = found[first:last]
        if len(found) != last - first:
            raise OSError(f"{len(found)} of {last - first} bytes came")
        return found


class _Blocks(io.RawIOBase):
    """A large object as a file."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self._remote, self._at = remote, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._remote.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        last = min(self._at + len(buffer), self._remote.size)
        if last <= self._at:
            return 0
        found = self._remote.between(self._at, last)
        buffer[: len(found)] = found
        self._at = last
        return len(found)


def marks_of(path: str | os.PathLike[str]) -> list[object]:
    """What changes when a remote object does; nothing if that cannot be known.

    Raises:
        OSError: it is not there, or cannot be asked for.
    """
    files, inside = filesystem(url_of(path) or os.fspath(path), NearfarError)
    with as_os_errors():
        info = files.info(inside)
    told = [(name, str(info[name])) for name in _MARKS if info.get(name)]
    return [info.get("size"), *told] if told else []
