"""The course of one machine: a point a clip, or, of many, a point a stretch of time.

A month of a machine may have a hundred thousand clips, and a screen two thousand places for them.
So the database itself counts, in one walk along an index that has all that is asked in it; of the
rows only those are read whose digests are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from nearfar.service.history.schema import CLIPS, MACHINES
from nearfar.service.history.spelling import as_digest, micros, spelled


@dataclass(frozen=True)
class Course:
    """Columns of equal length, a place a point, in order of time.

    >>> Course().at
    []
    """

    step: int | None = None  # µs that a point stands for; None: each point is a clip
    first: int | None = None  # µs since 1970, of all rows of the machine; None: it has none
    last: int | None = None
    at: list[int] = field(default_factory=list)  # µs: of the clip, or where its stretch begins
    p: list[float | None] = field(default_factory=list)  # the smallest p-value
    judged: list[int] = field(default_factory=list)  # clips, as all below
    anomalous: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    unjudged: list[int] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)  # with a sensor fault
    # Of the first clip that has the smallest p-value; where none has one, of the first.
    digest: list[str] = field(default_factory=list)


def course_of(
    connection: Connection, key: tuple[str, str], since: datetime | None, until: datetime | None,
    points: int,
) -> Course:  # fmt: skip
    """The course of a machine; stretches of time without a clip have no point.

    Args:
        connection: in a transaction.
        key: machine and section.
        since: from then on; None from its first clip.
        until: before then; None to its last.
        points: at most so many, at least 1.
    """
    named = MACHINES.c.machine == spelled(key[0]), MACHINES.c.section == spelled(key[1])
    machine = connection.execute(select(MACHINES.c.id).where(*named)).scalar()
    ends = None if machine is None else connection.execute(ends_of(machine)).one()
    if machine is None or ends is None or ends.first is None:
        return Course()
    # No stretch lies where nothing was heard: all points are for what there is.
    begin = ends.first if since is None else max(micros(since), ends.first)
    end = ends.last + 1 if until is None else min(micros(until), ends.last + 1)
    few = select(CLIPS.c.id).where(*_within(machine, begin, end)).limit(points + 1).subquery()
    if int(connection.execute(select(func.count()).select_from(few)).scalar_one()) <= points:
        return _course(connection.execute(each_of(machine, begin, end)).all(), None, ends)
    step = max(-(-(end - begin) // points), 1)
    return _course(connection.execute(stretches_of(machine, begin, end, step)).all(), step, ends)


def ends_of(machine: int) -> Select[Any]:
    """When the first and the last clip of a machine began, µs; each is one look into an index."""
    of = CLIPS.c.machine == machine
    first, last = (select(what(CLIPS.c.at)).where(of) for what in (func.min, func.max))
    return select(
        first.scalar_subquery().label("first"), last.scalar_subquery().label("last")
    )  # fmt: skip


def each_of(machine: int, begin: int, end: int) -> Select[Any]:
    """A row a clip of a time, in order."""
    counts = [case((condition, 1), else_=0).label(name) for name, condition in _COUNTED.items()]
    found = select(CLIPS.c.at, _P.label("p"), *counts, CLIPS.c.digest)
    return found.where(*_within(machine, begin, end)).order_by(CLIPS.c.at, CLIPS.c.id)


def stretches_of(machine: int, begin: int, end: int, step: int) -> Select[Any]:
    """A row a stretch of time that has a clip in it.

    Args:
        machine: its number.
        begin, end: µs, that and not that.
        step: µs that a stretch lasts.
    """
    part = ((CLIPS.c.at - begin) // step).label("part")
    marks = [case((condition, 1)).label(name) for name, condition in _COUNTED.items()]
    inner = select(part, _P.label("p"), *marks).where(*_within(machine, begin, end)).subquery()
    counts = [func.count(inner.c[name]).label(name) for name in _COUNTED]
    columns = inner.c.part, func.min(inner.c.p).label("p"), *counts
    told = select(*columns).group_by(inner.c.part).subquery()
    # The first of equals, by place: p-values of few normals are equal as a rule.
    clip = CLIPS.alias("told")
    starts = begin + told.c.part * step
    first = select(clip.c.digest).where(
        clip.c.machine == machine, clip.c.at >= starts, clip.c.at < starts + step,
        or_(told.c.p.is_(None), clip.c.p_value == told.c.p),
    )  # fmt: skip
    digest = first.order_by(clip.c.at, clip.c.id).limit(1).scalar_subquery()
    counted = [told.c[name] for name in _COUNTED]
    return select(
        starts.label("at"), told.c.p, *counted, digest.label("digest")
    ).order_by(told.c.part)  # fmt: skip


# A nan is above all numbers to both databases: to SQLite as a word, to PostgreSQL as itself.
_P = case((CLIPS.c.p_value <= 1, CLIPS.c.p_value))
_COUNTED: dict[str, ColumnElement[bool]] = {
    "judged": CLIPS.c.status == "judged",
    "anomalous": and_(CLIPS.c.status == "judged", CLIPS.c.anomalous == 1),
    "idle": CLIPS.c.status == "idle",
    "unjudged": CLIPS.c.status == "unjudged",
    "faults": CLIPS.c.faults.is_not(None),
}


def _within(machine: int, begin: int, end: int) -> tuple[ColumnElement[bool], ...]:
    return CLIPS.c.machine == machine, CLIPS.c.at >= begin, CLIPS.c.at < end


def _course(rows: Sequence[Row[Any]], step: int | None, ends: Row[Any]) -> Course:
    counts = {name: [getattr(row, name) for row in rows] for name in _COUNTED}
    return Course(
        step, ends.first, ends.last, at=[row.at for row in rows], p=[row.p for row in rows],
        digest=[as_digest(row.digest) for row in rows], **counts,
    )  # fmt: skip
