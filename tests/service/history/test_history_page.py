"""docs/history.md: its questions are answered by both databases, its tables are those there are."""

import re
import sqlite3

import pytest

from conftest import TESTS
from made_history import make_history
from nearfar.service.history.schema import DATA, VERSION
from postgres_server import postgres  # noqa: F401

PAGE = (TESTS.parent / "docs" / "history.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def answers(ask):
    found = [[tuple(row) for row in ask(question)] for question in QUESTIONS]
    assert len(found) == 3
    return found


@pytest.fixture
def told(tmp_path):
    path = tmp_path / "plant.db"
    make_history(path)
    connection = sqlite3.connect(path)
    yield answers(lambda question: connection.execute(question).fetchall())
    connection.close()


def test_the_questions_are_answered(told):
    anomalous, counted, alarms = told
    assert anomalous
    assert all(row[0].startswith("2026-11-01T08:") for row in anomalous)
    assert {row[0] for row in counted} == {"fan", "pump"}
    assert sum(row[2] for row in counted) == 40
    assert [row[0] for row in alarms] == [3]


@pytest.mark.slow
def test_a_server_answers_the_same(told, postgres):  # noqa: F811
    import psycopg

    where = postgres.database()
    make_history(where)
    with psycopg.connect(where) as connection:
        assert answers(lambda question: connection.execute(question).fetchall()) == told


def test_the_page_names_every_table_and_column():
    tables = PAGE.partition("### The tables")[2]
    assert f"Schema {VERSION}." in tables
    for table in DATA.tables.values():
        (row,) = re.findall(rf"^\| `{table.name}` \|.*|`{table.name}` has .*", tables, re.MULTILINE)
        for column in table.columns:
            if table.name not in ("meta", "clips"):
                assert f"`{column.name}`" in row, (table.name, column.name)
    rows = tables.partition("| column of `clips`")[2]
    named = re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", rows, re.MULTILINE)))
    assert set(named) == {column.name for column in DATA.tables["clips"].columns}
