"""The tables of a history, their version, and how an older file becomes one of this version.

Every statement here is plain SQL that SQLite and PostgreSQL both read; docs/history.md explains
the columns. A change of a table is a new version, and a step that leads to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    text,
)
from sqlalchemy import insert as insert_row
from sqlalchemy.types import UserDefinedType

from nearfar.errors import StorageError

VERSION = 2
PROGRAM = "nearfar history"  # in `meta`: what tells a history from the databases of others
DATA = MetaData()
# SQLite counts rows by itself in a column of exactly this type.
ID = BigInteger().with_variant(Integer, "sqlite")


class Real(UserDefinedType[float]):
    """A number of eight bytes, handed over as it is.

    >>> Real().get_col_spec()
    'DOUBLE PRECISION'
    """

    # The library's own would make the word "nan" a nan, and SQLite nothing of that.
    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """What it is called in SQL."""
        return "DOUBLE PRECISION"


META = Table("meta", DATA, Column("key", Text, primary_key=True), Column("value", Text))
MACHINES = Table(
    "machines", DATA,
    Column("id", ID, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("section", Text, nullable=False),
    UniqueConstraint("machine", "section"),
)  # fmt: skip
# What many rows have in common: sources, folders, nearest clips, detectors. By a digest, for an
# index takes no text as long as a path may be.
TEXTS = Table(
    "texts", DATA,
    Column("id", ID, primary_key=True),
    Column("key", LargeBinary, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    Column("last", BigInteger, nullable=False),  # µs; no row of a later day refers to it
)  # fmt: skip
CLIPS = Table(
    "clips", DATA,
    Column("id", ID, primary_key=True),
    Column("machine", ID, ForeignKey("machines.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),  # µs: `time` where there is one, else `arrived`
    Column("arrived", BigInteger, nullable=False),  # µs since 1970, UTC
    Column("time", Text),  # ISO 8601, with a zone only where its recorder told one
    Column("source", ID, nullable=False),  # this and the next four: texts.id
    Column("folder", ID),
    Column("nearest", ID),
    Column("detector", ID),
    Column("file", Text),
    Column("name", Text, nullable=False),
    Column("seconds", Real),
    Column("status", Text, nullable=False),
    Column("score", Real),
    Column("percentile", Real),
    Column("p_value", Real),
    Column("threshold", Real),
    Column("anomalous", SmallInteger),
    Column("near_level", Real),
    Column("far_level", Real),
    Column("ratio", Real),
    Column("coherence", Real),
    Column("faults", Text),  # a JSON list
    Column("warning", Text),
    # Exactly once: whatever happens between a look and a write, this does not let a second in.
    UniqueConstraint("machine", "digest", name="clips_once"),
    Index("clips_of_machine", "machine", "at", "id").ddl_if(dialect="postgresql"),
    # With all that the course of a machine asks of every clip: 20 bytes more of each, for a month
    # that is read in one piece, not from as many pages as it has clips. Not on a server, whose
    # indexes take no text as long as faults may be.
    Index(
        "clips_of_machine", "machine", "at", "id", "p_value", "status", "anomalous", "faults"
    ).ddl_if(dialect="sqlite"),
    Index("clips_at", "at", "id"),
    Index("clips_arrived", "machine", "arrived"),
)  # fmt: skip
FILES = Table(
    "files", DATA,
    Column("folder", ID, nullable=False),  # texts.id
    Column("name", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),  # ns since 1970
    Column("done", BigInteger, nullable=False),  # µs
    PrimaryKeyConstraint("folder", "name"),
    sqlite_with_rowid=False,  # the key is all that it is found by: one tree in place of two
)  # fmt: skip
# Alarms that are not closed; as a condition of an index too.
OPEN = "cleared IS NULL OR acknowledged IS NULL OR shelved_until IS NOT NULL"
ALARMS = Table(
    "alarms", DATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("machine", ID, ForeignKey("machines.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("since", BigInteger, nullable=False),  # µs, as all times below
    Column("told", Text, nullable=False),
    Column("cleared", BigInteger),
    Column("acknowledged", BigInteger),
    Column("note", Text, nullable=False),
    Column("shelved_until", BigInteger),
    Index("alarms_of_machine", "machine"),
    Index("alarms_open", "id", sqlite_where=text(OPEN), postgresql_where=text(OPEN)),
)  # fmt: skip
EVENTS = Table(
    "events", DATA,
    Column("id", ID, primary_key=True, autoincrement=False),
    Column("alarm", ID, nullable=False),
    Column("machine", ID, ForeignKey("machines.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("condition", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("told", Text, nullable=False),
    Column("silent", SmallInteger, nullable=False),
)  # fmt: skip
ACTIONS = Table(
    "actions", DATA,
    Column("id", ID, primary_key=True),
    Column("alarm", ID, nullable=False),
    Column("verb", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("until", BigInteger),
    Column("who", Text, nullable=False),
    Index("actions_of_alarm", "alarm"),
    sqlite_autoincrement=True,  # a number given twice would not be taken up a second time
)  # fmt: skip
STATIONS = Table(
    "stations", DATA,
    Column("machine", ID, ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),  # JSON
)  # fmt: skip
SAID = Table(
    "said", DATA,
    Column("output", Text, primary_key=True),
    Column("event", BigInteger, nullable=False),
)  # fmt: skip

# What people called clips. Rows of clips are pruned, these are not: so by digest, not by number.
LABELS = Table(
    "labels", DATA,
    Column("id", ID, primary_key=True),
    Column("machine", ID, ForeignKey("machines.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("learnt", SmallInteger, nullable=False),
    Column("name", Text, nullable=False),  # of the clip
    Column("undone", BigInteger),
    Column("undone_by", Text, nullable=False),
    # Of a clip one label stands, whoever writes at the same time.
    Index(
        "labels_stand", "machine", "digest", unique=True,
        sqlite_where=text("undone IS NULL"), postgresql_where=text("undone IS NULL"),
    ),
    Index("labels_of_clip", "machine", "digest"),
    sqlite_autoincrement=True,
)  # fmt: skip
AUDIT = Table(
    "audit", DATA,
    Column("id", ID, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    sqlite_autoincrement=True,  # of a record no number is ever given twice
)  # fmt: skip

# Words in the statements below that the two databases call otherwise.
_WORDS = {
    "sqlite": {
        "{moment}": "strftime('%Y-%m-%dT%H:%M:%SZ', c.arrived / 1000000, 'unixepoch')",
        "{number}": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
        "{bytes}": "BLOB",
        "{whole}": "INTEGER",
        "{more}": ", p_value, status, anomalous, faults",
    },
    "postgresql": {
        "{moment}": "to_char(to_timestamp(c.arrived / 1000000) AT TIME ZONE 'UTC', "
        '\'YYYY-MM-DD"T"HH24:MI:SS"Z"\')',
        "{number}": "BIGSERIAL NOT NULL PRIMARY KEY",
        "{bytes}": "BYTEA",
        "{whole}": "BIGINT",
        "{more}": "",
    },
}
# For whoever asks by hand: a row a clip, with words in place of numbers.
_HEARD = """
CREATE VIEW heard AS
SELECT c.id, m.machine, m.section, c.name, c.time, {moment} AS arrived, c.seconds, c.status,
       c.score, c.percentile, c.p_value, c.threshold, c.anomalous, n.text AS nearest,
       c.near_level, c.far_level, c.ratio, c.coherence, c.faults, c.warning,
       s.text AS source, f.text AS folder, c.file, d.text AS detector
FROM clips c JOIN machines m ON m.id = c.machine LEFT JOIN texts n ON n.id = c.nearest
LEFT JOIN texts s ON s.id = c.source LEFT JOIN texts f ON f.id = c.folder
LEFT JOIN texts d ON d.id = c.detector
"""
# Version → the statements that make the next one of it. Version 0 was never released: a draft
# without coherence. It stays, so that the road from an older file is one that was gone.
STEPS: dict[int, Sequence[str]] = {
    0: (
        "DROP VIEW IF EXISTS heard",
        "ALTER TABLE clips ADD COLUMN coherence DOUBLE PRECISION",
        _HEARD,
    ),
    1: (  # what people call clips, and who changed what
        "CREATE TABLE labels (id {number}, machine {whole} NOT NULL REFERENCES machines (id), "
        "digest {bytes} NOT NULL, label TEXT NOT NULL, at BIGINT NOT NULL, who TEXT NOT NULL, "
        "note TEXT NOT NULL, learnt SMALLINT NOT NULL, name TEXT NOT NULL, undone BIGINT, "
        "undone_by TEXT NOT NULL)",
        "CREATE UNIQUE INDEX labels_stand ON labels (machine, digest) WHERE undone IS NULL",
        "CREATE INDEX labels_of_clip ON labels (machine, digest)",
        "CREATE TABLE audit (id {number}, at BIGINT NOT NULL, who TEXT NOT NULL, "
        "role TEXT NOT NULL, address TEXT NOT NULL, verb TEXT NOT NULL, about TEXT NOT NULL, "
        "outcome TEXT NOT NULL)",
        "DROP INDEX clips_of_machine",
        "CREATE INDEX clips_of_machine ON clips (machine, at, id{more})",
        "DROP INDEX clips_arrived",
        "CREATE INDEX clips_arrived ON clips (machine, arrived)",
        "CREATE INDEX alarms_of_machine ON alarms (machine)",
        f"CREATE INDEX alarms_open ON alarms (id) WHERE {OPEN}",
        "CREATE INDEX actions_of_alarm ON actions (alarm)",
    ),
}


def prepare(connection: Connection, place: str, *, make: bool) -> None:
    """Lay down the tables, or bring those of an older version up; within a transaction.

    Args:
        connection: in a transaction that may write.
        place: what messages call the database.
        make: tables where there are none.

    Raises:
        StorageError: no history, one of a newer nearfar, or somebody else's database.
    """
    known = set(inspect(connection).get_table_names())
    version = _version(connection, place, known)
    if version is None:
        if not make:
            raise StorageError(f"{place}: has no history in it; nearfar watch --history makes one")
        DATA.create_all(connection, checkfirst=False)
        _run(connection, _HEARD)
        rows = [("program", PROGRAM), ("schema", str(VERSION))]
        connection.execute(insert_row(META), [{"key": k, "value": v} for k, v in rows])
        return
    for step in range(version, VERSION):
        for statement in STEPS[step]:
            _run(connection, statement)
    if version < VERSION:
        where = META.c.key == "schema"
        connection.execute(META.update().where(where).values(value=str(VERSION)))


def is_current(connection: Connection, place: str) -> bool:
    """Need nothing be done before it is read? Asked first, so that readers write nothing.

    Raises:
        StorageError: as `prepare`.
    """
    return _version(connection, place, set(inspect(connection).get_table_names())) == VERSION


def _version(connection: Connection, place: str, known: set[str]) -> int | None:
    """Of the tables that are there; None if there are none."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":  # it could not hold every name, and would say so at some row
            raise StorageError(f"{place}: its encoding is {encoding}; make a database with UTF8")
    ours = known & set(DATA.tables)
    # A server's database may have tables of others beside ours; a file is one program's.
    if not ours and (not known or connection.dialect.name == "postgresql"):
        return None
    said: dict[str, str] = {}
    # Another program may have a table of this name, of columns that nobody here knows.
    if "meta" in ours and {"key", "value"} <= {
        c["name"] for c in inspect(connection).get_columns("meta")
    }:
        rows = connection.execute(select(META.c.key, META.c.value))
        said = {str(key): str(value) for key, value in rows}
    if said.get("program") != PROGRAM or not said.get("schema", "").isdecimal():
        raise StorageError(f"{place}: is a database of another program; choose another place")
    version = int(said["schema"])
    if version > VERSION:
        raise StorageError(
            f"{place}: is of a newer nearfar (schema {version}, this one knows {VERSION}); "
            "update nearfar"
        )
    return version


def _run(connection: Connection, statement: str) -> None:
    for word, meaning in _WORDS[connection.dialect.name].items():
        statement = statement.replace(word, meaning)
    connection.exec_driver_sql(statement)
