"""One alarm point: what it stands for, and what people said of it.

Words of ISA-18.2 and OPC UA Part 9, as a pure state machine: time and numbers are given to it.

    normal ──raised──▶ active ──acknowledged──▶ acknowledged ──cleared──▶ closed
                         │ ▲                                                 ▲
                  cleared▼ │raised again                                     │
                       cleared (nobody has seen it yet) ──acknowledged───────┘

Raised again before anybody acknowledged it, it is the same alarm, active again (ISA-18.2, "re-alarm
unacknowledged"): a person finds one row, not fifty, and one acknowledgement answers it. Raised
again after it was closed it is a new alarm. A shelf lasts until its time, but ends when its alarm
is closed: no alarm is ever silent by a shelf that no listed alarm shows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from nearfar.service.news import AlarmEvent, AlarmKind, AlarmVerb, StandingAlarm
from nearfar.text import called


class Numbers(Protocol):
    """Where numbers of alarms and events come from: a history's highest, and on.

    >>> numbers: Numbers = Numbering(alarm=3)
    >>> numbers.next_alarm()
    4
    """

    def next_alarm(self) -> int: ...  # noqa: D102
    def next_event(self) -> int: ...  # noqa: D102


@dataclass
class Numbering:
    """Numbers from those that a history has had on.

    >>> numbers = Numbering(alarm=3, event=7)
    >>> numbers.next_alarm(), numbers.next_event(), numbers.next_event()
    (4, 8, 9)
    """

    alarm: int = 0
    event: int = 0

    def next_alarm(self) -> int:
        """The next alarm's."""
        self.alarm += 1
        return self.alarm

    def next_event(self) -> int:
        """The next event's."""
        self.event += 1
        return self.event


@dataclass(frozen=True)
class PointName:
    """Which alarm point of a plant.

    >>> PointName("machine", "sound", "pump", "00").condition
    'sound'
    """

    kind: AlarmKind
    condition: str
    machine: str
    section: str


class AlarmPoint:
    """Raised, cleared, acknowledged, shelved: each gives the events that are to be told.

    >>> from nearfar.service.incoming import now
    >>> point = AlarmPoint(PointName("machine", "sound", "pump", "00"), Numbering())
    >>> [event.verb for event in point.hold(True, now(), "3 of the last 5")]
    ['raised']
    >>> point.alarm.word, [event.verb for event in point.acknowledge(now())], point.alarm.word
    ('active', ['acknowledged'], 'acknowledged')
    """

    def __init__(self, name: PointName, numbers: Numbers) -> None:
        self.name = name
        self._numbers = numbers
        self.alarm: StandingAlarm | None = None  # the one that is not closed
        self.shelved_until: datetime | None = None
        self.last = 0  # number of the last alarm, which a late deed may still be about
        self.changed: dict[int, StandingAlarm] = {}  # since somebody emptied it

    @property
    def active(self) -> bool:
        """Does what it stands for last, whoever has acknowledged it?"""
        return self.alarm is not None and self.alarm.cleared is None

    @property
    def idle(self) -> bool:
        """Nothing is to be remembered of it."""
        return self.alarm is None

    def hold(self, stands: bool, at: datetime, told: str) -> list[AlarmEvent]:
        """The condition stands, or it does not; nothing where that is no news.

        Args:
            told: the line that it is raised or cleared with.
        """
        if stands == self.active:
            return []
        return self._raise(at, told) if stands else self._clear(at, told)

    def _raise(self, at: datetime, told: str) -> list[AlarmEvent]:
        if self.alarm is not None:  # cleared, and nobody has acknowledged it: the same again
            self._put(replace(self.alarm, cleared=None, told=told))
        else:
            self.last = self._numbers.next_alarm()
            self._put(
                StandingAlarm(
                    self.last, self.name.kind, self.name.condition, self.name.machine,
                    self.name.section, since=at, told=told,
                )
            )  # fmt: skip
        return [self._event("raised", at, told)]

    def _clear(self, at: datetime, told: str) -> list[AlarmEvent]:
        if self.alarm is not None:
            self._put(replace(self.alarm, cleared=at))
        # A shelf that ends here ends first: who was told of the alarm is told of its end.
        return [*self._close(at), self._event("cleared", at, told)]

    def acknowledge(self, at: datetime, note: str = "") -> list[AlarmEvent]:
        """Somebody has seen it; nothing where nothing waits for that."""
        if self.alarm is None or self.alarm.acknowledged is not None:
            return []
        self._put(replace(self.alarm, acknowledged=at, note=note or self.alarm.note))
        told = self._deed("acknowledged", note)
        return [*self._close(at), self._event("acknowledged", at, told)]

    def note(self, note: str) -> None:
        """Somebody said something of it; no news for outputs, and it waits as it did."""
        if self.alarm is not None:
            self._put(replace(self.alarm, note=note))

    def shelve(self, at: datetime, until: datetime, note: str = "") -> list[AlarmEvent]:
        """Nothing of its alarm is told until then, or until it is closed; again, for another time.

        The event that says so is the last that is told. Of a closed alarm there is nothing to
        silence, and of the next one nobody has asked for it.
        """
        if (
            until <= at or self.alarm is None
        ):  # over before it begins, or its alarm closed meanwhile
            return []
        silent = self.shelved_until is not None
        self.shelved_until = until
        self._put(replace(self.alarm, shelved_until=until))
        told = self._deed(f"shelved until {until.isoformat(' ', 'minutes')}", note)
        return [self._event("shelved", at, told, silent=silent)]

    def unshelve(
        self, at: datetime, told: str = "taken off the shelf", still: str | None = None
    ) -> list[AlarmEvent]:
        """The shelf ends, by a person or by its time; what still stands is told."""
        if self.shelved_until is None:
            return []
        self.shelved_until = None
        if self.alarm is not None:
            self._put(replace(self.alarm, shelved_until=None))
        if still is None:
            still = "" if self.alarm is None else f"; {'still ' * self.active}{self.alarm.told}"
        # Where nothing stands nobody need look: the shelf did what it was for.
        return [self._event("unshelved", at, told + still, silent=not self.active)]

    def tick(self, at: datetime) -> list[AlarmEvent]:
        """The time is that; a shelf may be over."""
        if self.shelved_until is None or at < self.shelved_until:
            return []
        return self.unshelve(at, "the shelf's time is over")

    @property
    def state(self) -> dict[str, Any]:
        """All that is to be remembered, as JSON has it."""
        alarm = None
        if self.alarm is not None:
            alarm = {k: v for k, v in self.alarm.as_dict().items() if k in _KEPT}
        until = self.shelved_until
        return {"alarm": alarm, "last": self.last, "until": until and until.isoformat()}

    def restore(self, state: dict[str, Any]) -> None:
        """Be again what `state` was."""
        self.last, until, alarm = int(state["last"]), state["until"], state["alarm"]
        # Earlier versions let a shelf outlive its alarm, where nobody could see it.
        stays = until is not None and alarm is not None
        self.shelved_until = datetime.fromisoformat(until) if stays else None
        self.alarm = None
        if alarm is not None:
            times = {k: alarm[k] and datetime.fromisoformat(alarm[k]) for k in _TIMES}
            name = self.name
            self.alarm = StandingAlarm(
                kind=name.kind, condition=name.condition, machine=name.machine,
                section=name.section, **(alarm | times | {"shelved_until": self.shelved_until}),
            )  # fmt: skip

    def _deed(self, what: str, note: str) -> str:
        """What a person did, of what, and why: a journal shows the line alone."""
        name = self.name
        whose = f"{called(name.machine, name.section)}: {name.condition}"
        return f"{whose}: {what}{f': {note}' * bool(note)}"

    def _put(self, alarm: StandingAlarm) -> None:
        self.alarm = self.changed[alarm.id] = alarm

    def _close(self, at: datetime) -> list[AlarmEvent]:
        # Cleared and acknowledged, in either order: it is nobody's any more.
        if not (self.alarm and self.alarm.cleared and self.alarm.acknowledged):
            return []
        # With its alarm the shelf would be out of sight, and keep the next one silent.
        events = self.unshelve(at, self._deed("off the shelf, since it is closed", ""), still="")
        self.alarm = None
        return events

    def _event(
        self, verb: AlarmVerb, at: datetime, told: str, *, silent: bool | None = None
    ) -> AlarmEvent:
        quiet = self.shelved_until is not None if silent is None else silent
        name = self.name
        return AlarmEvent(
            self._numbers.next_event(), self.last, name.kind, name.condition, name.machine,
            name.section, verb, at, told, quiet,
        )  # fmt: skip


_TIMES = ("since", "cleared", "acknowledged")
# The rest the point knows itself.
_KEPT = (*_TIMES, "id", "told", "note")
