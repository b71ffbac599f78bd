"""The history: what was heard is kept exactly once, and found again after any end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, update
from sqlalchemy import insert as insert_row

from nearfar.errors import SettingError
from nearfar.service.history.asking import HistoryQuestions
from nearfar.service.history.changes import (
    Action,
    AuditRow,
    Change,
    ClipLabel,
    Unwritable,
    is_closed,
)
from nearfar.service.history.connection import Access
from nearfar.service.history.numbering import DoneFiles, RowNumbers
from nearfar.service.history.pruning import newest_alone, prune_before
from nearfar.service.history.remarks import (
    end_audit,
    put_audit,
    put_label,
    standing_label,
    undo_label,
)
from nearfar.service.history.schema import ACTIONS, ALARMS
from nearfar.service.history.spelling import as_bytes, micros, spelled
from nearfar.service.history.statements import Statements
from nearfar.service.history.translation import (
    acted_on,
    action_row,
    alarm_of,
    alarm_row,
    alarms_kept,
    event_row,
    packed,
    parted,
    texts_of,
)
from nearfar.service.incoming import Stamp, now
from nearfar.service.observation import Observation

IN_MEMORY = 100_000  # rows of a history without a file: a watch without one shall not grow


class HistoryStore(HistoryQuestions):
    """A history in a file, on a server, or in memory; from any thread.

    >>> store = HistoryStore.open("")
    >>> seen = Observation(source="hall", name="fan/1.wav", path="fan/1.wav", machine="fan",
    ...                    section="00", time=None, arrived=now(), seconds=10.0, digest="9f" * 32,
    ...                    status="idle")
    >>> store.keep(Change(seen)), store.keep(Change(seen))
    (1, None)
    >>> list(store.observations(machine="fan")) == [seen]
    True
    >>> store.close()
    """

    def __init__(
        self, where: str, *, watching: bool, make: bool, hurry: bool = False
    ) -> None:  # fmt: skip
        self._done = DoneFiles()
        self._states: dict[tuple[str, str], str] = {}  # as they are kept
        self._numbers: RowNumbers | None = None
        self._kept = 0
        self._memory = where in ("", "sqlite://")
        # Opening may lose what is remembered, so that must be there before it.
        super().__init__(
            Access(where, watching=watching, make=make, lost=self._forget, hurry=hurry)
        )
        self._make = Statements(self._access.dialect)
        self._numbers = RowNumbers(self._make)
        self.place = self._access.place  # as messages call it

    @classmethod
    def open(
        cls, where: str, *, watching: bool = False, make: bool = True, hurry: bool = False
    ) -> HistoryStore:  # fmt: skip
        """Open a history; one of an older nearfar is brought up to this one's schema.

        Args:
            where: a path of a file, `sqlite:///PATH`, `postgresql://user@host/database`, or "" for
                a history in memory, of the newest 100,000 clips.
            watching: this process writes, alone: no other can watch into it until it is closed,
                or has ended however it did.
            make: a history where there is none.
            hurry: while another program holds it rather refuse soon than wait, as a watch does.

        Raises:
            StorageError: it is no history, one of a newer nearfar, another watch has it, or it
                cannot be reached.
            NearfarError: the extra for PostgreSQL is not installed.
        """
        return cls(where, watching=watching, make=make, hurry=hurry)

    # ---- what is written ----------------------------------------------------------------------

    def knows(self, files: tuple[Stamp, ...]) -> bool:
        """Is each of these files, of this very size and time, done? False of none at all.

        Raises:
            StorageError: it cannot be read.
        """
        with self._access.lock:
            for folder in self._done.lacks(files):
                with self._access.reading() as connection:
                    self._done.read(connection, folder)
            return bool(files) and all(map(self._done.has, files))

    def has(self, machine: str, section: str, digest: str) -> bool:
        """Is there a row of this sound?

        Raises:
            StorageError: it cannot be read.
        """
        row = {
            "machine": spelled(machine), "section": spelled(section), "digest": as_bytes(digest)
        }  # fmt: skip
        return self._access.first(self._make.sound, row) is not None

    def keep(self, change: Change) -> int | None:
        """Write all of a change, or nothing of it.

        Returns:
            The row's number. None where there was a row of this sound: then its files are marked
            as done, and nothing else of the change is written. None, too, without an observation.

        Raises:
            Unwritable: no database takes it.
            StorageError: it was not written.
        """
        try:
            return self._written(change)
        except Unwritable:
            # Numbers that are remembered may have been pruned by another process; they are
            # forgotten now, and what is truly unwritable is so again.
            return self._written(change)

    def _written(self, change: Change) -> int | None:
        seen, row = change.observation, None
        with self._access.lock:
            with self._access.writing() as connection:
                if seen is not None:
                    row = self._row(connection, seen)
                if seen is None or row is not None:
                    self._news(connection, change)
                self._mark(connection, change.files, now() if seen is None else seen.arrived)
            # Remembered only when it is kept.
            self._done.add(change.files)
            if change.station is not None and (seen is None or row is not None):
                self._states[change.station[0]] = change.station[1]
            self._kept += 1
            if self._memory and self._kept % 10_000 == 0:
                newest_alone(self._access, IN_MEMORY)
        return row

    @property
    def _numbering(self) -> RowNumbers:
        if self._numbers is None:
            self._numbers = RowNumbers(self._make)
        return self._numbers

    def _row(self, connection: Connection, seen: Observation) -> int | None:
        """Insert a clip; None where its sound is there."""
        numbers, row = self._numbering, packed(seen)
        row["machine"] = numbers.machine(connection, seen.key)
        for name, text in texts_of(seen).items():
            row[name] = numbers.text(connection, text, row["arrived"])
        # No look before it: between a look and a write there would be room for a second.
        found = connection.execute(self._make.clip, row).scalar()
        return None if found is None else int(found)

    def _mark(self, connection: Connection, files: Sequence[Stamp], done: datetime) -> None:
        at = micros(done)
        for file in files:
            folder, name = parted(file.path)
            row = {
                "folder": self._numbering.text(connection, folder, at), "name": spelled(name),
                "size": file.size, "modified": file.modified, "done": at,
            }  # fmt: skip
            connection.execute(self._make.file, row)

    def _news(self, connection: Connection, change: Change) -> None:
        """All of a change but its clip and its files."""
        machine = self._numbering.machine
        for alarm in change.alarms:
            number = machine(connection, (alarm.machine, alarm.section))
            connection.execute(self._make.alarm, alarm_row(alarm, number))
        for event in change.events:
            number = machine(connection, (event.machine, event.section))
            connection.execute(self._make.event, event_row(event, number))
        if change.station is not None:
            key, state = change.station
            # Most clips change it; an idle machine's do not, and a page less is written.
            if self._states.get(key) != state:
                row = {"machine": machine(connection, key), "state": spelled(state)}
                connection.execute(self._make.station, row)
        for output, last in change.said.items():
            connection.execute(self._make.said, {"output": spelled(output), "event": last})

    def _forget(self) -> None:
        """What was remembered may be no more: a transaction failed, or the file is another."""
        if self._numbers is not None:
            self._numbers.forget()
        self._done.forget()
        self._states.clear()

    def act(self, action: Action, *, late: bool = False) -> int:
        """Keep what a person said of an alarm, and change the alarm's row accordingly.

        The watch takes it up within a second; what is kept stands also while none runs.

        Args:
            action: what they said.
            late: also of a closed alarm, for the record alone: it was meant while it stood.

        Returns:
            The action's number.

        Raises:
            SettingError: no such alarm, or one that is closed.
            StorageError: it was not written.
        """
        if action.verb == "shelved" and action.until is None:
            raise SettingError(f"alarm {action.alarm}: shelved until when? Say a time")
        refusal = f"{self.place}: no alarm {action.alarm}; nearfar alarms lists those there are"
        with self._access.writing() as connection:
            if self._access.dialect == "postgresql":
                # Of two at once the second waits: a lower number that is seen after a higher one
                # would never be taken up. SQLite has one writer anyway.
                connection.exec_driver_sql("LOCK TABLE actions IN SHARE ROW EXCLUSIVE MODE")
            found = connection.execute(alarms_kept().where(ALARMS.c.id == action.alarm)).first()
            alarm = None if found is None else alarm_of(found)
            if alarm is not None and (late or alarm.word != "closed"):
                # The row at once, not only the audit: whoever looks next sees it, with no watch.
                if row := acted_on(alarm, action):
                    connection.execute(update(ALARMS).where(ALARMS.c.id == alarm.id).values(**row))
                added = insert_row(ACTIONS).values(**action_row(action)).returning(ACTIONS.c.id)
                return int(connection.execute(added).scalar_one())
        if alarm is not None:  # no station asks about it again: nobody would ever take it up
            refusal = f"{self.place}: {is_closed(alarm.id)}"
        raise SettingError(refusal)

    def label(self, label: ClipLabel, *, first: bool = False) -> int:
        """Keep what a person called a clip; another label of it is undone by this one.

        Args:
            label: to be kept.
            first: not over another one, which may be of another process just now.

        Returns:
            The label's number.

        Raises:
            SettingError: another stands, and this is to be the first.
            StorageError: it was not written.
        """
        with self._access.lock, self._access.writing() as connection:
            if first and standing_label(connection, label.machine, label.section, label.digest):
                raise SettingError(f"{label.name}: was called something by another just now")
            machine = self._numbering.machine(connection, (label.machine, label.section))
            return put_label(connection, label, machine)

    def unlabel(
        self, machine: str, section: str, digest: str, who: str, at: datetime
    ) -> ClipLabel | None:
        """Undo the label that stands of a clip; it is kept, as one that was undone.

        Returns:
            The label, None where none stood.

        Raises:
            StorageError: it was not written.
        """
        with self._access.lock, self._access.writing() as connection:
            found = standing_label(connection, machine, section, digest)
            if found is not None:
                undo_label(connection, found, who, micros(at))
        return None if found is None else replace(found, undone=at, undone_by=who)

    def audit_begin(self, row: AuditRow) -> int:
        """Keep that somebody begins to change something, before it is done.

        Returns:
            The row's number.

        Raises:
            StorageError: it was not written; then nothing may be changed.
        """
        with self._access.writing() as connection:
            return put_audit(connection, row)

    def audit_end(self, number: int, outcome: str) -> None:
        """Keep what came of it: "done", or why not. A row that has its outcome keeps that.

        Raises:
            StorageError: it was not written.
        """
        with self._access.writing() as connection:
            end_audit(connection, number, outcome)

    def prune(
        self,
        older: timedelta,
        *,
        at: datetime | None = None,
        most: int = 50_000,
        forget: Callable[[Sequence[str]], None] | None = None,
    ) -> int:
        """Delete what arrived longer ago: clips, closed alarms with all that was said of them.

        Alarms that are not closed stay, as do files that are still there: they would else be
        heard again.

        Args:
            older: than this.
            at: the time now.
            most: clips of one call, so that a watch goes on; call it again while it gives so many.
            forget: takes the digests of clips that are gone, as `KeptAudio.forget` does.

        Returns:
            The number of clips deleted.

        Raises:
            StorageError: it cannot be written.
        """
        with self._access.lock:
            gone = prune_before(self._access, micros((at or now()) - older), most)
            if gone:
                self._forget()
        if forget is not None and gone:
            forget(gone)
        return len(gone)

    def close(self) -> None:
        """Close it; its lock falls."""
        self._access.close()
