"""What is no history is refused and left as it is; an older one is brought up, a newer one not."""

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest
from sqlalchemy import inspect

from conftest import finish, refused
from history_version1 import make_version1, make_version1_server
from made_history import START, change, seen
from nearfar.errors import StorageError
from nearfar.service.history import schema
from nearfar.service.history.changes import AuditRow, ClipLabel
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401


def opened(where, **given):
    HistoryStore.open(str(where), **given).close()


def older(path, statements):
    """A file of a version that was: one of this, with something taken away."""
    store = HistoryStore.open(str(path), watching=True)
    for i in range(3):
        store.keep(change(i))
    store.close()
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


VERSION_0 = [
    "DROP TABLE labels",
    "DROP TABLE audit",
    "DROP INDEX alarms_of_machine",
    "DROP INDEX alarms_open",
    "DROP INDEX actions_of_alarm",
    "DROP VIEW heard",
    "ALTER TABLE clips DROP COLUMN coherence",
    "UPDATE meta SET value = '0' WHERE key = 'schema'",
]


def test_an_older_history_is_brought_up_to_this_version(tmp_path):
    path = tmp_path / "plant.db"
    older(path, VERSION_0)
    store = HistoryStore.open(str(path))
    # What it never had is not known; all the rest is there.
    assert list(store.observations()) == [replace(seen(i), coherence=None) for i in range(3)]
    store.close()
    store = HistoryStore.open(str(path), watching=True)
    assert store.keep(change(3)) is not None
    assert list(store.observations())[3] == seen(3)
    store.close()
    with sqlite3.connect(path) as connection:
        told = connection.execute("SELECT name, coherence FROM heard ORDER BY id").fetchall()
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (
            str(schema.VERSION),
        )
    connection.close()
    assert told == [(seen(i).name, seen(i).coherence if i == 3 else None) for i in range(4)]


def test_a_migration_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "plant.db"
    older(path, VERSION_0)
    monkeypatch.setitem(schema.STEPS, 0, (*schema.STEPS[0][:2], "CREATE nonsense"))
    refused(lambda: opened(path), path, error=StorageError)
    with sqlite3.connect(path) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(clips)")]
        version = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    connection.close()
    assert "coherence" not in names
    assert version == ("0",)
    monkeypatch.undo()
    opened(path)


def laid_down(where):
    """Columns and indexes of all tables, as the database tells them."""
    store = HistoryStore.open(str(where))
    with store._access.reading() as connection:
        told = inspect(connection)
        found = {
            table: (
                sorted((c["name"], str(c["type"]), c["nullable"]) for c in told.get_columns(table)),
                sorted((i["name"], i["column_names"], i["unique"])
                       for i in told.get_indexes(table)),
            )
            for table in ("labels", "audit", "clips")
        }  # fmt: skip
    store.close()
    return found


def used(where):
    """What schema 1 had is there, and what schema 2 has can be used."""
    store = HistoryStore.open(str(where), watching=True)
    clips = list(store.observations())
    assert [(c.machine, c.digest, c.p_value) for c in clips] == [
        ("fan", "a", 0.5),
        ("pump", "b", 0.01),
    ]
    assert [alarm.id for alarm in store.alarms()] == [3]
    number = store.label(ClipLabel(0, "fan", "00", "a", "fault", START))
    assert store.label_of("fan", "00", "a").id == number == 1
    assert store.audit_begin(AuditRow(0, START, "kim", "operator", "::1", "label", "a")) == 1
    store.close()


def test_a_file_of_schema_1_is_brought_up_with_all_that_it_has(tmp_path):
    make_version1(tmp_path / "plant.db")
    used(tmp_path / "plant.db")
    with sqlite3.connect(tmp_path / "plant.db") as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == (
            str(schema.VERSION),
        )
    connection.close()
    assert laid_down(tmp_path / "plant.db") == laid_down(tmp_path / "new.db")


@pytest.mark.parametrize("cut", range(len(schema.STEPS[1])))
def test_a_step_from_schema_1_that_fails_leaves_the_file(tmp_path, monkeypatch, cut):
    path = tmp_path / "plant.db"
    make_version1(path)
    monkeypatch.setitem(schema.STEPS, 1, (*schema.STEPS[1][: cut + 1], "CREATE nonsense"))
    refused(lambda: opened(path), path, error=StorageError)
    with sqlite3.connect(path) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert not tables & {"labels", "audit", "labels_stand"}
    monkeypatch.undo()
    used(path)


def test_every_version_has_a_step_to_the_next():
    assert sorted(schema.STEPS) == list(range(schema.VERSION))


def test_a_newer_history_is_refused(tmp_path):
    path = tmp_path / "plant.db"
    older(path, ["UPDATE meta SET value = '99' WHERE key = 'schema'"])
    for given in ({}, {"watching": True}):
        refused(lambda given=given: opened(path, **given), path, "99", "update nearfar")


def test_what_is_no_history_is_refused_and_stays_as_it_is(tmp_path):
    text = tmp_path / "notes.db"
    text.write_text("my notes\n")
    refused(lambda: opened(text, watching=True), text, "no SQLite database", error=StorageError)
    assert text.read_text() == "my notes\n"
    refused(lambda: opened(tmp_path), tmp_path, "is a folder", error=StorageError)
    refused(lambda: opened(tmp_path / "gone" / "a.db"), "no such folder", error=StorageError)
    refused(lambda: opened(tmp_path / "a.db", make=False), "no such history", error=StorageError)
    assert not (tmp_path / "a.db").exists()
    short = tmp_path / "cut.db"
    short.write_bytes(b"SQLite format 3\0 and then nothing")
    refused(lambda: opened(short), short, error=StorageError)


@pytest.mark.parametrize("table", ["photos", "meta", "clips"])
def test_another_programs_database_is_refused_and_stays_as_it_is(tmp_path, table):
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE {table} (name TEXT, size INTEGER)")
    connection.close()
    before = path.read_bytes()
    for watching in (True, False):
        refused(lambda w=watching: opened(path, watching=w), path, "another", error=StorageError)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} <= {"photos.db", "photos.db-lock"}


def test_an_empty_file_becomes_a_history(tmp_path):
    path = tmp_path / "plant.db"
    path.touch()
    opened(path)
    opened(f"sqlite:///{path}", make=False)


def test_a_path_of_any_characters_is_a_history(tmp_path):
    name = os.fsdecode(b"pl\xffant ?mode=ro&x#1%20.db")
    store = HistoryStore.open(str(tmp_path / name), watching=True)
    store.keep(change(1))
    store.close()
    assert (tmp_path / name).exists()
    assert store.place.isprintable()


@pytest.mark.slow
def test_two_that_open_a_new_history_at_once_both_can(tmp_path):
    code = (
        "import sys; from nearfar.service.history.store import HistoryStore\n"
        "HistoryStore.open(sys.argv[1]).close()"
    )
    path = tmp_path / "plant.db"
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [finish(process)[1] for process in both] == [b"", b""]
    opened(path, make=False)


@pytest.mark.slow
def test_a_servers_database_may_have_tables_of_others(postgres):  # noqa: F811
    import psycopg

    where = postgres.database()
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("CREATE TABLE photos (name TEXT)")
        opened(where)
        opened(where, make=False)
        assert connection.execute("SELECT count(*) FROM heard").fetchone() == (0,)
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    refused(lambda: opened(where), "update nearfar", error=StorageError)
    other = postgres.database()
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE TABLE clips (name TEXT)")
    refused(lambda: opened(other), "another program", error=StorageError)
    refused(lambda: opened(postgres.database(), make=False), "no history", error=StorageError)


@pytest.mark.slow
def test_a_server_of_an_older_version_is_brought_up(postgres):  # noqa: F811
    import psycopg

    where = postgres.database()
    opened(where)
    with psycopg.connect(where, autocommit=True) as connection:
        for statement in VERSION_0:
            connection.execute(statement)
    store = HistoryStore.open(where, watching=True)
    store.keep(change(1))
    assert list(store.observations()) == [seen(1)]
    store.close()


@pytest.mark.slow
def test_a_server_of_schema_1_is_brought_up(postgres):  # noqa: F811
    where = postgres.database()
    make_version1_server(where)
    used(where)
    assert laid_down(where) == laid_down(postgres.database())
