"""Where a history lies: a file of SQLite, a database of PostgreSQL, or this process's memory."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import StaticPool

from nearfar.errors import StorageError, first_line, needs, visible
from nearfar.service.history.changes import Unwritable

_HEAD = b"SQLite format 3\0"
_SERVER = re.compile(r"postgres(?:ql)?(?:\+psycopg)?://")
_SCHEME = re.compile(r"[a-z]+[a-z+]*:/")  # of a URL that is none of ours; a path has one slash then
# s; the watch cannot wait longer, for sound goes on coming. What it does not get kept it tries
# again. Of a page many ask at once, each after the other; people at a terminal rather wait.
HURRY, CALM = 0.25, 10.0
# A server that does not answer is one that is down, within seconds: minutes of waiting for the
# network are what the system would take. With the server's own keepalives a session whose machine
# lost its power lets go of its lock.
_SERVER_SIDE = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"


def is_server(where: str) -> bool:
    """Is it a URL of PostgreSQL?

    >>> is_server("postgresql://plant@db/nearfar"), is_server("plant.db")
    (True, False)
    """
    return _SERVER.match(where) is not None


def file_of(where: str) -> Path | None:
    """The file of SQLite; None for a server, and for memory.

    >>> str(file_of("sqlite:///plant.db")), file_of("")
    ('plant.db', None)
    """
    if is_server(where) or where in ("", "sqlite://"):
        return None
    return Path(where.removeprefix("sqlite:///"))


def shown(where: str) -> str:
    """How messages call it: a URL without its password.

    >>> shown("postgresql://plant:secret@db/nearfar?password=secret"), shown("")
    ('postgresql://plant:***@db/nearfar', 'the history in memory')
    """
    if not is_server(where):
        path = file_of(where)
        return "the history in memory" if path is None else visible(str(path))
    try:
        # Without what follows the name: a password may be said there as well.
        return make_url(where).set(query={}).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return "postgresql://…"


@contextmanager
def storage_told(place: str) -> Iterator[None]:
    """Turn what a database says into one line of ours.

    Raises:
        Unwritable: the values themselves are refused, now and ever.
        StorageError: anything else; it may work later.
    """
    try:
        yield
    except (DataError, IntegrityError, ProgrammingError) as error:
        if _may_be_mended(error):
            raise StorageError(f"{place}: {_reason(error)}; {_way_out(error)}") from None
        raise Unwritable(f"{place}: refuses a row ({_reason(error)})") from None
    except (UnicodeEncodeError, OverflowError) as error:
        raise Unwritable(f"{place}: refuses a row ({first_line(error)})") from None
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StorageError(f"{place}: {_reason(error)}; {_way_out(error)}") from None


def _may_be_mended(error: SQLAlchemyError) -> bool:
    """Is it the server's tables or rights, and not the row? Those are put right by a person."""
    # Classes of SQLSTATE: 42 has missing tables and rights. A restored dump is without tables for
    # minutes, whose rows shall wait.
    return str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith("42")


def _reason(error: Exception) -> str:
    # Not the library's text: it has the statement in it, and an address on the web.
    return first_line(getattr(error, "orig", None) or error).removeprefix("connection failed: ")


def _way_out(error: Exception) -> str:
    said = _reason(error)
    if "locked" in said:
        return "another program holds it; end that one's transaction"
    if "full" in said:
        return "free some space"
    if "permission denied" in said or "does not exist" in said:
        return (
            "at a first set-up create its role and its database; later restore what it had, with "
            "its rights, and it goes on"
        )
    if "password" in said or "authentication" in said:
        return "see its user, and give the password in PGPASSWORD or in a .pgpass file"
    if "readonly" in said or "unable to open" in said:
        return "it must be a place that can be written to"
    if "malformed" in said or "not a database" in said:
        return "take a backup of it, or another place"
    return "see that it is there and can be reached"


def check_file(path: Path, *, make: bool) -> None:
    """Refuse a file that is no history's, before SQLite touches it.

    Raises:
        StorageError: a folder, no such folder, another kind of file; or none, and `make` is not.
    """
    place = visible(str(path))
    try:
        path.resolve()
        found = path.stat() if path.exists() else None
    except (OSError, RuntimeError) as error:  # a name too long; links that go round
        raise StorageError(
            f"{place[:100]}: cannot be read ({first_line(error)[:60]}); choose another place"
        ) from None
    if _SCHEME.match(str(path)):
        raise StorageError(
            f"{place}: is no place of a history; name a file, or postgresql://user@host/database"
        )
    if path.is_dir():
        raise StorageError(f"{place}: is a folder; name a file in it, as plant.db")
    if found is None:
        if not make:
            raise StorageError(f"{place}: no such history; nearfar watch --history makes one")
        if not path.absolute().parent.is_dir():
            raise StorageError(f"{place}: no such folder; make it, or choose another place")
        return
    if not stat.S_ISREG(found.st_mode):  # whose other end may never come
        raise StorageError(f"{place}: is a pipe or a device; choose another place")
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
    except OSError as error:
        raise StorageError(f"{place}: cannot be read ({error.strerror})") from None
    # Empty is what a first opening leaves that was ended before its first table; a question
    # writes nothing into it, not even the pages of a database without tables.
    if not head and not make:
        raise StorageError(f"{place}: has no history in it; nearfar watch --history makes one")
    if head and head != _HEAD:
        raise StorageError(f"{place}: is no SQLite database; choose another place")


def engine_of(where: str, *, patience: float, still: bool = False) -> Engine:
    """What connects to a history; nothing is opened yet.

    Args:
        where: a path, a URL, or "" for memory.
        patience: s that a locked database is waited for.
        still: on a disk that cannot be written to; a WAL needs files beside it even to be read.

    Raises:
        StorageError: a URL that is none.
        NearfarError: the extra for PostgreSQL is not installed.
    """
    if is_server(where):
        return _server(where, patience)
    path = file_of(where)
    if path is None:  # one connection: another would see a database of its own
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
    elif still:
        address = f"file:{quote(os.fsencode(os.path.abspath(path)))}?mode=ro"
        # Nobody writes where nobody can, unless a WAL says that somebody did.
        wal = path.with_name(path.name + "-wal")
        address += "" if wal.exists() and wal.stat().st_size else "&immutable=1"
        return create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=patience)
        )
    else:
        arguments = {"check_same_thread": False, "timeout": patience}
        # No URL made of text: a path may have what a URL gives a meaning.
        file = os.path.abspath(path)
        engine = create_engine(
            make_url("sqlite://").set(database=file), connect_args=arguments, pool_size=5
        )
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _server(where: str, patience: float) -> Engine:
    with needs("postgres", "a history on PostgreSQL needs psycopg", StorageError):
        import psycopg  # noqa: F401
    waits = f"-c lock_timeout={int(patience * 4000)} -c statement_timeout={int(patience * 20_000)}"
    try:
        url = make_url(where).set(drivername="postgresql+psycopg")
        # What is given beside a URL would replace what it says: a schema, as search_path.
        said = " ".join(url.normalized_query.get("options", ()))
        return create_engine(
            url, pool_pre_ping=True, pool_size=2,
            connect_args={
                "connect_timeout": 3, "tcp_user_timeout": 8000, "keepalives_idle": 10,
                "application_name": f"nearfar, process {os.getpid()}",
                "client_encoding": "utf8", "options": f"{waits} {_SERVER_SIDE} {said}".strip(),
            },
        )  # fmt: skip
    except (ArgumentError, ValueError) as error:
        raise StorageError(
            f"{shown(where)}: is no URL ({first_line(error)[:60]}); it is as "
            "postgresql://user@host/database"
        ) from None


def _set_up(connection: Any, _: object) -> None:
    """What each connection to SQLite is told first."""
    # Transactions begin where we say: the driver's own would let reads and writes fall apart.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master")}
        if tables and not {"meta", "clips", "texts"} <= tables:
            return  # it will be refused, and stays as it is
        if not tables:  # heeded before the first table alone, and written each time
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
        (mode,) = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        # In a WAL, NORMAL is safe against every end of a process; a power cut may take the last
        # commits, whole ones, whose files are then heard again. Without a WAL it is not safe.
        cursor.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA journal_size_limit = 16777216")  # a WAL that grew shrinks again
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    # A writer asks for its lock at once: one that reads first could never get it later.
    # Of the driver itself: through the library it takes as long as writing a row.
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
