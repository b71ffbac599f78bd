"""Keeps changes in a history that may be down: scoring goes on, and what waits is kept later."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import TypeVar

from nearfar.errors import StorageError
from nearfar.service.history.changes import Action, Change, Unwritable
from nearfar.service.history.store import HistoryStore
from nearfar.service.incoming import Stamp
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.text import counted

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # s, between tries; each is twice as long as the last
AT_ONCE = 200  # changes that are caught up in one go: a new clip shall not wait for all of them
MOST_EVENTS = 10_000  # of clips that were given up: the alarms of a night, not of a year

Answer = TypeVar("Answer")
Key = TypeVar("Key")


class Keeper:
    """Hands changes to a history, in their order; while it is down they wait, up to a bound.

    One thread keeps and retries; the counts can be read from any. Beyond the bound the oldest
    change is given up, and counted: its file is not marked as done, so it is heard again when the
    watch begins anew. Its alarms and their events wait on.

    >>> from nearfar.service.incoming import now
    >>> keeper = Keeper(HistoryStore.open(""))
    >>> keeper.keep(Change(None, said={"mqtt": 3})), keeper.unkept, keeper.trouble
    (None, 0, '')
    >>> keeper.close(patience=0)
    """

    def __init__(
        self,
        store: HistoryStore,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._most, self._clock = store, most, clock
        self._waiting: deque[Change] = deque()
        # What waits, found at once: a source asks about each file, from its own thread.
        self._sounds: Counter[tuple[str, str, str]] = Counter()
        self._files: Counter[Stamp] = Counter()
        # Whose clips were given up: without these an alarm would stand that nobody can see.
        self._events: deque[AlarmEvent] = deque(maxlen=MOST_EVENTS)
        self._alarms: dict[int, StandingAlarm] = {}
        self._error = ""
        self._refusal = ""
        self._wait, self._due, self._blind = FIRST_WAIT, 0.0, 0.0
        self.lost = 0  # clips that were given up

    @property
    def unkept(self) -> int:
        """Changes that wait."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """What is wrong, and what is not kept; "" if all is well."""
        if self._error:
            lost = f", {self.lost:,} given up" if self.lost else ""
            return f"{self._error} ({counted(self.unkept, 'row')} not kept yet{lost})"
        return self._refusal

    def knows(self, files: tuple[Stamp, ...]) -> bool:
        """Are these files done, or wait to be kept as such? Never raises."""
        if self._asked(lambda: self._store.knows(files), False):
            return True
        return bool(files) and all(self._files[file] for file in files)

    def has(self, machine: str, section: str, digest: str) -> bool:
        """Is this sound kept, or does it wait to be? Never raises."""
        if self._sounds[machine, section, digest]:
            return True
        return self._asked(lambda: self._store.has(machine, section, digest), False)

    def actions(self, after: int) -> list[Action]:
        """What people said since; nothing while that cannot be read. Never raises."""
        return self._asked(lambda: self._store.actions(after), [])

    def prune(self, older: timedelta, forget: Callable[[Sequence[str]], None] | None = None) -> int:
        """Delete what is old, as `HistoryStore.prune` does; later if it does not work now.

        Never raises.
        """
        if self._behind or self._error:  # what waits comes first
            return 0
        return self._asked(lambda: self._store.prune(older, forget=forget), 0)

    def _asked(self, question: Callable[[], Answer], unknown: Answer) -> Answer:
        """What the history answers; `unknown` for some time after it did not."""
        # A server that does not answer takes seconds to say so: not at each clip.
        if self._clock() < self._blind:
            return unknown
        try:
            return question()
        except StorageError as error:
            self._failed(error)
            self._blind = self._due
            return unknown

    def keep(self, change: Change) -> int | None:
        """Keep a change now, or later. Never raises.

        Returns:
            The row's number where it is kept and was not there; else None.
        """
        if not self._behind and self._clock() >= self._due:
            try:
                return self._try(change)
            except StorageError as error:
                self._failed(error)
        self._waiting.append(change)
        self._sounds[_sound(change)] += 1
        self._files.update(change.files)
        while len(self._waiting) > self._most:
            self._give_up(self._next())
        self.retry()
        return None

    def retry(self) -> None:
        """Keep what waits, if it is time to try again. Never raises."""
        if self._clock() < self._due:
            return
        try:
            self._catch_up()
        except StorageError as error:
            self._failed(error)

    def close(self, patience: float = 5.0) -> None:
        """Try once more for so many seconds; what is not kept then is counted as given up.

        The history itself stays open. Never raises.
        """
        end = self._clock() + patience
        while self._behind:
            self._due = 0.0
            self.retry()
            if self._clock() >= end:
                break
            if self._error:
                time.sleep(0.05)
        while self._waiting:
            self._give_up(self._next())

    @property
    def _behind(self) -> bool:
        return bool(self._waiting or self._events or self._alarms)

    def _next(self) -> Change:
        change = self._waiting.popleft()
        _one_less(self._sounds, _sound(change))
        for file in change.files:
            _one_less(self._files, file)
        return change

    def _catch_up(self) -> None:
        """The next of what waits, oldest first."""
        if self._alarms or self._events:
            self._try(Change(None, (), tuple(self._events), tuple(self._alarms.values())))
            self._events.clear()
            self._alarms.clear()
        for change in list(islice(self._waiting, AT_ONCE)):
            self._try(change)
            self._next()  # not before: what fails now is the first to be tried again
        if self._error:  # nothing waits, but something was asked that was not answered
            self._store.said()
            self._works()

    def _try(self, change: Change) -> int | None:
        """Keep a change.

        Raises:
            StorageError: not now; what no database takes is given up instead.
        """
        try:
            row = self._store.keep(change)
            if row is None and change.observation is not None:
                # Its sound was kept before, which could not be seen while the history was down.
                # It was heard all the same: what followed from it was told, and stands.
                self._store.keep(replace(change, observation=None, files=()))
        except Unwritable as error:
            self.lost += 1
            self._refusal = f"{error} ({counted(self.lost, 'row')} given up)"
            return None
        self._works()
        return row

    def _works(self) -> None:
        self._error, self._refusal, self._wait, self._due = "", "", FIRST_WAIT, 0.0
        self._blind = 0.0

    def _failed(self, error: StorageError) -> None:
        self._error = str(error)
        self._due = self._clock() + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _give_up(self, change: Change) -> None:
        self.lost += change.observation is not None
        self._events.extend(change.events)
        self._alarms |= {alarm.id: alarm for alarm in change.alarms}
        # A station's state comes again with its next clip; what an output said may not.
        if self._waiting and change.said:
            following = self._waiting[0]
            self._waiting[0] = replace(following, said={**change.said, **following.said})


def _sound(change: Change) -> tuple[str, str, str]:
    seen = change.observation
    return ("", "", "") if seen is None else (seen.machine, seen.section, seen.digest)


def _one_less(counts: Counter[Key], key: Key) -> None:
    counts[key] -= 1
    if counts[key] <= 0:  # a count of none would stay for ever
        del counts[key]
