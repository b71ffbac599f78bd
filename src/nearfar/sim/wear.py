"""A machine that wears out: a pump beside a noisy line, recorded once an hour for ten days.

    OUT/normal/20260302_000000.wav …     five days of a healthy pump, to fit on
    OUT/watched/20260307_000000.wav …    two more of them, then three of a bearing that wears

What the bearing does was set in decibels over the healthy pump, from inaudible to plainly audible,
before any detector heard it, and stays so whatever they make of it (docs/demo.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nearfar.errors import SettingError, did_you_mean
from nearfar.sim.machines.pump import PUMP
from nearfar.sim.plan import Item
from nearfar.sim.scene import ClipKey, Moment

WEAR = "wear"  # the preset's name
BEGIN = datetime(2026, 3, 2)  # a Monday, midnight; 2026 as the data set's year
FITTED, HEALTHY, FAULTY = 120, 48, 72  # recordings, an hour apart
SECONDS = 4.0  # of a recording: some hundred turns of the shaft
# The line beside the pump runs two shifts a day. Clip by clip its noise varies besides, in level,
# colour and kind, as in every scene.
_SHIFTS = range(6, 22)  # hours of the day
_DAY_DB, _NIGHT_DB = 2.0, -3.0  # noise over the scene's


def course(machines: Sequence[str] | None = None) -> list[Item]:
    """Every recording, in the order of time.

    Args:
        machines: none, or the only one that there is.

    Raises:
        SettingError: another machine.

    >>> first, *_, last = course()
    >>> first.file, last.file, last.moment.severity
    ('normal/20260302_000000.wav', 'watched/20260311_230000.wav', 1.0)
    """
    for machine in machines or ():
        if machine != PUMP.name:
            raise SettingError(f"no machine {machine!r}; {did_you_mean(machine, [PUMP.name])}")
    return [_item(hour) for hour in range(FITTED + HEALTHY + FAULTY)]


def severity_at(hour: int) -> float:
    """How worn the bearing is in an hour of the course, 0–1: not at all, then a bit more each hour.

    >>> [severity_at(hour) for hour in (0, 167, 203, 239)]
    [0.0, 0.0, 0.5, 1.0]
    """
    return max(0, hour + 1 - FITTED - HEALTHY) / FAULTY


def _item(hour: int) -> Item:
    time = BEGIN + timedelta(hours=hour)
    severity = severity_at(hour)
    split, folder = ("train", "normal") if hour < FITTED else ("test", "watched")
    label = "anomaly" if severity > 0 else "normal"
    key = ClipKey(PUMP.name, split, "source", label, hour, SECONDS)
    louder = _DAY_DB if time.hour in _SHIFTS else _NIGHT_DB
    # Date and time as `clips.moments` reads them off names.
    return Item(key, f"{folder}/{time:%Y%m%d_%H%M%S}.wav", Moment(severity, louder))
