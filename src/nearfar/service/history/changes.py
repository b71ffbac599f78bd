"""What is written at once or not at all, and what people said of alarms and clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from nearfar.errors import StorageError
from nearfar.service.incoming import Stamp
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation

PersonVerb = Literal["acknowledged", "shelved", "unshelved", "noted"]
LabelWord = Literal["fault", "normal"]


class Unwritable(StorageError):
    """A row that no database will ever take; to try again is no use.

    >>> issubclass(Unwritable, StorageError)
    True
    """


@dataclass(frozen=True)
class Change:
    """All that follows from one clip, or from news without a clip: one transaction.

    >>> Change(None).files
    ()
    """

    observation: Observation | None
    files: tuple[Stamp, ...] = ()  # whose last clip this is; they need not be offered again
    events: tuple[AlarmEvent, ...] = ()
    alarms: tuple[StandingAlarm, ...] = ()  # as they are now, those that changed
    station: tuple[tuple[str, str], str] | None = None  # (machine, section), its state as JSON
    # Output → the highest event id that it has said. Any other counter may be kept likewise.
    said: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """What a person said of an alarm: a row of the audit, which the watch takes up.

    >>> from nearfar.service.incoming import now
    >>> Action(0, 3, "acknowledged", now(), note="bearing greased", who="kim").verb
    'acknowledged'
    """

    id: int  # rising; 0 of one that is not kept yet
    alarm: int
    verb: PersonVerb
    at: datetime  # UTC
    note: str = ""
    until: datetime | None = None  # of a shelf
    who: str = ""


@dataclass(frozen=True)
class ClipLabel:
    """What a person called a clip; it stands until it is undone, or the clip is called otherwise.

    >>> from nearfar.service.incoming import now
    >>> ClipLabel(0, "pump", "00", "9f86", "fault", now(), who="kim", note="bearing").learnt
    False
    """

    id: int  # rising; 0 of one that is not kept yet
    machine: str
    section: str
    digest: str  # of the clip; its row may be pruned, the label stays
    label: LabelWord
    at: datetime  # UTC
    who: str = ""  # what the person said their name is
    note: str = ""
    learnt: bool = False  # does the detector know it as normal?
    name: str = ""  # of the clip, for people
    undone: datetime | None = None  # None: it stands
    undone_by: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        undone = None if self.undone is None else self.undone.isoformat()
        return asdict(self) | {"at": self.at.isoformat(), "undone": undone}


@dataclass(frozen=True)
class AuditRow:
    """Who changed what, from where, and what came of it; no row is ever changed but its outcome.

    >>> from nearfar.service.incoming import now
    >>> AuditRow(0, now(), "kim", "operator", "127.0.0.1", "shelve", "alarm 3").outcome
    ''
    """

    id: int  # rising; 0 of one that is not kept yet
    at: datetime  # UTC, when it was begun
    who: str  # what the person said their name is
    role: str
    address: str
    verb: str
    about: str
    outcome: str = ""  # "" while it is being done, and for ever where the process ended in it

    def as_dict(self) -> dict[str, Any]:
        """Flat, for JSON."""
        return asdict(self) | {"at": self.at.isoformat()}


def is_closed(alarm: int) -> str:
    """Why nothing is said of an alarm any more.

    >>> is_closed(3)
    'alarm 3 is closed; nothing is left to say of it, and raised again it is a new alarm'
    """
    return (
        f"alarm {alarm} is closed; nothing is left to say of it, and raised again it is a new alarm"
    )
