"""The questions that a history answers; each is a short transaction that reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select, text

from nearfar.service.history.changes import Action, AuditRow, ClipLabel, LabelWord
from nearfar.service.history.connection import Access
from nearfar.service.history.courses import Course, course_of
from nearfar.service.history.newer import rows_after
from nearfar.service.history.questions import (
    HistoryRow,
    Wanted,
    counts_of,
    row_of,
    rows_of,
)
from nearfar.service.history.remarks import audit_page, labels_of, standing_label
from nearfar.service.history.schema import (
    ACTIONS,
    ALARMS,
    EVENTS,
    LABELS,
    MACHINES,
    META,
    OPEN,
    SAID,
    STATIONS,
)
from nearfar.service.history.spans import AlarmSpan, spans_of
from nearfar.service.history.spelling import read, spelled
from nearfar.service.history.translation import (
    action_of,
    actions_kept,
    alarm_of,
    alarms_kept,
    event_of,
    events_kept,
)
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation


class HistoryQuestions:
    """What may be asked of a history; `HistoryStore` writes it as well.

    Args:
        access: to the history.

    >>> access = Access("", watching=False, make=True)
    >>> HistoryQuestions(access).machines()
    []
    >>> access.close()
    """

    def __init__(self, access: Access) -> None:
        self._access = access

    # ---- where a watch goes on ----------------------------------------------------------------

    def stations(self) -> dict[tuple[str, str], str]:
        """(machine, section) → its state as JSON."""
        joined = STATIONS.join(MACHINES, MACHINES.c.id == STATIONS.c.machine)
        columns = select(MACHINES.c.machine, MACHINES.c.section, STATIONS.c.state)
        with self._access.reading() as connection:
            rows = connection.execute(columns.select_from(joined))
            return {(read(m), read(s)): read(state) for m, s, state in rows}

    def standing(self) -> list[StandingAlarm]:
        """Alarms that are not closed, by number."""
        return self.alarms()

    def alarms(self, closed: bool = False) -> list[StandingAlarm]:
        """Alarms by number; those that are closed only if asked for."""
        found = alarms_kept().order_by(ALARMS.c.id)
        with self._access.reading() as connection:
            # In the words of the index that has these alone.
            rows = connection.execute(found if closed else found.where(text(f"({OPEN})")))
            return [alarm_of(row) for row in rows]

    def alarm(self, number: int) -> StandingAlarm | None:
        """An alarm, closed or not; None if there is none, or none any more."""
        with self._access.reading() as connection:
            row = connection.execute(alarms_kept().where(ALARMS.c.id == number)).first()
        return None if row is None else alarm_of(row)

    def highest(self) -> tuple[int, int]:
        """The highest numbers that an alarm and an event ever had; 0 for none."""
        with self._access.reading() as connection:
            rows = connection.execute(select(META.c.key, META.c.value))
            # What was pruned counts: a number that is given twice would be told once.
            pruned: dict[str, str] = {str(key): str(value) for key, value in rows}
            found = [
                max(connection.execute(select(func.max(table.c.id))).scalar() or 0,
                    int(pruned.get(table.name, 0)))
                for table in (ALARMS, EVENTS)
            ]  # fmt: skip
        return found[0], found[1]

    def events(self, after: int = 0) -> list[AlarmEvent]:
        """Those with a higher number, in order."""
        question = events_kept().where(EVENTS.c.id > after).order_by(EVENTS.c.id)
        with self._access.reading() as connection:
            return [event_of(row) for row in connection.execute(question)]

    def said(self) -> dict[str, int]:
        """Output → the highest event number that it has said."""
        with self._access.reading() as connection:
            rows = connection.execute(select(SAID.c.output, SAID.c.event))
            return {read(output): event for output, event in rows}

    def actions(self, after: int = 0) -> list[Action]:
        """What people said, those with a higher number, in order."""
        question = actions_kept().where(ACTIONS.c.id > after).order_by(ACTIONS.c.id)
        with self._access.reading() as connection:
            return [action_of(row) for row in connection.execute(question)]

    def deeds(self, *, number: int | None = None, closed: bool = False) -> list[Action]:
        """What people said of alarms, in its order: one question, however many alarms there are.

        Args:
            number: of this alarm alone.
            closed: of all alarms; else of those that are not closed.
        """
        question = actions_kept().order_by(ACTIONS.c.id)
        if number is not None:
            question = question.where(ACTIONS.c.alarm == number)
        elif not closed:
            standing = select(ALARMS.c.id).where(text(f"({OPEN})"))
            question = question.where(ACTIONS.c.alarm.in_(standing))
        with self._access.reading() as connection:
            return [action_of(row) for row in connection.execute(question)]

    # ---- what is asked ------------------------------------------------------------------------

    def observations(
        self,
        machine: str | None = None,
        section: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Observation]:
        """Clips in order of time, read page by page.

        Args:
            machine, section: None for all.
            since, until: by the clip's own time where it has one, else by its arrival; see
                `Wanted`.
            limit: the newest so many.
        """
        wanted = Wanted(machine, section, since, until)
        if limit is None:
            return (row.observation for row in self.rows(wanted))
        # The newest are found from the end; the first rows of years need not be read for them.
        found = list(self.rows(wanted, newest=True, limit=limit))
        return (row.observation for row in reversed(found))

    def rows(
        self,
        wanted: Wanted,
        *,
        newest: bool = False,
        beyond: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> Iterator[HistoryRow]:
        """Clips with their places, for pages: see `questions.rows_of`."""
        return rows_of(self._access.reading, wanted, newest=newest, beyond=beyond, limit=limit)

    def newer(self, after: int | None, limit: int = 500) -> tuple[int, list[HistoryRow]]:
        """Rows that were kept since: see `newer.rows_after`."""
        return rows_after(self._access.reading, after, limit)

    def machines(self) -> list[tuple[str, str]]:
        """(machine, section) of all that was ever heard, sorted."""
        with self._access.reading() as connection:
            rows = connection.execute(select(MACHINES.c.machine, MACHINES.c.section))
            return sorted((read(machine), read(section)) for machine, section in rows)

    def counts(self, wanted: Wanted | None = None) -> dict[tuple[str, str], dict[str, int]]:
        """(machine, section) → how many clips, in all and of each kind: see `counts_of`."""
        return counts_of(self._access.reading, wanted or Wanted())

    def row(self, machine: str, section: str, digest: str) -> HistoryRow | None:
        """The clip of this sound; None if there is none, or none any more."""
        with self._access.reading() as connection:
            return row_of(connection, machine, section, digest)

    def spans(
        self, machine: str, section: str, since: datetime | None, until: datetime | None
    ) -> list[AlarmSpan]:
        """A machine's alarms that stood at some moment of a time of its clips: see `spans_of`."""
        with self._access.reading() as connection:
            return spans_of(connection, (machine, section), since, until)

    def course(
        self, machine: str, section: str, since: datetime | None, until: datetime | None,
        points: int,
    ) -> Course:  # fmt: skip
        """A machine's clips over a time, in so many points at most: see `courses.course_of`."""
        with self._access.reading() as connection:
            return course_of(connection, (machine, section), since, until, points)

    # ---- what people said of clips, and who changed what ---------------------------------------

    def labels(
        self,
        machine: str | None = None,
        section: str | None = None,
        *,
        label: LabelWord | None = None,
        digests: Sequence[str] | None = None,
        undone: bool = False,
    ) -> list[ClipLabel]:
        """What people called clips, by number.

        Args:
            machine, section: None for all.
            label: of this kind alone.
            digests: of these clips alone.
            undone: also those that do not stand any more.
        """
        asked = (
            (MACHINES.c.machine, machine), (MACHINES.c.section, section), (LABELS.c.label, label)
        )  # fmt: skip
        where = [column == spelled(value) for column, value in asked if value is not None]
        if not undone:
            where.append(LABELS.c.undone.is_(None))
        with self._access.reading() as connection:
            return labels_of(connection, where, digests)

    def label_of(self, machine: str, section: str, digest: str) -> ClipLabel | None:
        """The label that stands of a clip."""
        with self._access.reading() as connection:
            return standing_label(connection, machine, section, digest)

    def audit(self, limit: int = 100, before: int | None = None) -> list[AuditRow]:
        """Who changed what, the newest first.

        Args:
            limit: so many at most.
            before: those of a lower number; None begins at the newest.
        """
        with self._access.reading() as connection:
            return audit_page(connection, limit, before)
