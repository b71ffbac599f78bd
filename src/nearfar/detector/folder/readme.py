"""A detector's README.md: our card, told from a person's own text, which is never written over.

Nothing reads it back: a detector without one, or with one that was edited, is as good as any.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nearfar.errors import warn
from nearfar.files import DETECTOR, as_bytes, atomic_file, write_text

CARD = "README.md"
# The first line holds the hash of the rest: what somebody changed is a text of theirs.
_HEAD = re.compile(rb"<!-- nearfar model card ([0-9a-f]{16}): .*-->\r?\n")
_SAID = "written anew at each save; edited, it is yours and stays"


@contextmanager
def card_beside(folder: Path, body: str, index: str) -> Iterator[None]:
    """Put a card into a detector's folder; the body writes the index that it belongs to.

    Where either fails the card before is back. Killed between the two, the card names the hash of
    an index that is not there, until the next save.

    Args:
        folder: of the detector.
        body: what the card says; "" for no card.
        index: the text of the index, whose hash the card has: so one can be held to the other.

    Raises:
        StorageError: it cannot be written.
    """
    path = folder / CARD
    theirs = os.path.lexists(path) and not is_card(path)  # a link that leads nowhere, too
    if body and theirs:
        warn(f"{path}: is yours, or was edited, and stays; remove it for a card of this detector")
    if theirs or not body:
        yield
        return
    before = path.read_bytes() if path.exists() else None
    digest = hashlib.sha256(as_bytes(index)).hexdigest()
    try:
        write_text(
            path, stamped(f"{body}\nIt describes the `detector.json` of SHA-256 `{digest}`.\n")
        )
        yield
    except BaseException:
        if not reads(folder / DETECTOR, as_bytes(index)):  # Ctrl-C may come just after it
            _put_back(path, before)
        raise


def _put_back(path: Path, before: bytes | None) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)  # first: better none than that of another detector
        if before is not None:
            with atomic_file(path) as file:
                file.write(before)


def reads(path: Path, content: bytes) -> bool:
    """Is that what a file holds?"""
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def stamped(text: str) -> str:
    """A card's text under the line that tells it from any other."""
    return f"<!-- nearfar model card {_digest(as_bytes(text))}: {_SAID} -->\n{text}"


def is_card(path: Path) -> bool:
    """Is a file a card as we wrote it, of any version, and not edited since?"""
    try:
        content = b"" if path.is_symlink() or not path.is_file() else path.read_bytes()
    except OSError:
        return False
    head = _HEAD.match(content)
    return head is not None and _digest(content[head.end() :]) == head[1].decode()


def _digest(content: bytes) -> str:
    # An editor, or Git on Windows, may change how lines end, and no word.
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()[:16]
