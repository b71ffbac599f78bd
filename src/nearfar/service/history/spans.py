"""When alarms stood, by the clock of the clips: recorders keep another time than this computer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, and_, func, select

from nearfar.service.history.schema import ALARMS, CLIPS, MACHINES
from nearfar.service.history.spelling import as_digest, micros, read, spelled
from nearfar.service.history.translation import alarm_of, alarms_kept
from nearfar.service.news import StandingAlarm

PARTS = 1000  # clips of one recording among which the one is looked for that raised an alarm


@dataclass(frozen=True)
class AlarmSpan:
    """An alarm, and from when to when it stood on the clock of its machine's clips.

    >>> AlarmSpan.__match_args__
    ('alarm', 'begin', 'end', 'digest')
    """

    alarm: StandingAlarm
    begin: int  # µs since 1970: of the clip that was heard last when it was raised
    end: int | None  # of the clip that was heard last when it was cleared; None: it stands
    digest: str | None  # of the clip at its begin; None where none is kept

    def as_dict(self) -> dict[str, Any]:
        """The alarm, flat, for JSON; times in ms beside its own."""
        end = None if self.end is None else self.end // 1000
        return self.alarm.as_dict() | {
            "from_ms": self.begin // 1000, "to_ms": end, "digest": self.digest,
        }  # fmt: skip


def spans_of(
    connection: Connection, key: tuple[str, str], since: datetime | None, until: datetime | None
) -> list[AlarmSpan]:
    """A machine's alarms that stood at some moment of a time of its clips, by number.

    An alarm of which no clip was heard before has the time of this computer.

    Args:
        connection: in a transaction.
        key: machine and section.
        since: from then on; None from the first.
        until: before then; None for ever.
    """
    begin = None if since is None else micros(since)
    end = None if until is None else micros(until)
    found = [_span(connection, row) for row in connection.execute(raised_of(key))]
    return [
        one for one in found
        if (end is None or one.begin < end) and (begin is None or (one.end or begin) >= begin)
    ]  # fmt: skip


def raised_of(key: tuple[str, str]) -> Select[Any]:
    """A machine's alarms, each with the places of the clips at its ends."""
    named = MACHINES.c.machine == spelled(key[0]), MACHINES.c.section == spelled(key[1])
    with_it = select(func.count()).where(_of_alarm(CLIPS.c.arrived == ALARMS.c.since))
    return (
        alarms_kept().where(*named).order_by(ALARMS.c.id).add_columns(
            ALARMS.c.machine.label("number"),
            _heard(CLIPS.c.at, ALARMS.c.since).label("begin"),
            _heard(CLIPS.c.digest, ALARMS.c.since).label("first"),
            _heard(CLIPS.c.at, ALARMS.c.cleared).label("end"),
            with_it.scalar_subquery().label("parts"),
        )
    )  # fmt: skip


def _heard(column: ColumnElement[Any], moment: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Of the clip that was heard last then: one look into an index of arrivals."""
    found = select(column).where(_of_alarm(CLIPS.c.arrived <= moment))
    return found.order_by(CLIPS.c.arrived.desc(), CLIPS.c.id.desc()).limit(1).scalar_subquery()


def _of_alarm(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return and_(CLIPS.c.machine == ALARMS.c.machine, condition)


def _span(connection: Connection, row: Row[Any]) -> AlarmSpan:
    alarm, begin, digest = alarm_of(row), row.begin, row.first
    if row.parts > 1:  # of one recording, which came in one piece: told has the name of its part
        for part in connection.execute(_parts(row.number, micros(alarm.since))):
            if read(part.name).rpartition("/")[2] in alarm.told:
                begin, digest = part.at, part.digest
                break
    end = row.end
    if end is None and alarm.cleared is not None:
        end = micros(alarm.cleared)
    return AlarmSpan(
        alarm, micros(alarm.since) if begin is None else begin, end,
        None if digest is None else as_digest(digest),
    )  # fmt: skip


def _parts(machine: int, arrived: int) -> Select[Any]:
    found = select(CLIPS.c.at, CLIPS.c.digest, CLIPS.c.name)
    return found.where(CLIPS.c.machine == machine, CLIPS.c.arrived == arrived).order_by(
        CLIPS.c.id
    ).limit(PARTS)  # fmt: skip
