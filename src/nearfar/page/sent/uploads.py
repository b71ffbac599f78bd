"""Recordings that a request brings: written to the disk as they come, and gone when it is answered.

Multipart bodies as RFC 7578 has them; a raw body is one recording.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from nearfar.errors import StorageError, visible
from nearfar.files import storage_errors
from nearfar.page.refusal import Refusal
from nearfar.page.sent.multipart import Multipart, blocks
from nearfar.text import counted

if TYPE_CHECKING:
    from nearfar.page.desk import Desk
    from nearfar.page.workroom import Workroom

MOST = 200  # files of one request
FIELDS = ("audio", "far")
LONGEST = 200  # characters of a name


@dataclass(frozen=True)
class Upload:
    """A recording that was sent.

    >>> Upload("1.wav", Path("sent/0")).far is None
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
        Refusal: nothing that could be a recording, too many, or the body stops.
        StorageError: the disk is full.
    """
    kind = _kind_of(request)
    # How much it may be nobody asks here: `Bodies`, before all routes, counts what comes, whatever
    # its head says, and lets no more through than `upload_limit` and the form around it.
    with ExitStack() as stack:
        folder = stack.enter_context(desk.room.place())
        reader = stack.enter_context(_UploadFiles(folder, desk.room))
        if kind == "multipart/form-data":
            parts = Multipart(request.headers["content-type"], reader)
            await _read(request, desk, reader, parts.feed)
            parts.end()
        else:
            reader.begin("audio", request.query_params.get("name", ""))
            await _read(request, desk, reader, reader.data)
        yield reader.uploads()


def _kind_of(request: Request) -> str:
    name = Multipart.kind_of(request.headers.get("content-type", ""))
    raw = name.startswith("audio/") or name == "application/octet-stream"
    if not raw and name != "multipart/form-data":
        raise Refusal(
            415, f"content type {visible(name[:80]) or 'not said'}; send recordings as "
            "multipart/form-data (curl -F audio=@FILE), or one as audio/wav or audio/flac"
        )  # fmt: skip
    return name


async def _read(
    request: Request, desk: Desk, reader: _UploadFiles, feed: Callable[[bytes], None]
) -> None:
    """The whole body, block by block; what the disk is slow to take stops no other request."""
    async for block in blocks(request):
        reader.count(len(block))
        await desk.turns.pause()
        await run_in_threadpool(feed, block)


class _UploadFiles:
    """Files as they come; used as a context, which closes them."""

    def __init__(self, folder: Path, room: Workroom) -> None:
        self._folder, self._room = folder, room
        self._taken = 0
        self._files: list[tuple[str, str, Path]] = []  # field, name, where
        self._open: IO[bytes] | None = None

    def __enter__(self) -> _UploadFiles:
        return self

    def __exit__(self, *what: object) -> None:
        with suppress(StorageError):  # what could not be written was told
            self.done()
        self._room.give_back(self._taken)

    def count(self, size: int) -> None:
        """So many bytes more of the body have come."""
        self._room.take(size)
        self._taken += size

    def begin(self, field: str, name: str) -> None:
        """A recording begins; what `data` brings from now on is its."""
        if field not in FIELDS:
            raise Refusal(422, f"{visible(field[:80])!r}: no such field; recordings are audio=, "
                          "their far microphone's files far=")  # fmt: skip
        if len(self._files) >= MOST:
            raise Refusal(422, f"more than {MOST} files; send them in several requests")
        self.done()
        path = self._folder / str(len(self._files))
        self._files.append((field, name, path))
        with storage_errors(self._folder):
            self._open = path.open("wb")  # an empty one is a file too, and is told of

    def data(self, piece: bytes) -> None:
        """More of the recording that was begun last."""
        if self._open is not None:
            with storage_errors(self._folder):
                self._open.write(piece)

    def done(self) -> None:
        """It has come."""
        open_, self._open = self._open, None
        if open_ is not None:
            with storage_errors(self._folder):
                open_.close()

    def uploads(self) -> list[Upload]:
        """All that came, each with its far microphone's file.

        Raises:
            Refusal: none, or not as many far as near.
        """
        self.done()
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
