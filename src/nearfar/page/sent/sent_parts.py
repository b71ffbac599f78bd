"""A request with files in it (RFC 7578), stored as it comes: no file is ever held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nearfar.errors import DatasetError, StorageError
from nearfar.page.refusal import Refusal
from nearfar.page.sent.multipart import Multipart
from nearfar.page.sent.sent_files import Coming, SentFolder
from nearfar.page.sent.sent_names import LeftOut, place_for

FILES = 2000  # of one request; a page sends them in many


class SentParts:
    """Stores the files of one request; used as a context, after which none is half there.

    Args:
        folder: for them.
        content_type: of the request.

    Raises:
        Refusal: a request of another kind.

    >>> from pathlib import Path
    >>> SentParts(SentFolder(Path("no/such")), "multipart/form-data; boundary=x").stored
    0
    """

    def __init__(self, folder: SentFolder, content_type: str) -> None:
        self.stored, self.known = 0, 0  # new ones, and those that were there
        self.left_out: list[str] = []
        self.refused: list[str] = []
        self._folder, self._files = folder, 0
        self._coming: Coming | None = None
        self._parts = Multipart(content_type, self)

    def __enter__(self) -> SentParts:
        return self

    def __exit__(self, *what: object) -> None:
        self._drop()

    def feed(self, data: bytes) -> None:
        """More of the request.

        Raises:
            Refusal: it cannot be read.
            StorageError: the disk is full.
        """
        self._parts.feed(data)

    def end(self) -> None:
        """It has come.

        Raises:
            Refusal: its end is missing.
        """
        self._parts.end()

    def as_dict(self) -> dict[str, Any]:
        """What became of the files."""
        return {"stored": self.stored, "known": self.known, "left_out": self.left_out,
                "refused": self.refused}  # fmt: skip

    # ---- what the body's parts are given to ------------------------------------------------------

    def begin(self, field: str, name: str) -> None:
        """A part begins."""
        if not name:  # a field that is no file, or one in which none was chosen
            return
        self._files += 1
        if self._files > FILES:
            raise Refusal(413, f"more than {FILES} files in one request; send them in several")
        self._told(lambda: self._opened(name))

    def _opened(self, name: str) -> None:
        self._coming = self._folder.begin(place_for(name))

    def data(self, piece: bytes) -> None:
        """More of it."""
        if self._coming is not None:
            self._coming.write(piece)

    def done(self) -> None:
        """It has come whole."""
        if (coming := self._coming) is not None:
            self._told(lambda: self._committed(coming))
            self._drop()

    def _committed(self, coming: Coming) -> None:
        if coming.commit():
            self.stored += 1
        else:
            self.known += 1

    def _told(self, work: Callable[[], None]) -> None:
        """Of one file's fault the others know nothing; a full disk is everybody's."""
        try:
            work()
        except LeftOut as why:
            self.left_out.append(str(why))
        except StorageError:
            raise
        except DatasetError as error:
            self.refused.append(str(error))

    def _drop(self) -> None:
        if self._coming is not None:
            self._coming.drop()
            self._coming = None
