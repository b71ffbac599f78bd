"""A body of many parts (RFC 7578), taken apart as it comes: of a file no more than a piece is held.

The grammar is python_multipart's; what it does not bound is bounded here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import ClientDisconnect

from nearfar.page.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

HEAD = 8192  # bytes of a part's headers
BLOCK = 256 * 1024  # bytes that are worth a way to the disk; so many wait in memory for each body
HALF = "the body ends half-way; send it again"


class PartTaker(Protocol):
    """Who is given the parts of a body, one after the other.

    >>> PartTaker.__name__
    'PartTaker'
    """

    def begin(self, field: str, name: str) -> None:
        """A part begins: its field's name, and its file's; "" where it says none."""

    def data(self, piece: bytes) -> None:
        """More of it."""

    def done(self) -> None:
        """It has come whole."""


class Multipart:
    """Takes a body apart.

    Args:
        content_type: of the request.
        taker: of its parts.

    Raises:
        Refusal: another kind of body, or a boundary that cannot be one.

    >>> Multipart.kind_of("Multipart/Form-Data; boundary=x")
    'multipart/form-data'
    """

    def __init__(self, content_type: str, taker: PartTaker) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise Refusal(422, "no multipart/form-data with a boundary; let your program set it")
        self._taker, self._error, self._options = taker, FormParserError, parse_options_header
        # The parser gives names and values in pieces, cut where the network cut them.
        self._head: dict[bytes, bytes] = {}
        self._name, self._value, self._size = b"", b"", 0
        self._is_whole = False
        calls: Any = {
            "on_header_field": self._field, "on_header_value": self._more,
            "on_header_end": self._header, "on_headers_finished": self._begin,
            "on_part_data": lambda data, start, end: taker.data(data[start:end]),
            "on_part_end": taker.done, "on_end": self._end,
        }  # fmt: skip
        self._parser = self._read(lambda: MultipartParser(boundary, calls))

    @staticmethod
    def kind_of(content_type: str) -> str:
        """What a body is, without its options."""
        return content_type.partition(";")[0].strip().lower()

    def feed(self, piece: bytes) -> None:
        """More of the body.

        Raises:
            Refusal: it cannot be read.
        """
        self._read(lambda: self._parser.write(piece))

    def end(self) -> None:
        """No more comes.

        Raises:
            Refusal: its last boundary did not come.
        """
        if not self._is_whole:
            raise Refusal(422, HALF)

    def _read(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._error as error:
            raise Refusal(422, f"multipart/form-data that cannot be read ({error})") from None

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += self._counted(data[start:end])

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _counted(self, piece: bytes) -> bytes:
        self._size += len(piece)
        if self._size > HEAD:
            raise Refusal(422, f"a part with more than {HEAD} bytes of headers")
        return piece

    def _header(self) -> None:
        self._head[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _begin(self) -> None:
        _, said = self._options(self._head.get(b"content-disposition", b""))
        self._head, self._size = {}, 0
        # A name in no known spelling is still a name: what cannot be read of it is replaced.
        texts = {key: value.decode(errors="replace") for key, value in said.items()}
        self._taker.begin(texts.get(b"name", ""), texts.get(b"filename", ""))

    def _end(self) -> None:
        self._is_whole = True


async def blocks(request: Request) -> AsyncIterator[bytes]:
    """The body in blocks that are worth a way to the disk, however small its pieces are.

    Raises:
        Refusal: the other end went away.
    """
    block = bytearray()
    try:
        async for data in request.stream():
            block += data
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
    except ClientDisconnect:
        raise Refusal(400, HALF) from None
    if block:
        yield bytes(block)
