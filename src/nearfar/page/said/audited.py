"""Who changed what: kept before the change, and what came of it after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from nearfar.errors import StorageError
from nearfar.page.desk import Desk
from nearfar.page.guard.visitor import Visitor
from nearfar.service.history.changes import AuditRow
from nearfar.service.incoming import now
from nearfar.service.troubles import fault_line
from nearfar.text import one_line


@dataclass
class AuditOutcome:
    """What came of a change that was not refused.

    >>> AuditOutcome().line
    'done'
    """

    line: str = "done"


@contextmanager
def audited(
    desk: Desk, visitor: Visitor, verb: str, about: str, who: str = ""
) -> Iterator[AuditOutcome]:  # fmt: skip
    """Do what is in it as a change that is kept in the audit.

    Its row is there before the change; what is never found is a change without a row. A row whose
    outcome is empty is one that the process did not live to tell the end of.

    Args:
        desk: whose history.
        visitor: who asks.
        verb: what is done, a word.
        about: what it is done to.
        who: what the person typed as their name.

    Yields:
        The outcome, for who has more to tell of it than that it is done.

    Raises:
        StorageError: the row could not be written, and nothing was done.
        Refusal: there is no history yet.
    """
    store = desk.store
    if desk.setup is not None:  # what a history could not take at first comes before
        desk.setup.news.hand_over()
    row = AuditRow(0, now(), who, visitor.role, visitor.address, verb, about)
    number = store.audit_begin(row)
    outcome = AuditOutcome()
    try:
        yield outcome
    except BaseException as error:
        line = fault_line(error) if isinstance(error, Exception) else "ended while it was done"
        # The first fault is what its caller must be told.
        with suppress(StorageError):
            store.audit_end(number, f"refused: {one_line(line)}")
        raise
    # It is done, whatever becomes of this line: to refuse it now would be a lie.
    with suppress(StorageError):
        store.audit_end(number, outcome.line)
