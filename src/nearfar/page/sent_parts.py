"""A request with files in it (RFC 7578), stored as it comes: no file is ever held in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from nearfar.errors import DatasetError, StorageError
from nearfar.page.refusal import Refusal
from nearfar.page.sent_files import Coming, SentFolder
from nearfar.page.sent_names import LeftOut, place_for
from nearfar.text import figure

FILES = 2000  # of one request; a page sends them in many


class SentParts:
    """Stores the files of one request; used as a context, after which none is half there.

    Args:
        folder: for them.
        content_type: of the request.
        most: bytes that it may have.

    Raises:
        Refusal: a request of another kind.

    >>> from pathlib import Path
    >>> SentParts(SentFolder(Path("no/such")), "multipart/form-data; boundary=x", 100).stored
    0
    """

    def __init__(self, folder: SentFolder, content_type: str, most: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Refusal(422, "recordings are sent as multipart/form-data, each with its name")
        self.stored, self.known = 0, 0  # new ones, and those that were there
        self.left_out: list[str] = []
        self.refused: list[str] = []
        self._folder, self._left = folder, most
        self._most, self._files = most, 0
        self._coming: Coming | None = None
        self._head: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        self._whole = False
        try:
            self._parser = MultipartParser(boundary, self._calls())
        except FormParserError as error:
            raise Refusal(422, f"the request cannot be read ({error})") from None

    def __enter__(self) -> SentParts:
        return self

    def __exit__(self, *what: object) -> None:
        self._drop()

    def feed(self, data: bytes) -> None:
        """More of the request.

        Raises:
            Refusal: it is longer than allowed, or cannot be read.
            StorageError: the disk is full.
        """
        self._left -= len(data)
        if self._left < 0:
            raise Refusal(413, f"more than {figure(self._most / 1e6)} MB in one request; send the "
                          "recordings in several")  # fmt: skip
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refusal(422, f"the request cannot be read ({error})") from None

    def end(self) -> None:
        """It has come.

        Raises:
            Refusal: its end is missing.
        """
        if not self._whole:
            raise Refusal(422, "the request ends half-way; send it again")

    def as_dict(self) -> dict[str, Any]:
        """What became of the files."""
        return {"stored": self.stored, "known": self.known, "left_out": self.left_out,
                "refused": self.refused}  # fmt: skip

    # ---- what the parser calls -------------------------------------------------------------------

    def _calls(self) -> Any:
        def named(name: str) -> Callable[[bytes, int, int], None]:
            def add(data: bytes, start: int, end: int) -> None:
                setattr(self, name, getattr(self, name) + data[start:end])

            return add

        return {
            "on_part_begin": self._head.clear, "on_header_field": named("_field"),
            "on_header_value": named("_value"), "on_header_end": self._header,
            "on_headers_finished": self._begin, "on_part_data": self._data,
            "on_part_end": self._end_part, "on_end": self._ended,
        }  # fmt: skip

    def _header(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _begin(self) -> None:
        _, options = parse_options_header(self._head.get(b"content-disposition", b""))
        name = options.get(b"filename")
        if not name:  # a field that is no file, or one in which none was chosen
            return
        self._files += 1
        if self._files > FILES:
            raise Refusal(413, f"more than {FILES} files in one request; send them in several")
        self._told(lambda: self._opened(name.decode(errors="replace")))

    def _opened(self, name: str) -> None:
        self._coming = self._folder.begin(place_for(name))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._coming is not None:
            self._coming.write(data[start:end])

    def _end_part(self) -> None:
        if (coming := self._coming) is not None:
            self._told(lambda: self._committed(coming))
            self._drop()

    def _committed(self, coming: Coming) -> None:
        if coming.commit():
            self.stored += 1
        else:
            self.known += 1

    def _ended(self) -> None:
        self._whole = True

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
