"""When a recording began, as its recorder wrote it into the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from nearfar.clips.clip import parse_name
from nearfar.errors import SettingError

_YEARS = (1990, 2069)  # a number that would be another year is no time
_CLOCK = r"(?P<hour>[0-9]{2})[-:_.h]?(?P<minute>[0-9]{2})[-:_.m]?(?P<second>[0-9]{2})"
# No digit before or behind: a piece of a longer number is no time.
_NAMES = tuple(
    re.compile(r"(?<![0-9])" + day + _CLOCK + r"(?P<zone>Z?)(?![0-9])")
    for day in (
        r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})[T_ -]",  # ISO 8601 and kin
        r"(?P<year>[0-9]{4})_(?P<month>[0-9]{2})_(?P<day>[0-9]{2})[T_ -]",
        r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})[T_-]",  # AudioMoth, SongMeter
        r"(?P<year>[0-9]{2})(?P<month>[0-9]{2})(?P<day>[0-9]{2})-",  # Zoom: 240615-083000
    )
)
_AUDIOMOTH = re.compile(r"(?=.*[A-F])[0-9A-F]{8}")  # seconds since 1970 in UTC, in hexadecimal
_SOLD = (datetime(2015, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))  # AudioMoths
_CODES = {"%Y": "[0-9]{4}", "%f": "[0-9]{1,6}", "%j": "[0-9]{3}", "%b": "[A-Za-z]+",
          "%B": "[A-Za-z]+", "%p": "[A-Za-z]{2}", "%z": r"(?:Z|[+-][0-9]{2}:?[0-9]{2})",
          **dict.fromkeys(("%m", "%d", "%H", "%I", "%M", "%S", "%y"), "[0-9]{2}")}  # fmt: skip

Clock = Callable[[str], datetime | None]


def time_of(stem: str) -> datetime | None:
    """The time in a file's name without its ending; None if none is written there.

    >>> time_of("SITE1_20260615_083000"), time_of("section_00_0001") is None
    (datetime.datetime(2026, 6, 15, 8, 30), True)
    """
    if parse_name(stem) is not None:  # attributes of DCASE names are full of numbers
        return None
    if _AUDIOMOTH.fullmatch(stem):
        moment = datetime.fromtimestamp(int(stem, 16), UTC)
        return moment if _SOLD[0] <= moment < _SOLD[1] else None
    for name in _NAMES:
        for match in name.finditer(stem):
            if (found := _moment(match.groupdict())) is not None:
                return found
    return None


def _moment(fields: dict[str, str]) -> datetime | None:
    zone = UTC if fields.pop("zone") else None
    numbers = {field: int(text) for field, text in fields.items()}
    if len(fields["year"]) == 2:
        numbers["year"] += 2000
    if not _YEARS[0] <= numbers["year"] <= _YEARS[1]:
        return None
    try:
        return datetime(**numbers, tzinfo=zone)
    except ValueError:  # the 31st of February
        return None


def clock(pattern: str | None) -> Clock:
    """How times are read off names: by a pattern of `strptime`, or as recorders write them.

    Raises:
        SettingError: not a pattern of a date.

    >>> clock("%d.%m.%Y %H-%M")("hall 15.06.2026 08-30 left")
    datetime.datetime(2026, 6, 15, 8, 30)
    """
    if pattern is None:
        return time_of
    if not isinstance(pattern, str):
        raise SettingError(f"time pattern {pattern!r}; it is a text, as %Y%m%d_%H%M%S")
    pieces = re.split(r"(%.)", pattern)
    unknown = [p for p in pieces if re.fullmatch("%.", p) and p not in _CODES and p != "%%"]
    if unknown or (pattern.endswith("%") and not pattern.endswith("%%")):
        raise SettingError(f"time pattern {pattern!r}: {(unknown or ['%'])[0]!r} is not understood;"
                           " it takes %Y %m %d %H %M %S and such")  # fmt: skip
    # A pattern without a whole day would give the year 1900.
    days = ({"%j"}, {"%m", "%d"}, {"%b", "%d"}, {"%B", "%d"})
    if not ({"%Y", "%y"} & set(pieces) and any(day <= set(pieces) for day in days)):
        raise SettingError(f"time pattern {pattern!r}: it has no year, month and day; "
                           "as %Y%m%d_%H%M%S")  # fmt: skip
    if len(set(codes := [p for p in pieces if p in _CODES])) < len(codes):
        raise SettingError(f"time pattern {pattern!r}: a part stands in it twice; remove one")
    text = "".join(_CODES.get(p, "%" if p == "%%" else re.escape(p)) for p in pieces)
    search = re.compile(rf"(?<![0-9])(?:{text})(?![0-9])")

    def found(stem: str) -> datetime | None:
        for match in search.finditer(stem):
            try:
                return datetime.strptime(match[0], pattern)
            except ValueError:  # looks like one, is none
                continue
        return None

    return found
