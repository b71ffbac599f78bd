"""What is told of troubles: once when one begins, and once when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nearfar.errors import NearfarError
from nearfar.text import one_line

if TYPE_CHECKING:
    from nearfar.service.news import AlarmEvent


class Tell(Protocol):
    """Takes a line of the log: the event's name, a line for people, and facts for programs.

    >>> tell: Tell = lambda event, message, level="info", **facts: print(level, message)
    >>> tell("reload", "taken over")
    info taken over
    """

    def __call__(self, event: str, message: str, level: str = "info", **facts: Any) -> None:
        """Write it."""


class Troubles:
    """Which parts of a watch fail, so that it is told once and not each second.

    >>> troubles = Troubles(lambda event, message, level="info", **facts: print(event, message))
    >>> for now in ("disk full", "disk full", ""):
    ...     troubles.look({"history": now})
    trouble disk full
    works again history: works again
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._failing: set[str] = set()

    def look(self, found: Mapping[str, str]) -> None:
        """How all are now: name → its trouble, "" if none."""
        for name, trouble in found.items():
            if bool(trouble) == (name in self._failing):
                continue
            if trouble:
                self._failing.add(name)
                self._tell("trouble", trouble, "warning", of=name)
            else:
                self._failing.discard(name)
                self._tell("works again", f"{name}: works again", of=name)


def tell_alarms(tell: Tell, events: Iterable[AlarmEvent]) -> None:
    """A line of the log for what became of alarms; of what is shelved none.

    Args:
        tell: takes the lines.
        events: in their order.
    """
    for event in events:
        if event.silent:
            continue
        tell(
            f"alarm {event.verb}", f"alarm {event.alarm}: {event.told}",
            "warning" if event.verb == "raised" else "info",
            machine=event.machine, section=event.section, kind=event.kind, alarm=event.alarm,
        )  # fmt: skip


def fault_line(fault: Exception) -> str:
    """What failed while a clip was judged, as a line.

    >>> fault_line(ValueError("no such axis"))
    "a fault of nearfar's own, ValueError: no such axis"
    """
    if isinstance(fault, NearfarError):  # weights that are gone, as an example
        return str(fault)
    if isinstance(fault, MemoryError):
        return "too large for the memory of this computer; record shorter files"
    return f"a fault of nearfar's own, {type(fault).__name__}: {one_line(fault)}"
