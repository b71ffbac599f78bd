"""What is old goes, and its room is given back."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, literal, select

from nearfar.service.history.connection import Access
from nearfar.service.history.schema import (
    ACTIONS,
    ALARMS,
    CLIPS,
    EVENTS,
    FILES,
    MACHINES,
    TEXTS,
)
from nearfar.service.history.spelling import as_digest, read
from nearfar.service.history.statements import Statements

BATCH = 2000  # rows of one transaction: nobody waits for longer than that takes

STEPS = 4000  # pages that are given back at once, of 4 kB


def prune_before(access: Access, before: int, most: int) -> list[str]:
    """Delete what arrived before a time.

    Args:
        access: to the history.
        before: µs.
        most: clips.

    Returns:
        The digests of the clips.
    """
    gone: list[str] = []
    while len(gone) < most:
        with access.writing() as connection:
            found = _clips(connection, before, min(BATCH, most - len(gone)))
        gone += found
        if len(found) < BATCH:
            break
    if len(gone) < most:
        with access.writing() as connection:
            _alarms(connection, Statements(access.dialect), before)
            _files(connection, before)
            _texts(connection, before)
    _give_back(access)
    return gone


def newest_alone(access: Access, count: int) -> None:
    """Keep the newest clips, and delete the others."""
    with access.writing() as connection:
        last = connection.execute(select(func.max(CLIPS.c.id))).scalar() or 0
        connection.execute(delete(CLIPS).where(CLIPS.c.id <= last - count))


def _clips(connection: Connection, before: int, count: int) -> list[str]:
    rows: list[Row[Any]] = []
    for machine in list(connection.execute(select(MACHINES.c.id)).scalars()):
        # One by one, as their index has them; of all at once each row would be looked at.
        of = CLIPS.c.machine == machine, CLIPS.c.arrived < before
        old = select(CLIPS.c.id, CLIPS.c.digest).where(*of).order_by(CLIPS.c.arrived)
        rows += connection.execute(old.limit(count - len(rows)))
        if len(rows) >= count:
            break
    for start in range(0, len(rows), 500):  # a statement takes no more names than so many
        ids = [row.id for row in rows[start : start + 500]]
        connection.execute(delete(CLIPS).where(CLIPS.c.id.in_(ids)))
    return [as_digest(row.digest) for row in rows]


def _alarms(connection: Connection, make: Statements, before: int) -> None:
    """Closed alarms, their events, and what was said of them."""
    # Numbers go on where they were: an output that has said event 70 takes no event 5 for new.
    for table in (ALARMS, EVENTS):
        last = connection.execute(select(func.max(table.c.id))).scalar()
        if last is not None:
            connection.execute(make.meta, {"key": table.name, "value": str(last)})
    connection.execute(
        delete(ALARMS).where(
            ALARMS.c.cleared < before, ALARMS.c.acknowledged < before,
            ALARMS.c.shelved_until.is_(None),
        )
    )  # fmt: skip
    for rows in (EVENTS, ACTIONS):
        stands = exists().where(ALARMS.c.id == rows.c.alarm)
        connection.execute(delete(rows).where(rows.c.at < before, ~stands))


def _files(connection: Connection, before: int) -> None:
    """Files that are not there any more: the others would be offered again."""
    folder = TEXTS.c.id == FILES.c.folder
    old = select(FILES.c.folder, FILES.c.name, TEXTS.c.text).join_from(FILES, TEXTS, folder)
    for row in list(connection.execute(old.where(FILES.c.done < before))):
        if not os.path.lexists(read(row.text + row.name)):
            key = FILES.c.folder == row.folder, FILES.c.name == row.name
            connection.execute(delete(FILES).where(*key))


def _texts(connection: Connection, before: int) -> None:
    """Texts that no row can refer to any more, since none of so late a day does."""
    used = exists(literal(1)).where(FILES.c.folder == TEXTS.c.id)
    connection.execute(delete(TEXTS).where(TEXTS.c.last < before, ~used))


def _give_back(access: Access) -> None:
    """Return to the system the room that is free at the end of a file, in small steps."""
    if access.file is None:
        return
    # What is free is used by new rows first, so a file does not grow for ever even without this.
    with access.writing() as connection:
        free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0)
        for _ in range(min(free, STEPS)):
            # One page a call: Python's driver takes one step of a statement that has no columns.
            connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
