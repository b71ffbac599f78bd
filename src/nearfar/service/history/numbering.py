"""Numbers of machines and of texts that many rows have in common, and of files that are done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from nearfar.service.history.schema import FILES, TEXTS
from nearfar.service.history.spelling import read, spelled
from nearfar.service.history.statements import Statements
from nearfar.service.history.translation import parted
from nearfar.service.incoming import Stamp

DAY = 86_400_000_000  # µs
MOST_TEXTS = 20_000  # remembered: more are asked for again, so that memory stays as it is
MOST_FILES = 2_000_000  # 64 bytes each


def key_of(text: str) -> bytes:
    """What a text is found by, in 16 bytes.

    >>> len(key_of("fan/1.wav"))
    16
    """
    return hashlib.sha256(text.encode()).digest()[:16]


class RowNumbers:
    """Remembers the numbers that rows refer to, so that a clip costs one statement, not six.

    What a transaction added is forgotten with it: see `forget`.

    >>> RowNumbers(Statements("sqlite")).known
    {}
    """

    def __init__(self, statements: Statements) -> None:
        self._make = statements
        self.known: dict[tuple[str, str], int] = {}  # machine and section → number
        self._texts: dict[str, tuple[int, int]] = {}  # text → number, and until when it will do

    def forget(self) -> None:
        """Ask for all numbers again."""
        self.known.clear()
        self._texts.clear()

    def machine(self, connection: Connection, key: tuple[str, str]) -> int:
        """The number of a machine and section; a new one if there is none."""
        found = self.known.get(key)
        if found is None:
            row = {"machine": spelled(key[0]), "section": spelled(key[1])}
            found = self.known[key] = int(connection.execute(self._make.machine, row).scalar_one())
        return found

    def text(self, connection: Connection, text: str | None, at: int) -> int | None:
        """The number of a text, a new one if there is none; None of None.

        Args:
            connection: in a transaction that writes.
            text: of any characters.
            at: µs, when the row arrived that refers to it.
        """
        if text is None:
            return None
        number, until = self._texts.get(text, (0, -1))
        if at <= until:
            return number
        if len(self._texts) >= MOST_TEXTS:
            self._texts.clear()
        # Written once a day, and said a day ahead: pruning need not look through all rows to
        # know that none is left that refers to it.
        kept = spelled(text)
        row = {"key": key_of(kept), "text": kept, "last": at + DAY}
        number = int(connection.execute(self._make.text, row).scalar_one())
        self._texts[text] = number, at + DAY
        return number


class DoneFiles:
    """Files that need not be offered again; a folder's are read when it is first asked about.

    >>> DoneFiles().folders
    0
    """

    def __init__(self) -> None:
        # By hashes of 64 bits: a million of them hold a file for another with a chance of 1e-13,
        # in a quarter of the memory that names would take.
        self._of: dict[str, set[int]] = {}

    @property
    def folders(self) -> int:
        """How many are remembered."""
        return len(self._of)

    def add(self, files: Sequence[Stamp]) -> None:
        """They are done, and kept as such; of a folder that nobody asked about no more is known."""
        for file in files:
            folder, name = parted(file.path)
            if folder in self._of:
                self._of[folder].add(hash((name, file.size, file.modified)))

    def lacks(self, files: Sequence[Stamp]) -> list[str]:
        """The folders of these files that are to be read first."""
        return list({folder for f in files if (folder := parted(f.path)[0]) not in self._of})

    def read(self, connection: Connection, folder: str) -> None:
        """Remember all files of a folder."""
        if sum(map(len, self._of.values())) > MOST_FILES:
            self._of.clear()
        self._of[folder] = _listed(connection, folder)

    def has(self, file: Stamp) -> bool:
        """Is this very file done? Another size or time makes another file."""
        folder, name = parted(file.path)
        return hash((name, file.size, file.modified)) in self._of.get(folder, ())

    def forget(self) -> None:
        """Read all folders again."""
        self._of.clear()


def _listed(connection: Connection, folder: str) -> set[int]:
    """All of a folder in one question: one for each file took a hundred times as long."""
    key = select(TEXTS.c.id).where(TEXTS.c.key == key_of(spelled(folder)))
    columns = select(FILES.c.name, FILES.c.size, FILES.c.modified)
    rows: Any = connection.execute(columns.where(FILES.c.folder == key.scalar_subquery()))
    return {hash((read(name), size, modified)) for name, size, modified in rows}
