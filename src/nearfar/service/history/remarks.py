"""What people called clips, and who changed what: rows and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select, update
from sqlalchemy import insert as insert_row

from nearfar.service.history.changes import AuditRow, ClipLabel
from nearfar.service.history.schema import AUDIT, LABELS, MACHINES
from nearfar.service.history.spelling import as_bytes, as_digest, micros, moment, read, spelled

AT_ONCE = 500  # digests of one question: a statement takes no more names than so many


def labels_kept() -> Select[Any]:
    """All labels, in no order, each with the names of its machine."""
    plain = [c for c in LABELS.c if c.name != "machine"]
    joined = LABELS.join(MACHINES, MACHINES.c.id == LABELS.c.machine)
    return select(*plain, MACHINES.c.machine, MACHINES.c.section).select_from(joined)


def labels_of(
    connection: Connection, where: Sequence[ColumnElement[bool]], digests: Sequence[str] | None
) -> list[ClipLabel]:
    """Labels by number.

    Args:
        connection: in a transaction.
        where: conditions on their rows.
        digests: of these clips alone; None of any.
    """
    found = labels_kept().where(*where).order_by(LABELS.c.id)
    if digests is None:
        return [label_of(row) for row in connection.execute(found)]
    rows: list[Row[Any]] = []
    for start in range(0, len(digests), AT_ONCE):
        some = [as_bytes(digest) for digest in digests[start : start + AT_ONCE]]
        rows += connection.execute(found.where(LABELS.c.digest.in_(some)))
    return sorted(map(label_of, rows), key=lambda label: label.id)


def label_of(row: Row[Any]) -> ClipLabel:
    """What a row of `labels` says."""
    return ClipLabel(
        id=row.id, machine=read(row.machine), section=read(row.section),
        digest=as_digest(row.digest), label=row.label, at=moment(row.at), who=read(row.who),
        note=read(row.note), learnt=bool(row.learnt), name=read(row.name),
        undone=None if row.undone is None else moment(row.undone), undone_by=read(row.undone_by),
    )  # fmt: skip


def standing_label(
    connection: Connection, machine: str, section: str, digest: str
) -> ClipLabel | None:  # fmt: skip
    """The label that stands of a clip."""
    where = (
        MACHINES.c.machine == spelled(machine), MACHINES.c.section == spelled(section),
        LABELS.c.undone.is_(None),
    )  # fmt: skip
    return next(iter(labels_of(connection, where, [digest])), None)


def put_label(connection: Connection, label: ClipLabel, machine: int) -> int:
    """Write a label; one that stands of the same clip is undone by it. Its number."""
    before = standing_label(connection, label.machine, label.section, label.digest)
    if before is not None:
        undo_label(connection, before, label.who, micros(label.at))
    row = {
        "machine": machine, "digest": as_bytes(label.digest), "label": label.label,
        "at": micros(label.at), "who": spelled(label.who), "note": spelled(label.note),
        "learnt": int(label.learnt), "name": spelled(label.name), "undone": None, "undone_by": "",
    }  # fmt: skip
    added = insert_row(LABELS).values(row).returning(LABELS.c.id)
    return int(connection.execute(added).scalar_one())


def undo_label(connection: Connection, label: ClipLabel, who: str, at: int) -> None:
    """Mark a label as undone; its row stays."""
    undone = update(LABELS).where(LABELS.c.id == label.id)
    connection.execute(undone.values(undone=at, undone_by=spelled(who)))


def put_audit(connection: Connection, row: AuditRow) -> int:
    """Write who begins to change what. Its number."""
    kept = {
        "at": micros(row.at), "who": spelled(row.who), "role": spelled(row.role),
        "address": spelled(row.address), "verb": spelled(row.verb), "about": spelled(row.about),
        "outcome": spelled(row.outcome),
    }  # fmt: skip
    return int(
        connection.execute(insert_row(AUDIT).values(kept).returning(AUDIT.c.id)).scalar_one()
    )


def end_audit(connection: Connection, number: int, outcome: str) -> None:
    """Write what came of it; what has an outcome keeps that."""
    open_yet = AUDIT.c.id == number, AUDIT.c.outcome == ""
    connection.execute(update(AUDIT).where(*open_yet).values(outcome=spelled(outcome)))


def audit_page(connection: Connection, limit: int, before: int | None) -> list[AuditRow]:
    """The newest rows first, those of a lower number than `before`."""
    found = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    rows = connection.execute(found if before is None else found.where(AUDIT.c.id < before))
    return [
        AuditRow(
            id=row.id, at=moment(row.at), who=read(row.who), role=read(row.role),
            address=read(row.address), verb=read(row.verb), about=read(row.about),
            outcome=read(row.outcome),
        )
        for row in rows
    ]  # fmt: skip
