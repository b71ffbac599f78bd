"""What another process kept since."""

from dataclasses import replace

import pytest

from nearfar.service.history.changes import Change
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import now
from nearfar.service.observation import Observation


def seen(n, **of):
    made = Observation(
        "hall", f"{n}.wav", f"{n}.wav", "pump", "00", None, now(), 10.0, f"{n:064x}", "idle"
    )  # fmt: skip
    return replace(made, **of)


@pytest.fixture
def both(tmp_path):
    """A writer, and a reader that opened the same file before anything was in it."""
    writer = HistoryStore.open(str(tmp_path / "p.db"), watching=True)
    reader = HistoryStore.open(str(tmp_path / "p.db"), make=False)
    yield writer, reader
    reader.close()
    writer.close()


def test_each_row_is_given_once_in_the_order_it_was_kept(both):
    writer, reader = both
    last, rows = reader.newer(None)
    assert rows == []
    found = []
    for n in range(7):
        # Caught up: the later one is of an earlier time.
        old = now().replace(year=2020 - n)
        writer.keep(Change(seen(n, time=old)))
        if n % 3 == 0:
            last, rows = reader.newer(last)
            found += [row.observation.name for row in rows]
    while rows:
        last, rows = reader.newer(last, limit=1)
        found += [row.observation.name for row in rows]
    assert found == [f"{n}.wav" for n in range(7)]


def test_who_begins_is_told_of_nothing_old(both):
    writer, reader = both
    writer.keep(Change(seen(1)))
    last, rows = reader.newer(None)
    assert (last, rows, reader.newer(last)) == (1, [], (1, []))


def test_a_history_that_began_anew_is_followed_from_its_end(both):
    writer, reader = both
    writer.keep(Change(seen(1)))
    assert reader.newer(900) == (1, [])
