"""When a recording began, as its recorder wrote it into the file itself.

Source: EBU Tech 3285, Specification of the Broadcast Wave Format, version 2, section 2.3.
"""

from __future__ import annotations

import os
import re
from datetime import datetime

from nearfar.sound.behind import chunks

_DATE = slice(320, 338)  # of the chunk: behind description, originator and its reference
_ORDERS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"RIFX": ">"}
# Day and time are ten and eight characters; what parts them is the recorder's choice.
_FORM = re.compile(
    rb"([0-9]{4})[-_:. ]([0-9]{2})[-_:. ]([0-9]{2})([0-9]{2})[-_:. ]([0-9]{2})[-_:. ]([0-9]{2})"
)


def origination(path: str | os.PathLike[str]) -> datetime | None:
    """Date and time in the header of a Broadcast Wave file.

    Args:
        path: any file; it is opened, and of its sound nothing is read.

    Returns:
        As the recorder's clock had it, which says no zone; None where there is none, or none that
        is a time. What cannot be read has none either: reading its sound tells why.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            order = _ORDERS.get(file.read(12)[:4])
            for name, length, _ in chunks(file, 12, size, order) if order else ():
                if name == b"bext":
                    return _moment(file.read(min(length, _DATE.stop))[_DATE])
    except OSError:
        return None
    return None


def _moment(written: bytes) -> datetime | None:
    found = _FORM.fullmatch(written)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError:  # a clock that was never set: 0000-00-00
        return None
