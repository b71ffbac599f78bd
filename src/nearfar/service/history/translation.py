"""Observations, alarms, events and actions as rows, and rows as those."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from nearfar.service.history.changes import Action
from nearfar.service.history.schema import (
    ACTIONS,
    ALARMS,
    CLIPS,
    EVENTS,
    MACHINES,
    TEXTS,
)
from nearfar.service.history.spelling import as_bytes, as_digest, micros, moment, read, spelled
from nearfar.service.news import AlarmEvent, StandingAlarm
from nearfar.service.observation import Observation

MEASURES = ("score", "percentile", "p_value", "threshold", "near_level", "far_level", "ratio",
            "coherence")  # fmt: skip
# Names of texts that a row refers to by number.
SHARED = ("source", "folder", "nearest", "detector")


def real(value: float | None) -> float | str | None:
    """A number as a column takes it; to SQLite nan is nothing, so it is a word.

    >>> real(1), real(float("nan")), real(None)
    (1.0, 'nan', None)
    """
    # Of numpy too: its float32 would be bytes to the driver.
    return None if value is None else "nan" if value != value else float(value)


def unreal(kept: float | str | None) -> float | None:
    """What `real` was given.

    >>> unreal(1.0), unreal("nan"), unreal(None)
    (1.0, nan, None)
    """
    return None if kept is None else float(kept)


def parted(path: str) -> tuple[str, str]:
    """A path's folder, with what parts it from the name, and the name.

    >>> parted("hall/fan/1.wav"), parted("1.wav")
    (('hall/fan/', '1.wav'), ('', '1.wav'))
    """
    # By text, not as a path: what is joined again must be the same to the letter.
    end = path.rfind("/") + 1
    return path[:end], path[end:]


def packed(seen: Observation) -> dict[str, Any]:
    """A row of `clips`, but for its machine and the texts that it refers to."""
    arrived = micros(seen.arrived)
    row: dict[str, Any] = {name: real(getattr(seen, name)) for name in MEASURES}
    return row | {
        "digest": as_bytes(seen.digest),
        "at": arrived if seen.time is None else micros(seen.time),
        "arrived": arrived,
        "time": None if seen.time is None else seen.time.isoformat(),
        "file": spelled(parted(seen.path)[1]) if seen.path else None,
        "name": spelled(seen.name),
        "seconds": None if seen.seconds != seen.seconds else float(seen.seconds),
        "status": seen.status,
        "anomalous": None if seen.anomalous is None else int(seen.anomalous),
        # Escaped as JSON has it, so that any text fits, and both databases can look into it.
        "faults": json.dumps(seen.faults) if seen.faults else None,
        "warning": spelled(seen.warning) if seen.warning else None,
    }


def texts_of(seen: Observation) -> dict[str, str | None]:
    """The texts that a row refers to, by their columns; None where there is none."""
    return {
        "source": seen.source,
        "folder": parted(seen.path)[0] if seen.path else None,
        "nearest": seen.nearest or None,
        "detector": seen.detector or None,
    }


def observed() -> Select[Any]:
    """The rows of clips with the words that they refer to, in no order."""
    words = [TEXTS.alias(name) for name in SHARED]
    joined: Any = CLIPS.join(MACHINES, MACHINES.c.id == CLIPS.c.machine)
    for name, table in zip(SHARED, words, strict=True):
        # A text may be missing, a row never is for that.
        joined = joined.outerjoin(table, table.c.id == CLIPS.c[name])
    plain = [c for c in CLIPS.c if c.name not in (*SHARED, "machine")]
    names = [MACHINES.c.machine, MACHINES.c.section]
    told = [table.c.text.label(name) for name, table in zip(SHARED, words, strict=True)]
    return select(*plain, *names, *told).select_from(joined)


def unpacked(row: Row[Any]) -> Observation:
    """What `packed` and `texts_of` were given."""
    return Observation(
        source=read(row.source or ""),
        name=read(row.name),
        path="" if row.file is None else read((row.folder or "") + row.file),
        machine=read(row.machine),
        section=read(row.section),
        time=None if row.time is None else datetime.fromisoformat(row.time),
        arrived=moment(row.arrived),
        seconds=float("nan") if row.seconds is None else row.seconds,
        digest=as_digest(row.digest),
        status=row.status,
        score=unreal(row.score),
        percentile=unreal(row.percentile),
        p_value=unreal(row.p_value),
        threshold=unreal(row.threshold),
        anomalous=None if row.anomalous is None else bool(row.anomalous),
        nearest=read(row.nearest or ""),
        near_level=unreal(row.near_level),
        far_level=unreal(row.far_level),
        ratio=unreal(row.ratio),
        coherence=unreal(row.coherence),
        faults=tuple(json.loads(row.faults)) if row.faults else (),
        warning=read(row.warning or ""),
        detector=read(row.detector or ""),
    )


def _when(time: datetime | None) -> int | None:
    return None if time is None else micros(time)


def _then(count: int | None) -> datetime | None:
    return None if count is None else moment(count)


def alarm_row(alarm: StandingAlarm, machine: int) -> dict[str, Any]:
    """A row of `alarms`; its machine by number."""
    return {
        "id": alarm.id, "machine": machine, "kind": alarm.kind,
        "condition": spelled(alarm.condition), "since": micros(alarm.since),
        "told": spelled(alarm.told), "cleared": _when(alarm.cleared),
        "acknowledged": _when(alarm.acknowledged), "note": spelled(alarm.note),
        "shelved_until": _when(alarm.shelved_until),
    }  # fmt: skip


def alarms_kept() -> Select[Any]:
    """All alarms, in no order, each with the names of its machine."""
    plain = [c for c in ALARMS.c if c.name != "machine"]
    joined = ALARMS.join(MACHINES, MACHINES.c.id == ALARMS.c.machine)
    return select(*plain, MACHINES.c.machine, MACHINES.c.section).select_from(joined)


def alarm_of(row: Row[Any]) -> StandingAlarm:
    """What `alarm_row` was given."""
    return StandingAlarm(
        id=row.id, kind=row.kind, condition=read(row.condition), machine=read(row.machine),
        section=read(row.section), since=moment(row.since), told=read(row.told),
        cleared=_then(row.cleared), acknowledged=_then(row.acknowledged), note=read(row.note),
        shelved_until=_then(row.shelved_until),
    )  # fmt: skip


def acted_on(alarm: StandingAlarm, action: Action) -> dict[str, Any]:
    """What an action changes of an alarm's row, as its station will: nothing where it is no news.

    Acknowledged once, an alarm keeps its first time and note, until somebody notes another.
    """
    if action.verb == "noted":
        return {"note": spelled(action.note)}
    if action.verb == "acknowledged":
        if alarm.acknowledged is not None:
            return {}
        row = {"acknowledged": micros(action.at), "note": spelled(action.note or alarm.note)}
        # What is closed by it is off its shelf.
        return row if alarm.cleared is None else row | {"shelved_until": None}
    return {"shelved_until": _when(action.until) if action.verb == "shelved" else None}


def event_row(event: AlarmEvent, machine: int) -> dict[str, Any]:
    """A row of `events`; its machine by number."""
    return {
        "id": event.id, "alarm": event.alarm, "machine": machine, "kind": event.kind,
        "condition": spelled(event.condition), "verb": event.verb, "at": micros(event.at),
        "told": spelled(event.told), "silent": int(event.silent),
    }  # fmt: skip


def events_kept() -> Select[Any]:
    """All events, in no order, each with the names of its machine."""
    plain = [c for c in EVENTS.c if c.name != "machine"]
    joined = EVENTS.join(MACHINES, MACHINES.c.id == EVENTS.c.machine)
    return select(*plain, MACHINES.c.machine, MACHINES.c.section).select_from(joined)


def event_of(row: Row[Any]) -> AlarmEvent:
    """What `event_row` was given."""
    return AlarmEvent(
        id=row.id, alarm=row.alarm, kind=row.kind, condition=read(row.condition),
        machine=read(row.machine), section=read(row.section), verb=row.verb, at=moment(row.at),
        told=read(row.told), silent=bool(row.silent),
    )  # fmt: skip


def action_row(action: Action) -> dict[str, Any]:
    """A row of `actions`, which will have a number."""
    return {
        "alarm": action.alarm, "verb": action.verb, "at": micros(action.at),
        "note": spelled(action.note), "until": _when(action.until), "who": spelled(action.who),
    }  # fmt: skip


def action_of(row: Row[Any]) -> Action:
    """What `action_row` was given, with its number."""
    return Action(
        id=row.id, alarm=row.alarm, verb=row.verb, at=moment(row.at), note=read(row.note),
        until=_then(row.until), who=read(row.who),
    )  # fmt: skip


def actions_kept() -> Select[Any]:
    """All actions, in no order."""
    return select(ACTIONS)
