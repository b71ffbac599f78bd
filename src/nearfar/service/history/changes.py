"""What is written at once or not at all, and what people said of alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from nearfar.errors import StorageError
from nearfar.service.incoming import Stamp
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation

PersonVerb = Literal["acknowledged", "shelved", "unshelved"]


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


def is_closed(alarm: int) -> str:
    """Why nothing is said of an alarm any more.

    >>> is_closed(3)
    'alarm 3 is closed; nothing is left to say of it, and raised again it is a new alarm'
    """
    return (
        f"alarm {alarm} is closed; nothing is left to say of it, and raised again it is a new alarm"
    )
