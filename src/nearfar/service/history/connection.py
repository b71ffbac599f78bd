"""A history's connections: opened, claimed, lost and opened again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Connection, Engine

from nearfar.errors import StorageError
from nearfar.service.history.database import (
    CALM,
    HURRY,
    check_file,
    engine_of,
    file_of,
    is_server,
    shown,
    storage_told,
)
from nearfar.service.history.ownership import claim_file, claim_server, release_file
from nearfar.service.history.schema import is_current, prepare
from nearfar.service.history.statements import Quick


class Access:
    """One writer and any readers of a history, in this process.

    Any error leaves it closed, and the next question opens it anew: so a server that was killed,
    a file that was removed and a lock that fell are one case, not many.

    >>> access = Access("", watching=False, make=True)
    >>> with access.reading() as connection:
    ...     connection.exec_driver_sql("SELECT value FROM meta WHERE key = 'schema'").scalar()
    '2'
    >>> access.close()
    """

    def __init__(
        self, where: str, *, watching: bool, make: bool, lost: Callable[[], None] = lambda: None,
        hurry: bool = False,
    ) -> None:  # fmt: skip
        self.place = shown(where)
        self.lock = RLock()  # of all that writes, and of all in memory: that is one connection
        self._where, self._watching, self._make, self._lost = where, watching, make, lost
        self._patience = HURRY if watching or hurry else CALM
        self._file = file_of(where)
        self._memory = self._file is None and not is_server(where)
        self._engine: Engine | None = None
        self._writer: Connection | None = None
        self._claim: int | None = None
        self._identity: tuple[int, int] | None = None
        self._over = False
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> str:
        """sqlite or postgresql."""
        return "postgresql" if is_server(self._where) else "sqlite"

    @property
    def file(self) -> Path | None:
        """Of SQLite."""
        return self._file

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, kept whole or not at all.

        Raises:
            StorageError: it was not kept.
        """
        with self.lock, storage_told(self.place):
            try:
                connection = self._opened()
                with connection.begin():
                    yield connection
            except BaseException:
                self._lost()
                if not self._memory:  # which would be gone with its only connection
                    self._drop()
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads; keep it short, for a WAL cannot shrink meanwhile.

        Raises:
            StorageError: it cannot be read.
        """
        if self._memory:
            with self.lock, storage_told(self.place):
                connection = self._opened()
                with connection.begin():
                    yield connection
            return
        with self.lock:
            engine = self._engine or self._open()
        with storage_told(self.place), engine.connect() as connection, connection.begin():
            yield connection

    def first(self, question: Quick, values: Mapping[str, Any]) -> Any:
        """The first row of what is asked of every clip; None if there is none.

        Raises:
            StorageError: it cannot be read.
        """
        if not (self._memory or (self._file is not None and self._watching)):
            with self.reading() as connection:
                return connection.execute(question.statement, values).first()
        # One look needs no transaction, which takes ten times as long as the look itself.
        with self.lock, storage_told(self.place), closing(self._opened().connection.cursor()) as at:
            at.execute(question.text, question.given(values))
            return at.fetchone()

    def close(self) -> None:
        """Close all connections, and let go of the lock; nothing opens it again."""
        with self.lock:
            self._over = True
            self._let_go()

    def _let_go(self) -> None:
        self._drop()
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None
        release_file(self._claim)
        self._claim = None

    def _opened(self) -> Connection:
        """The writer's connection, open."""
        if self._engine is not None and self._file is not None and self._watching:
            found = _identity(self._file)
            if found != self._identity:
                # The system would let us write on, into a file that has no name any more.
                self._let_go()
                gone = "was removed" if found is None else "was replaced"
                raise StorageError(f"{self.place}: {gone} while it was open; it is opened anew")
        if self._writer is None:
            self._open()
        if self._writer is None:
            self._writer = self._connect(self._engine or self._open())
        return self._writer

    def _open(self) -> Engine:
        """Check, lock, connect and lay down or migrate what is there."""
        if self._over:  # a source that asks late would take the lock from who comes next
            raise StorageError(f"{self.place}: is closed; open it anew")
        with storage_told(self.place):
            if self._file is not None:
                check_file(self._file, make=self._make)
                if self._watching and self._claim is None:
                    self._claim = claim_file(self._file)
            if self._engine is None:
                self._engine = engine_of(self._where, patience=self._patience, still=self._still())
            self._prepare(self._engine)
            self._identity = None if self._file is None else _identity(self._file)
        return self._engine

    def _still(self) -> bool:
        """Is it on a disk that cannot be written to, and only read?"""
        file = self._file
        if file is None or self._watching or not file.exists():
            return False
        return not (os.access(file, os.W_OK) and os.access(file.absolute().parent, os.W_OK))

    def _prepare(self, engine: Engine) -> None:
        """Lay down or migrate; a watch, or memory, has its writer then."""
        with engine.connect() as reader, reader.begin():  # writes nothing, and waits for nobody
            current = is_current(reader, self.place)
        if current and not (self._watching or self._memory):
            return
        connection = self._connect(engine)
        try:
            if not current:
                with connection.begin():
                    # Of two that open a new database at once the second waits, and finds it made.
                    if self.dialect == "postgresql":
                        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1852137842)")
                    prepare(connection, self.place, make=self._make)
        except BaseException:
            self._discard(connection)
            raise
        if self._watching or self._memory:
            self._writer = connection
        else:
            connection.close()

    def _connect(self, engine: Engine) -> Connection:
        # On a disk that cannot be written to even BEGIN IMMEDIATE is refused.
        connection = engine.connect().execution_options(writes=not self._still())
        if self._watching and self.dialect == "postgresql":
            try:
                with connection.begin():
                    claim_server(connection, self.place)
            except BaseException:
                self._discard(connection)
                raise
        return connection

    def _drop(self) -> None:
        """Close the writer's connection for good, and with it a server's lock."""
        if self._writer is not None:
            self._discard(self._writer)
        self._writer = None

    def _discard(self, connection: Connection) -> None:
        # Never back into a pool: a lock of the session would stay with it.
        with suppress(Exception):
            if not self._memory:
                connection.invalidate()
        with suppress(Exception):
            connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
