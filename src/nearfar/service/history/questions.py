"""What is asked of a history: rows in order of time, page by page, and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_

from nearfar.service.history.schema import CLIPS, MACHINES
from nearfar.service.history.spelling import as_bytes, micros, read, spelled
from nearfar.service.history.translation import observed, unpacked
from nearfar.service.observation import Observation, Status

PAGE = 1000  # rows that are read at once: no reader holds the database for longer
COUNTED = ("judged", "anomalous", "idle", "unjudged")
Reading = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class HistoryRow:
    """A clip as it is kept, with its place among all.

    >>> HistoryRow.__match_args__
    ('id', 'at', 'observation')
    """

    id: int
    at: int  # µs since 1970: of the clip's own time where it has one, else of its arrival
    observation: Observation

    @property
    def place(self) -> tuple[int, int]:
        """By which the next page is asked for."""
        return self.at, self.id


@dataclass(frozen=True)
class Wanted:
    """Which clips are asked for; None is any.

    Times are those of `HistoryRow.at`. One without a zone is taken as it stands, as recorders
    write theirs; beside times with a zone it counts as UTC.

    >>> Wanted(machine="fan").section is None
    True
    """

    machine: str | None = None
    section: str | None = None
    since: datetime | None = None  # and at it
    until: datetime | None = None  # before it
    status: Status | None = None
    anomalous: bool | None = None  # of those judged

    def bounds(self) -> list[ColumnElement[bool]]:
        """As conditions on rows of `clips`, without the machine."""
        found = []
        if self.since is not None:
            found.append(CLIPS.c.at >= micros(self.since))
        if self.until is not None:
            found.append(CLIPS.c.at < micros(self.until))
        if self.status is not None:
            found.append(CLIPS.c.status == self.status)
        if self.anomalous is not None:
            found.append(CLIPS.c.anomalous == int(self.anomalous))
        return found

    def numbers(self, connection: Connection) -> list[int] | None:
        """Of the machines and sections; None where all are wanted."""
        if self.machine is None and self.section is None:
            return None
        names = (("machine", self.machine), ("section", self.section))
        asked = [MACHINES.c[name] == spelled(value) for name, value in names if value is not None]
        return list(connection.execute(select(MACHINES.c.id).where(*asked)).scalars())


def page_of(
    wanted: Wanted,
    machine: int | None,
    beyond: tuple[int, int] | None,
    *,
    newest: bool,
    rows: int = PAGE,
) -> Select[Any]:
    """One page of one machine, or of all; an index has its rows in this very order."""
    place = tuple_(CLIPS.c.at, CLIPS.c.id)
    found = observed().where(*wanted.bounds())
    if machine is not None:
        found = found.where(CLIPS.c.machine == machine)
    if beyond is not None:
        found = found.where(place < tuple_(*beyond) if newest else place > tuple_(*beyond))
    order = (CLIPS.c.at, CLIPS.c.id)
    return found.order_by(*(c.desc() if newest else c for c in order)).limit(rows)


def rows_of(
    reading: Reading,
    wanted: Wanted,
    *,
    newest: bool = False,
    beyond: tuple[int, int] | None = None,
    limit: int | None = None,
) -> Iterator[HistoryRow]:
    """Rows in order of time; each page is a question of its own.

    Args:
        reading: opens a transaction.
        wanted: which.
        newest: first.
        beyond: the place of the last row of an earlier page; None begins at the first.
        limit: so many at most.
    """
    with reading() as connection:
        numbers = wanted.numbers(connection)
    # A machine's sections one by one, each in its index's order: the database would sort them
    # all anew for every page.
    machines: Sequence[int | None] = [None] if numbers is None else numbers
    page = PAGE if limit is None else max(min(PAGE, limit), 1)
    parts = [_pages(reading, wanted, machine, beyond, newest, page) for machine in machines]
    return islice(merge(*parts, key=lambda row: row.place, reverse=newest), limit)


def _pages(
    reading: Reading,
    wanted: Wanted,
    machine: int | None,
    beyond: tuple[int, int] | None,
    newest: bool,
    page: int,
) -> Iterator[HistoryRow]:
    while True:
        with reading() as connection:
            question = page_of(wanted, machine, beyond, newest=newest, rows=page)
            found = [HistoryRow(r.id, r.at, unpacked(r)) for r in connection.execute(question)]
        yield from found
        if len(found) < page:
            return
        beyond = found[-1].place


def row_of(
    connection: Connection, machine: str, section: str, digest: str
) -> HistoryRow | None:  # fmt: skip
    """The clip of this sound; None if there is none."""
    found = observed().where(
        MACHINES.c.machine == spelled(machine), MACHINES.c.section == spelled(section),
        CLIPS.c.digest == as_bytes(digest),
    )  # fmt: skip
    row = connection.execute(found).first()
    return None if row is None else HistoryRow(row.id, row.at, unpacked(row))


def counts_of(reading: Reading, wanted: Wanted) -> dict[tuple[str, str], dict[str, int]]:
    """How many clips of each machine and section there are: `judged`, `idle`, `unjudged`.

    Beside these, `anomalous` of those judged.
    """
    columns = (CLIPS.c.machine, CLIPS.c.status, CLIPS.c.anomalous)
    with reading() as connection:
        numbers = wanted.numbers(connection)
        found = select(*columns, func.count()).where(*wanted.bounds()).group_by(*columns)
        if numbers is not None:
            found = found.where(CLIPS.c.machine.in_(numbers))
        rows = list(connection.execute(found))
        names = {
            row.id: (read(row.machine), read(row.section))
            for row in connection.execute(select(MACHINES))
        }
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for machine, status, anomalous, count in rows:
        of = counts.setdefault(names[machine], dict.fromkeys(COUNTED, 0))
        of[status] += count
        of["anomalous"] += count if anomalous else 0
    return counts
