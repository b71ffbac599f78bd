"""What outputs are told: how machines are, and what became of their alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from nearfar.service.observation import Observation

# Whose alarm: of the machine's sound, of our hearing it, of normal itself having moved.
AlarmKind = Literal["machine", "sensor", "drift"]
# Words of ISA-18.2 and OPC UA Part 9. A cleared alarm that nobody has acknowledged still waits.
AlarmVerb = Literal["raised", "cleared", "acknowledged", "shelved", "unshelved"]
LONGEST_SHELF = 30 * 86_400.0  # s: what is to be silent for longer is to be mended
AlarmWord = Literal["active", "acknowledged", "cleared", "shelved", "closed"]


@dataclass(frozen=True)
class AlarmEvent:
    """Something that became of an alarm.

    >>> from nearfar.service.incoming import now
    >>> AlarmEvent(7, 3, "machine", "sound", "pump", "00", "raised", now(), "3 of the last 5").verb
    'raised'
    """

    id: int  # rising over all events of a history
    alarm: int  # the alarm's number, by which people acknowledge it
    kind: AlarmKind
    condition: str  # "sound", a sensor fault's name, or "drift"
    machine: str
    section: str
    verb: AlarmVerb
    at: datetime  # UTC, of this computer
    told: str  # one line for people: what happened, and the way out
    silent: bool = False  # while shelved: kept, and nobody is told

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}


@dataclass(frozen=True)
class StandingAlarm:
    """An alarm that needs a person, or once did.

    >>> from nearfar.service.incoming import now
    >>> StandingAlarm(3, "machine", "sound", "pump", "00", since=now(), told="").word
    'active'
    """

    id: int
    kind: AlarmKind
    condition: str
    machine: str
    section: str
    since: datetime  # raised
    told: str  # the line it was raised with
    cleared: datetime | None = None
    acknowledged: datetime | None = None
    note: str = ""  # of who acknowledged it, or said something of it later
    shelved_until: datetime | None = None

    @property
    def word(self) -> AlarmWord:
        """Its state; the clock that ends a shelf is not asked here."""
        if self.shelved_until is not None:
            return "shelved"
        if self.cleared is None:
            return "active" if self.acknowledged is None else "acknowledged"
        return "cleared" if self.acknowledged is None else "closed"

    def as_of(self, moment: datetime) -> StandingAlarm:
        """As it is then: where no watch runs nobody ends a shelf whose time is over."""
        if self.shelved_until is None or self.shelved_until > moment:
            return self
        return replace(self, shelved_until=None)

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        times = ("since", "cleared", "acknowledged", "shelved_until")
        said = {k: v.isoformat() if (v := getattr(self, k)) is not None else None for k in times}
        return asdict(self) | said | {"state": self.word}


@dataclass(frozen=True)
class MachineNow:
    """How a machine is, as far as is known.

    >>> MachineNow("pump", "00", clips=0).running is None
    True
    """

    machine: str
    section: str
    clips: int  # observed since the watch began
    running: bool | None = None  # None: nobody knows yet
    faults: tuple[str, ...] = ()  # sensor faults of the last clip
    last: Observation | None = None
    judged: Observation | None = None  # the last that has a score
    alarms: tuple[StandingAlarm, ...] = ()  # those that are not closed


@dataclass(frozen=True)
class Bulletin:
    """What outputs are told at once, after it was kept.

    >>> Bulletin(MachineNow("pump", "00", clips=1)).events
    ()
    """

    machine: MachineNow
    observation: Observation | None = None
    events: tuple[AlarmEvent, ...] = ()
    row: int | None = None  # of the history; None where it was not kept


@dataclass(frozen=True)
class OutputHealth:
    """Whether an output works, and what it has not said.

    >>> OutputHealth("mqtt", up=True).queued
    0
    """

    name: str
    up: bool
    queued: int = 0
    lost: int = 0  # messages given up, since there were too many or they were too old
    trouble: str = ""  # the last error, a line


@dataclass(frozen=True)
class WatchNow:
    """How the watch itself is; metrics and pages ask for it at any time, from any thread.

    >>> from nearfar.service.incoming import now
    >>> WatchNow(now(), ready=True).queued
    0
    """

    started: datetime
    ready: bool  # detectors loaded, sources open
    machines: Mapping[tuple[str, str], MachineNow] = field(default_factory=dict)
    queued: int = 0  # recordings that wait to be heard
    awaited: int = 0  # files that are not complete yet, or wait for their other half
    clips: int = 0
    duplicates: int = 0
    unkept: int = 0  # rows that wait for the history
    lost: int = 0  # rows that were given up
    history: str = ""  # the history's trouble, a line; "" if none
    sources: Mapping[str, str] = field(default_factory=dict)  # name → trouble, "" if none
    outputs: tuple[OutputHealth, ...] = ()


class Output(Protocol):
    """Somebody who is told; in threads of its own, so that none ever stops the scoring.

    `tell` returns at once and never raises. What cannot be said now is queued up to a bound; what
    is beyond it is counted as lost.

    >>> from nearfar.service.outputs.command import CommandOutput
    >>> output: Output = CommandOutput("true")
    >>> output.said, output.health.queued
    (0, 0)
    """

    name: str

    def start(self) -> None:
        """Begin; a server that is down is no error but a trouble.

        Raises:
            NearfarError: settings that can never work.
        """

    def tell(self, bulletin: Bulletin) -> None:
        """Take what is to be said."""

    @property
    def health(self) -> OutputHealth:
        """How it is; from any thread."""

    @property
    def said(self) -> int:
        """The highest event id up to which all were said; 0 for none. The history keeps it."""

    def close(self, patience: float = 5.0) -> None:
        """Say what is queued as far as that goes within so many seconds, and end."""
