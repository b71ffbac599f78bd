"""Recordings that a request brings: written to the disk as they come, and gone when it is answered.

Multipart bodies as RFC 7578 has them; a raw body is one recording.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from nearfar.errors import visible
from nearfar.files import storage_errors
from nearfar.page.guard.bodies import AROUND
from nearfar.page.refusal import Refusal
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.page.desk import Desk
    from nearfar.page.workroom import Workroom

MOST = 200  # files of one request
FIELDS = ("audio", "far")
LONGEST = 200  # characters of a name
HEAD = 8192  # bytes of a part's headers
HELD = 256 * 1024  # bytes that wait in memory to be written
HALF = "the body ends half-way; send it again"


@dataclass(frozen=True)
class Upload:
    """A recording that was sent.

    >>> Upload("1.wav", Path("/tmp/x/0")).far is None
    True
    """

    name: str  # as whoever sent it calls it: a label, and never part of a path
    path: Path
    far: Path | None = None  # the far microphone's own file


@asynccontextmanager
async def received(request: Request, desk: Desk) -> AsyncIterator[list[Upload]]:
    """The recordings of a request; their files are removed when the context is left.

    Args:
        request: multipart/form-data with `audio` and perhaps `far`, or one recording as its body.
        desk: whose limit on the size of a request counts, and in whose folder they lie.

    Raises:
        Refusal: nothing that could be a recording, too large, too many, or the body stops.
        StorageError: the disk is full.
    """
    kind, options = _kind_of(request)
    most = desk.settings.upload_limit + AROUND
    _check_length(request, most)
    with ExitStack() as stack:
        folder = stack.enter_context(desk.room.place())
        reader = stack.enter_context(_UploadFiles(folder, desk.room, most))
        if kind == "multipart/form-data":
            await _read(request, reader, _Parts(reader, options.get(b"boundary", b"")))
        else:
            reader.begin("audio", request.query_params.get("name", ""))
            await _read(request, reader, None)
        yield reader.uploads()


def _kind_of(request: Request) -> tuple[str, Mapping[bytes, bytes]]:
    from python_multipart.multipart import parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type", ""))
    name = kind.decode("latin-1")
    raw = name.startswith("audio/") or name == "application/octet-stream"
    if name == "multipart/form-data" and not options.get(b"boundary"):
        raise Refusal(422, "multipart/form-data without a boundary; let your program set it")
    if not raw and name != "multipart/form-data":
        raise Refusal(
            415, f"content type {visible(name[:80]) or 'not said'}; send recordings as "
            "multipart/form-data (curl -F audio=@FILE), or one as audio/wav or audio/flac"
        )  # fmt: skip
    return name, options


def _check_length(request: Request, most: int) -> None:
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > most:
        raise _too_large(most)


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"more than {most / 1e6:,.0f} MB; send fewer recordings at once, or cut "
                   "them")  # fmt: skip


async def _read(request: Request, reader: _UploadFiles, parts: _Parts | None) -> None:
    """The whole body, piece by piece; what the disk is slow to take stops no other request."""
    try:
        async for piece in request.stream():
            reader.count(len(piece))
            if parts is None:
                reader.data(piece)
            else:
                parts.feed(piece)
            if reader.held >= HELD:
                await run_in_threadpool(reader.write)
    except ClientDisconnect:
        raise Refusal(400, HALF) from None
    if parts is not None:
        parts.end()
    if reader.held:
        await run_in_threadpool(reader.write)


class _UploadFiles:
    """Files as they come; used as a context, which closes them."""

    def __init__(self, folder: Path, room: Workroom, most: int) -> None:
        self.held = 0  # bytes that wait to be written
        self._folder, self._room, self._most = folder, room, most
        self._taken = 0
        self._files: list[tuple[str, str, Path]] = []  # field, name, where
        self._waiting: list[tuple[int, bytes]] = []  # which file
        self._open: tuple[int, IO[bytes]] | None = None

    def __enter__(self) -> _UploadFiles:
        return self

    def __exit__(self, *what: object) -> None:
        self._close()
        self._room.give_back(self._taken)

    def count(self, size: int) -> None:
        """So many bytes more of the body have come."""
        if self._taken + size > self._most:
            raise _too_large(self._most)
        self._room.take(size)
        self._taken += size

    def begin(self, field: str, name: str) -> None:
        """A recording begins; what `data` brings from now on is its."""
        if field not in FIELDS:
            raise Refusal(422, f"{visible(field[:80])!r}: no such field; recordings are audio=, "
                          "their far microphone's files far=")  # fmt: skip
        if len(self._files) >= MOST:
            raise Refusal(422, f"more than {MOST} files; send them in several requests")
        self._files.append((field, name, self._folder / str(len(self._files))))
        self.data(b"")  # an empty one is a file too, and is told of

    def data(self, piece: bytes) -> None:
        """More of the recording that was begun last."""
        self._waiting.append((len(self._files) - 1, piece))
        self.held += len(piece)

    def write(self) -> None:
        """What waits goes to the disk."""
        waiting, self._waiting, self.held = self._waiting, [], 0
        with storage_errors(self._folder):
            for number, piece in waiting:
                self._file(number).write(piece)

    def _file(self, number: int) -> IO[bytes]:
        if self._open is None or self._open[0] != number:
            self._close()
            self._open = number, self._files[number][2].open("ab")
        return self._open[1]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def uploads(self) -> list[Upload]:
        """All that came, each with its far microphone's file.

        Raises:
            Refusal: none, or not as many far as near.
        """
        self.write()
        self._close()
        near = [(name, path) for field, name, path in self._files if field == "audio"]
        far = [path for field, _, path in self._files if field == "far"]
        if not near:
            raise Refusal(422, "no recording; send it as audio= (curl -F audio=@FILE)")
        if far and len(far) != len(near):
            raise Refusal(422, f"{counted(len(near), 'file')} as audio= and {len(far)} as far=; "
                          "each near one needs its far one")  # fmt: skip
        return [
            Upload(label(name) or f"recording {n}", path, far[n - 1] if far else None)
            for n, (name, path) in enumerate(near, 1)
        ]


class _Parts:
    """Takes a multipart body apart."""

    def __init__(self, reader: _UploadFiles, boundary: bytes) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self._reader, self._error = reader, FormParserError
        self._head: dict[bytes, bytes] = {}
        self._name, self._value, self._size = b"", b"", 0
        self._ended = False
        calls: Any = {
            "on_header_field": self._field, "on_header_value": self._more,
            "on_header_end": self._header, "on_headers_finished": self._begin,
            "on_part_data": self._data, "on_end": self._end,
        }  # fmt: skip
        try:
            self._parser = MultipartParser(boundary, calls)
        except FormParserError as error:
            raise Refusal(422, f"multipart/form-data that cannot be read ({error})") from None

    def feed(self, piece: bytes) -> None:
        """More of the body."""
        try:
            self._parser.write(piece)
        except self._error as error:
            raise Refusal(422, f"multipart/form-data that cannot be read ({error})") from None

    def end(self) -> None:
        """No more comes.

        Raises:
            Refusal: its last boundary did not come.
        """
        if not self._ended:
            raise Refusal(422, HALF)

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
        from python_multipart.multipart import parse_options_header

        _, said = parse_options_header(self._head.get(b"content-disposition", b""))
        self._head, self._size = {}, 0
        texts = {key: value.decode(errors="replace") for key, value in said.items()}
        self._reader.begin(texts.get(b"name", ""), texts.get(b"filename", ""))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._reader.data(data[start:end])

    def _end(self) -> None:
        self._ended = True


def label(name: str) -> str:
    r"""A file's name as somebody sent it, to be shown: one line, without folders.

    >>> label("C:\\hall\\1.wav"), label("../../etc/passwd"), label("a" + chr(10) + "b.wav")
    ('1.wav', 'passwd', 'a\\nb.wav')
    >>> label(".."), label("hall/")
    ('', '')
    """
    last = visible(name.replace("\\", "/").rsplit("/", 1)[-1]).strip()
    if last in (".", ".."):
        return ""
    return last if len(last) <= LONGEST else f"{last[: LONGEST - 13]}…{last[-12:]}"
