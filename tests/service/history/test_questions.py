"""Rows in order of time, whole pages by index, whatever was kept in which order."""

import random
import sqlite3
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from made_history import START, change, seen, stamp
from nearfar.service.history.changes import Change
from nearfar.service.history.questions import COUNTED, HistoryRow, Wanted, page_of
from nearfar.service.history.store import HistoryStore
from postgres_server import postgres  # noqa: F401

SECTIONS = ("00", "01")


def clips():
    """In another order than that of time; of some nobody knows when they began."""
    made = []
    for i in range(60):
        time = None if i % 7 == 0 else START + timedelta(minutes=i % 13)
        if time is not None and i % 2:
            time = time.replace(tzinfo=None)
        made.append(seen(i, machine=f"m{i % 3}", section=SECTIONS[i % 2], time=time))
    random.Random(1).shuffle(made)
    return made


def when(clip):
    """Law: the clip's own time, as it stands, else its arrival."""
    time = clip.time or clip.arrived
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def store():
    made = HistoryStore.open("")
    for clip in clips():
        made.keep(Change(clip))
    yield made
    made.close()


def expected(wanted):
    found = [
        (when(clip), row, clip)
        for row, clip in enumerate(clips(), 1)
        if wanted.machine in (None, clip.machine)
        and wanted.section in (None, clip.section)
        and (wanted.since is None or when(clip) >= wanted.since.astimezone(UTC))
        and (wanted.until is None or when(clip) < wanted.until.astimezone(UTC))
    ]
    return [clip for _, _, clip in sorted(found, key=lambda one: one[:2])]


some = st.none() | st.integers(-5, 20).map(lambda m: START + timedelta(minutes=m))


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.builds(
        Wanted, st.sampled_from([None, "m0", "m1", "none"]),
        st.sampled_from([None, *SECTIONS]), some, some,
    ),
    st.integers(1, 20),
)  # fmt: skip
def test_pages_put_together_are_all_that_is_wanted_in_order(store, wanted, size):
    whole = expected(wanted)
    for newest in (False, True):
        found, beyond = [], None
        while True:
            page = list(store.rows(wanted, newest=newest, beyond=beyond, limit=size))
            found += page
            if len(page) < size:
                break
            beyond = page[-1].place
        assert [row.observation for row in found] == (whole[::-1] if newest else whole)
    asked = (wanted.machine, wanted.section, wanted.since, wanted.until)
    assert list(store.observations(*asked)) == whole
    assert list(store.observations(*asked, limit=size)) == whole[-size:]
    counts = store.counts(wanted)
    told = {name: sum(of[name] for of in counts.values()) for name in COUNTED}
    assert told["judged"] + told["idle"] + told["unjudged"] == len(whole)
    assert told["anomalous"] == sum(clip.anomalous is True for clip in whole)


def test_a_time_without_a_zone_is_taken_as_it_stands(store):
    wall = datetime(2026, 11, 1, 8, 5)
    assert list(store.observations(since=wall)) == list(
        store.observations(since=wall.replace(tzinfo=UTC))
    )


def test_more_rows_than_a_page_are_streamed(monkeypatch, store):
    monkeypatch.setattr("nearfar.service.history.questions.PAGE", 7)
    assert list(store.observations()) == expected(Wanted())
    assert list(store.observations(machine="m1")) == expected(Wanted("m1"))


@pytest.mark.parametrize("machine", [None, 3])
@pytest.mark.parametrize("beyond", [None, (5, 6)])
@pytest.mark.parametrize("newest", [True, False])
def test_a_page_is_read_by_an_index(tmp_path, machine, beyond, newest):
    path = tmp_path / "plant.db"
    HistoryStore.open(str(path)).close()
    wanted = Wanted(since=START, until=START + timedelta(days=1))
    question = page_of(wanted, machine, beyond, newest=newest, rows=50)
    text = str(question.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with sqlite3.connect(path) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
    connection.close()
    index = "clips_at" if machine is None else "clips_of_machine"
    (found,) = [line for line in plan if " clips " in line]
    assert found.startswith(f"SEARCH clips USING INDEX {index} (")
    assert "at>" in found or "at<" in found or "(at," in found
    # Nothing is sorted, and nothing read from end to end.
    assert not [line for line in plan if "TEMP B-TREE" in line or line.startswith("SCAN")]


def test_a_row_knows_its_place():
    assert HistoryRow(3, 5, seen(1)).place == (5, 3)


@pytest.mark.slow
def test_a_server_orders_as_a_file_does(postgres):  # noqa: F811
    made = HistoryStore.open(postgres.database())
    for clip in clips():
        made.keep(Change(clip))
    for wanted in (Wanted(), Wanted("m1"), Wanted(section="01", since=START)):
        assert [row.observation for row in made.rows(wanted)] == expected(wanted)
        newest = made.rows(wanted, newest=True)
        assert [row.observation for row in newest] == expected(wanted)[::-1]
    made.close()


@pytest.mark.slow
def test_a_restart_asks_no_row(tmp_path):
    """Of a million clips and 100,000 files of one folder: 2 s of CPU, imports apart."""
    path = tmp_path / "plant.db"
    store = HistoryStore.open(str(path), watching=True)
    one = change(1)
    store.keep(one)
    store.close()
    connection = sqlite3.connect(path)
    with connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(clips)")]
        rest = ", ".join(n for n in names if n not in ("id", "digest", "at", "arrived"))
        numbers = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        connection.execute(
            f"INSERT INTO clips (id, digest, at, arrived, {rest}) {numbers.format(1_000_000)} "
            f"SELECT i, CAST('digest of clip number ' || (i + 1000000000) AS BLOB), "
            f"at + i, arrived + i, {rest} FROM n, clips WHERE id = 1"
        )
        connection.execute(
            f"INSERT INTO files {numbers.format(100_000)} "
            "SELECT folder, i || '.wav', size, modified, done FROM n, files WHERE i > 1"
        )
    connection.close()
    whole = stamp(1)
    folder = whole.path.rpartition("/")[0]
    files = [replace(whole, path=f"{folder}/{i}.wav") for i in range(2, 100_001)]
    following = change(2)
    begun = time.process_time()
    store = HistoryStore.open(str(path), watching=True)
    assert store.stations().keys() == {one.observation.key}
    assert store.standing() == store.events(0) == store.actions(0) == []
    assert all(store.knows((file,)) for file in files)
    assert store.keep(following) is not None
    assert list(store.rows(Wanted(), newest=True, limit=1))
    assert time.process_time() - begun < 2
    store.close()
