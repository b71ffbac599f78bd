"""What was kept since somebody last looked, in the order in which it was kept."""

from __future__ import annotations

from sqlalchemy import func, select

from nearfar.service.history.questions import HistoryRow, Reading
from nearfar.service.history.schema import CLIPS
from nearfar.service.history.translation import observed, unpacked


def rows_after(reading: Reading, after: int | None, limit: int) -> tuple[int, list[HistoryRow]]:
    """Rows with a higher number, and the number to ask with the next time.

    One watch writes at a time, so that numbers rise as rows appear. A recording that is caught up
    is new here, however old it is.

    Args:
        reading: opens a transaction.
        after: the last row that is known; None: none is wanted, but where they end.
        limit: so many at most.

    Raises:
        StorageError: it cannot be read.
    """
    with reading() as connection:
        last = int(connection.execute(select(func.max(CLIPS.c.id))).scalar() or 0)
        # A lower one than before: the history is another, of which all is still to be shown anew.
        if after is None or last <= after:
            return last, []
        question = observed().where(CLIPS.c.id > after).order_by(CLIPS.c.id).limit(limit)
        rows = [HistoryRow(r.id, r.at, unpacked(r)) for r in connection.execute(question)]
    return (rows[-1].id if rows else last), rows
