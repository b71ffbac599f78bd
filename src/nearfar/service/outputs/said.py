"""What is said of a machine, as JSON: one wording for lines, messages and commands.

docs/outputs.md has every key. A text never holds what JSON readers choke on, a number is finite or
null, and a document is one line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from nearfar.service.news import AlarmEvent, AlarmKind, Bulletin, MachineNow, StandingAlarm
from nearfar.service.observation import SCHEMA, Observation

# Which alarm speaks for several of a kind: what needs a person most comes first.
WORDS = ("active", "acknowledged", "cleared", "shelved")
# Of the last clip that was judged, and of the last clip whatever it was.
JUDGED = ("score", "percentile", "p_value", "threshold", "anomalous", "nearest")
HEARD = ("name", "near_level", "far_level", "ratio", "coherence", "warning", "detector")


def readable(text: str) -> str:
    r"""Text that every reader takes: bytes that are no text stand as in our CSV files.

    >>> readable("Lüfter"), readable("a\udcff.wav")
    ('Lüfter', 'a\\udcff.wav')
    """
    if text.isascii():
        return text
    # Half of a pair is valid to Python alone: many JSON readers refuse the whole document for it.
    return "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def one_line_json(value: Any) -> str:
    r"""A value as one line of ASCII; what is no number is null.

    >>> one_line_json({"a\n": [float("nan"), float("inf"), "é\udcff"]})
    '{"a\\n": [null, null, "\\u00e9\\\\udcff"]}'
    """
    return json.dumps(_clean(value), allow_nan=False)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {readable(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(inner) for inner in value]
    return value


def alarm_word(alarms: Iterable[StandingAlarm], kind: AlarmKind) -> str:
    """The state of a machine's alarms of a kind: the one that needs a person most, or `none`.

    >>> from nearfar.service.incoming import now
    >>> alarm_word([StandingAlarm(3, "drift", "drift", "pump", "00", now(), "")], "drift")
    'active'
    >>> alarm_word([], "machine")
    'none'
    """
    words = {alarm.word for alarm in alarms if alarm.kind == kind}
    return next((word for word in WORDS if word in words), "none")


def stands(word: str) -> bool:
    """Is something wrong now that somebody should be told of? A shelved alarm is silent.

    >>> [stands(word) for word in ("none", "active", "acknowledged", "cleared", "shelved")]
    [False, True, True, False, False]
    """
    return word in ("active", "acknowledged")


def machine_word(machine: MachineNow) -> str:
    """How a machine is, in a word; an alarm goes before what the last clip was.

    >>> machine_word(MachineNow("pump", "00", clips=0))
    'unknown'
    """
    if stands(alarm_word(machine.alarms, "machine")):
        return "alarm"
    last = machine.last
    if last is None:
        return "unknown"
    if last.status == "judged":
        return "anomalous" if last.anomalous else "normal"
    return last.status


def machine_said(machine: MachineNow) -> dict[str, Any]:
    """How a machine is, flat: the numbers of the last judged clip, the levels of the last one.

    >>> said = machine_said(MachineNow("pump", "00", clips=0))
    >>> said["state"], said["running"], said["sound"], said["score"]
    ('unknown', None, 'none', None)
    """
    row: dict[str, Any] = {
        "machine": machine.machine,
        "section": machine.section,
        "state": machine_word(machine),
        "running": machine.running,
        "sound": alarm_word(machine.alarms, "machine"),
        "sensor": alarm_word(machine.alarms, "sensor"),
        "drift": alarm_word(machine.alarms, "drift"),
        "faults": list(machine.faults),
        "clips": machine.clips,
    }
    row |= _fields(machine.judged, JUDGED) | _fields(machine.last, HEARD)
    row["judged"] = _when(machine.judged)
    row["heard"] = _when(machine.last)
    return row | {"alarms": [alarm.as_dict() for alarm in machine.alarms]}


def _fields(seen: Observation | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: None if seen is None else getattr(seen, name) for name in names}


def _when(seen: Observation | None) -> str | None:
    return None if seen is None else seen.arrived.isoformat()


def state_json(machine: MachineNow) -> str:
    """How a machine is, as retained state.

    >>> state_json(MachineNow("pump", "00", clips=0))[:46]
    '{"schema": 1, "machine": "pump", "section": "0'
    """
    return one_line_json({"schema": SCHEMA} | machine_said(machine))


def clip_json(seen: Observation, row: int | None) -> str:
    """What became of one clip, and its row in the history."""
    return one_line_json({"schema": SCHEMA, "row": row} | seen.as_dict())


def event_json(event: AlarmEvent) -> str:
    """What became of an alarm."""
    return one_line_json({"schema": SCHEMA} | event.as_dict())


def bulletin_json(bulletin: Bulletin) -> str:
    """All that outputs are told at once, as a line of `--json`.

    >>> bulletin_json(Bulletin(MachineNow("pump", "00", clips=0)))[:52]
    '{"schema": 1, "row": null, "observation": null, "eve'
    """
    seen = bulletin.observation
    return one_line_json({
        "schema": SCHEMA,
        "row": bulletin.row,
        "observation": None if seen is None else seen.as_dict(),
        "events": [event.as_dict() for event in bulletin.events],
        "machine": machine_said(bulletin.machine),
    })  # fmt: skip


def told_json(event: AlarmEvent, bulletin: Bulletin) -> str:
    """What a command is given of an event: it, the machine, and the clip it came with.

    >>> from nearfar.service.incoming import now
    >>> event = AlarmEvent(7, 3, "machine", "sound", "pump", "00", "raised", now(), "3 of 5")
    >>> told_json(event, Bulletin(MachineNow("pump", "00", clips=5), events=(event,)))[:40]
    '{"schema": 1, "event": {"id": 7, "alarm"'
    """
    seen = bulletin.observation
    return one_line_json({
        "schema": SCHEMA,
        "event": event.as_dict(),
        "machine": machine_said(bulletin.machine),
        "observation": None if seen is None else seen.as_dict(),
    })  # fmt: skip
