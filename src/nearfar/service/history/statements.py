"""The statements that write, made once for a dialect, so that each is compiled once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, Table, and_, bindparam, case, func, null, select
from sqlalchemy.dialects import postgresql, sqlite

from nearfar.service.history.schema import (
    ALARMS,
    CLIPS,
    EVENTS,
    FILES,
    MACHINES,
    META,
    SAID,
    STATIONS,
    TEXTS,
)


class Quick:
    """A question of a row, and the same as text for whoever asks SQLite's driver itself.

    >>> Quick(select(META.c.value).where(META.c.key == bindparam("key"))).given({"key": "schema"})
    ('schema',)
    """

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement
        compiled = statement.compile(dialect=sqlite.dialect())
        self.text, self._names = str(compiled), tuple(compiled.positiontup or ())

    def given(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of its parameters, in the order of the text."""
        return tuple(values[name] for name in self._names)


class Statements:
    """Inserts that know what to do about a row that is there, and the question asked before.

    >>> "ON CONFLICT" in str(Statements("sqlite").clip)
    True
    """

    def __init__(self, dialect: str) -> None:
        make: Any = postgresql.insert if dialect == "postgresql" else sqlite.insert

        def replacing(table: Table, *key: str) -> Any:
            insert = make(table)
            rest = {c.name: insert.excluded[c.name] for c in table.c if c.name not in key}
            return insert.on_conflict_do_update(index_elements=list(key), set_=rest)

        # Its number, or nothing where the sound is there: the caller tells the two apart.
        clip = make(CLIPS).on_conflict_do_nothing(index_elements=["machine", "digest"])
        self.clip = clip.returning(CLIPS.c.id)
        number = select(MACHINES.c.id).where(
            MACHINES.c.machine == bindparam("machine"), MACHINES.c.section == bindparam("section")
        )
        self.sound = Quick(
            select(CLIPS.c.id).where(
                CLIPS.c.machine == number.scalar_subquery(), CLIPS.c.digest == bindparam("digest")
            )
        )
        machine = make(MACHINES)
        # Nothing changes, but what is changed is given back.
        self.machine = machine.on_conflict_do_update(
            index_elements=["machine", "section"], set_={"section": machine.excluded.section}
        ).returning(MACHINES.c.id)
        text = make(TEXTS)
        later = case(
            (text.excluded.last > TEXTS.c.last, text.excluded.last), else_=TEXTS.c.last
        )  # fmt: skip
        self.text = text.on_conflict_do_update(
            index_elements=["key"], set_={"last": later}
        ).returning(TEXTS.c.id)
        self.file = replacing(FILES, "folder", "name")
        # What happened does not change; told again after a crash it is the same event.
        self.event = make(EVENTS).on_conflict_do_nothing(index_elements=["id"])
        self.station = replacing(STATIONS, "machine")
        self.said = replacing(SAID, "output")
        self.meta = replacing(META, "key")
        alarm = make(ALARMS)
        rest = {c.name: alarm.excluded[c.name] for c in ALARMS.c if c.name != "id"}
        # A person may have said so since the watch last looked, which must not undo it.
        rest["acknowledged"] = func.coalesce(alarm.excluded.acknowledged, ALARMS.c.acknowledged)
        # All notes are written here first, by whoever said them: the watch's is never a newer one.
        rest["note"] = ALARMS.c.note
        # Closed by the two together, it is off its shelf, as it will be once the watch knows.
        closed = and_(alarm.excluded.cleared.is_not(None), rest["acknowledged"].is_not(None))
        rest["shelved_until"] = case((closed, null()), else_=alarm.excluded.shelved_until)
        self.alarm = alarm.on_conflict_do_update(index_elements=["id"], set_=rest)
