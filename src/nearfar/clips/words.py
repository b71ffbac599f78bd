"""What names of folders say: a split, a label, a section, a day, a recorder; else a machine."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfar.runtime.urls import Address

SPLITS = {  # folder → split; from the first of these that a machine has, in this order
    "train": "train",
    "test_rename": "test",
    "test": "test",
    "source_test": "test",
    "target_test": "test",
}
ANOMALOUS = {"abnormal", "anomaly", "anomalies", "anomalous", "bad", "broken", "defect", "defects",
             "defective", "fault", "faults", "faulty", "ng"}  # fmt: skip
NORMAL = {"normal", "normals", "good", "healthy", "ok"}
_NOT = {"no", "non", "not", "without"}  # no_fault is no fault
_SECTION = re.compile(r"id_(?P<section>[0-9]{2})")  # MIMII: fan/id_00/normal
# A clock behind the day: 2024-11-04_08-30, 20241104T083000.
_CLOCK = r"(?:[T_ -]?(?P<hour>[0-9]{2})[-:.h_]?(?P<minute>[0-9]{2})(?:[-:.m_]?[0-9]{2}s?)?)?"
_DAYS = tuple(
    re.compile(pattern + _CLOCK, re.IGNORECASE)
    for pattern in (
        r"(?P<year>(?:19|20)[0-9]{2})[-_. ]?(?P<month>[0-9]{2})[-_. ]?(?P<day>[0-9]{2})",
        r"(?P<day>[0-9]{2})[-_. ](?P<month>[0-9]{2})[-_. ](?P<year>(?:19|20)[0-9]{2})",
        r"(?P<year>[0-9]{2})[-_. ]?(?P<month>[0-9]{2})[-_. ]?(?P<day>[0-9]{2})",  # Zoom: 240615
    )
)
_TIMES = (
    re.compile(r"(?P<year>20[0-9]{2})(?:[-_.](?P<month>[0-9]{2}))?"),
    re.compile(r"(?:19|20)[0-9]{2}[-_]?W[0-9]{2}", re.IGNORECASE),
    re.compile(r"(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"),
    re.compile(r"(?P<day>[0-9]{2})-(?P<month>[0-9]{2})"),
    re.compile(r"(?P<hour>[0-9]{2})[-:h](?P<minute>[0-9]{2})(?:[-:m][0-9]{2}s?)?"),
    re.compile(r"(?:day|week|session)[-_ ]?[0-9]{1,3}", re.IGNORECASE),
)
# How Zoom, Tascam and cameras' cards lay out their files.
_RECORDER = re.compile(
    r"zoom[0-9]{4}|folder[0-9]{2}|stereo|multi|4ch|dcim|[1-9][0-9]{2}(?:media|zoom|sound|gopro|canon|"
    r"nikon|olymp|msdcf|_pana|apple)|tascam(?:_[0-9]{4})?",
    re.IGNORECASE,
)
_ALLOWED = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}


@dataclass(frozen=True)
class Place:
    """What a folder and those above it say of the recordings in it.

    >>> place_of(Path("/mimii/fan/id_00/abnormal"))
    Place(machine='fan', section='00', split=None, label='anomaly')
    """

    machine: str
    section: str = "00"
    split: str | None = None
    label: str | None = None


def place_of(folder: Path) -> Place:
    """Go up to the first name that is a machine's; what lies between says the rest.

    >>> place_of(Path("/hall/pump7/2024-11-04/ZOOM0001")).machine
    'pump7'
    """
    section, split, labels = "00", None, set()
    machine = ""
    parts: Sequence[str]
    if isinstance(folder, Address):  # which lies in no folder of this machine
        parts = (folder.parts[0].rstrip(":"), *folder.parts[1:])
    else:
        parts = Path(os.path.abspath(folder)).parts[1:]  # `.` has a name, too
    for i in range(len(parts) - 1, -1, -1):
        name, above = parts[i], parts[max(i - 2, 0) : i]
        labels.add(label_of(name))
        if match := _SECTION.fullmatch(name):
            section = match["section"]
        split = split or split_of(name)
        if names_machine(name, above):
            machine = name
            break
    # Of two words the worse one counts: nothing is fitted on by mistake.
    label = next((word for word in ("anomaly", "normal") if word in labels), None)
    return Place(machine or (parts[-1] if parts else ""), section, split, label)


def names_machine(name: str, above: Sequence[str] = ()) -> bool:
    """Whether a folder called so can be a machine; `above`: the names of those above it."""
    return not (
        split_of(name)
        or _SECTION.fullmatch(name)
        or is_day(name, above)
        or _RECORDER.fullmatch(name)
        # engine2_broken is labelled and still a name of its own.
        or (label_of(name) and all(_is_word(token) or token in _NOT for token in _tokens(name)))
    )


def split_of(name: str) -> str | None:
    """Which split a folder's name says it holds, if any."""
    return SPLITS.get(name.casefold())


def label_of(name: str) -> str | None:
    """Which label a folder's name says, if any of its words is one.

    >>> label_of("engine2_broken"), label_of("no_fault"), label_of("pump7")
    ('anomaly', 'normal', None)
    """
    found = set()
    before = ""
    for token in _tokens(name):
        word = token.rstrip("0123456789")
        if word in ANOMALOUS | NORMAL:
            bad = (word in ANOMALOUS) != (before in _NOT)
            found.add("anomaly" if bad else "normal")
        before = token
    return next((word for word in ("anomaly", "normal") if word in found), None)


def is_day(name: str, above: Sequence[str] = ()) -> bool:
    """Whether a name is a date, a time of day or a numbered session, as recorders call folders.

    >>> is_day("2024-11-04"), is_day("20241104"), is_day("20249904"), is_day("pump7")
    (True, True, False, False)
    """
    # 2024/11/04: a number alone is a machine's, below a year it is not.
    if re.fullmatch(r"(?:.*/)?20[0-9]{2}(?:/[0-9]{2})?/[0-9]{2}", "/".join((*above, name))):
        return int(name) <= _ALLOWED["day"][1]
    return any((m := p.fullmatch(name)) and _possible(m) for p in (*_DAYS, *_TIMES))


def date_of(name: str) -> str | None:
    """The date that a folder is named by, as ISO 8601; None if it is none, or only part of one.

    >>> date_of("04.11.2024"), date_of("20241104T0830"), date_of("11-04"), date_of("20249904")
    ('2024-11-04', '2024-11-04', None, None)
    """
    for pattern in _DAYS:
        if (match := pattern.fullmatch(name)) and _possible(match):
            year = match["year"] if len(match["year"]) == 4 else f"20{match['year']}"
            return f"{year}-{match['month']}-{match['day']}"
    return None


def _possible(match: re.Match[str]) -> bool:
    fields = {k: int(v) for k, v in match.groupdict().items() if v is not None}
    return all(low <= fields.get(k, low) <= high for k, (low, high) in _ALLOWED.items())


def _tokens(name: str) -> list[str]:
    return [token for token in re.split(r"[\W_]+", name.casefold()) if token]


def _is_word(token: str) -> bool:
    return token.isdigit() or token.rstrip("0123456789") in ANOMALOUS | NORMAL
