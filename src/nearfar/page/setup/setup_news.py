"""What is told of a setup: its state to those who look, what people did to the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nearfar.errors import StorageError, visible
from nearfar.page.hub import Hub, Message
from nearfar.service.history.changes import AuditRow
from nearfar.service.outputs.said import one_line_json
from nearfar.service.troubles import Tell

if TYPE_CHECKING:
    from nearfar.page.guard.visitor import Visitor
    from nearfar.service.history.store import HistoryStore

OFTEN = 0.25  # s between two messages
DEEDS = 1000  # that are remembered until there is a history
NAME = 80  # characters of a person's name


@dataclass(frozen=True)
class SetupDeed:
    """What a person did before there was a history to write it into.

    >>> moment = datetime(2026, 6, 15, 8, 30, tzinfo=UTC)
    >>> SetupDeed(moment, "Ada", "operator", "127.0.0.1", "fit", "pump", "done").verb
    'fit'
    """

    at: datetime
    who: str
    role: str
    address: str
    verb: str
    about: str
    outcome: str  # "done", or "refused: LINE"


class SetupNews:
    """Sends the state of a setup when it changes, not more often than a page can draw.

    Args:
        hub: of those who look.
        state: gives the state.
        tell: the log.

    >>> news = SetupNews(Hub(), dict, lambda event, message, level="info", **facts: None)
    >>> news.changed()
    >>> news.close()
    """

    def __init__(self, hub: Hub, state: Callable[[], dict[str, Any]], tell: Tell) -> None:
        self.deeds: list[SetupDeed] = []
        self._hub, self._state, self._tell = hub, state, tell
        self._lock = threading.Lock()
        self._later: threading.Timer | None = None  # tells what was not told at once
        self._told, self._closed = float("-inf"), False
        self._written = threading.Lock()  # of deeds: a history may let one wait
        self._store: HistoryStore | None = None  # as soon as there is one

    def changed(self) -> None:
        """Send the state, now or soon; never blocks."""
        with self._lock:
            if self._closed or self._later is not None:
                return
            # Never from here: whoever changed something may hold what the state asks for.
            wait = max(self._told + OFTEN - time.monotonic(), 0.0)
            self._later = threading.Timer(wait, self._send)
            self._later.daemon = True
            self._later.start()

    def _send(self) -> None:
        with self._lock:
            # Before the state is asked for: what changes from here on is told once more.
            self._later, self._told = None, time.monotonic()
            if self._closed:
                return
        from nearfar.page.replies import SCHEMA  # here: the extra [page] may not be there

        self._hub.send(Message("setup", one_line_json({"schema": SCHEMA} | self._state())))

    def deed(self, visitor: Visitor, verb: str, about: str, who: str, outcome: str) -> None:
        """Note what somebody did: at once in the log, and for the first history.

        There is no history before the first detector. What is only remembered would be lost with
        the program, so the log has it first.
        """
        who = who[:NAME]
        one = SetupDeed(datetime.now(UTC), who, visitor.role, visitor.address, verb, about, outcome)
        with self._written:
            self.deeds = [*self.deeds, one][-DEEDS:]
        if self._store is not None:  # not from here, which may be where all requests are answered
            threading.Thread(target=self.hand_over, daemon=True).start()
        line = visible(f"{who or visitor.role} at {visitor.address}: {verb} {about}: {outcome}")
        self._tell("setup", line, "info" if outcome == "done" else "warning", verb=verb, who=who)

    def hand_over(self, store: HistoryStore | None = None) -> None:
        """Write into the first history what was done before it, the earliest first.

        What it does not take now is handed over with the next; never raises.

        Args:
            store: the history; None takes the one of before.
        """
        with self._written:
            self._store = store or self._store
            while self._store is not None and self.deeds:
                try:
                    self._store.audit_begin(AuditRow(0, **asdict(self.deeds[0])))
                except StorageError as error:
                    self._tell("setup", f"not in the audit yet: {error}", "warning")
                    return
                self.deeds = self.deeds[1:]

    def close(self) -> None:
        """Tell nothing any more."""
        with self._lock:
            self._closed = True
            if self._later is not None:
                self._later.cancel()
