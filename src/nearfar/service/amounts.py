"""Lengths of time and sizes as people write them: 90d, 2h, 500 ms, 2 GB."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

from nearfar.errors import SettingError

# As people and other programs write them; no month and no year, whose lengths differ.
_SECONDS = {
    "ms": 0.001, "s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60,
    "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400, "w": 604_800, "week": 604_800,
}  # fmt: skip
# Disks are sold and filled by thousands; who writes GiB means the other.
_BYTES = {"b": 1, "byte": 1} | {
    f"{letter}{ending}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for ending, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([A-Za-z]*)\s*")
LONGEST_TIME = 100 * 366 * 86_400.0  # s; more is a mistyped number, and no date holds it


def duration(text: str | float) -> float:
    """Seconds of a length of time; a number alone is seconds already.

    Raises:
        SettingError: no length of time.

    >>> duration("2s"), duration("1h 30min"), duration("500 ms"), duration(10)
    (2.0, 5400.0, 0.5, 10.0)
    """
    found = _sum(text, _SECONDS, alone="s")
    if found is None or not found <= LONGEST_TIME:
        raise SettingError(f'{_shown(text)}; it is a duration, as "2s", "10m", "2h" or "90d"')
    return found


def span(text: str | float) -> timedelta:
    """As `duration`, for what is added to a date.

    >>> span("90d").days
    90
    """
    return timedelta(seconds=duration(text))


def size(text: str | float) -> int:
    """Bytes of a size; a number alone is bytes already.

    Raises:
        SettingError: no size.

    >>> size("2 GB"), size("512MiB"), size(1000)
    (2000000000, 536870912, 1000)
    """
    found = _sum(text, _BYTES, alone="b")
    if found is None or found >= 2**63:  # what a disk may tell of itself
        raise SettingError(f'{_shown(text)}; it is a size, as "500 MB" or "2 GB"')
    return round(found)


def as_duration(seconds: float) -> str:
    """A length of time as `duration` reads it: the largest unit that it is whole in.

    >>> as_duration(7_776_000), as_duration(5400), as_duration(0.25)
    ('90d', '90m', '250ms')
    """
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and abs(count - round(count)) < 1e-9 * count:
            return f"{round(count)}{unit}"
    return f"{seconds:.15g}s"


def _shown(text: object) -> str:
    if isinstance(text, int) and abs(text) > sys.maxsize:  # Python does not spell the longest
        return f"{text:#x}"[:60]
    return f'"{text}"'[:60] if isinstance(text, str) else str(text)[:60]


def _sum(text: object, units: dict[str, float] | dict[str, int], alone: str) -> float | None:
    """The amounts in a text together; None where it is none."""
    # To Python True is a number.
    if isinstance(text, int | float) and not isinstance(text, bool):
        # Whole numbers of TOML have no end; what is larger than a float has none.
        return float(text) if 0 <= text <= sys.float_info.max else None
    if not isinstance(text, str) or not text:
        return None
    parts, end = [], 0
    # One after another: a pattern of all would try each way to part a row of digits.
    while end < len(text):
        if (found := _AMOUNT.match(text, end)) is None:
            return None
        parts.append((found[1], found[2]))
        end = found.end()
    total = 0.0
    for number, word in parts:
        unit = _unit(word, units)
        # "1h 30" is half a word: of several each says its own.
        if (unit is None and word) or (not word and len(parts) > 1):
            return None
        total += float(number) * units[unit or alone]
    return total


def _unit(word: str, units: dict[str, float] | dict[str, int]) -> str | None:
    """The unit of a word in any case, one or many of it."""
    low = word.lower()
    return low if low in units else next((u for u in units if low == u + "s" and len(u) > 2), None)
