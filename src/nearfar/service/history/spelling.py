r"""How values lie in a database, so that SQLite and PostgreSQL both give back what was given.

File names may have any bytes (to Python halves of surrogate pairs), and texts a NUL, which
PostgreSQL refuses. SQLite has no nan. Times are whole microseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)
# The sign that stands for what no database takes, with four hexadecimal digits behind it. Rare,
# so that texts read by hand are nearly always as they were; it is spelled so itself.
SIGN = "␛"
_ODD = re.compile(f"[\0{SIGN}\ud800-\udfff]")
_SPELLED = re.compile(SIGN + "([0-9a-f]{4})")


def spelled(text: str) -> str:
    """Text as a database takes it.

    >>> spelled("fan/1.wav"), spelled("b" + chr(0xDCFF) + ".wav")
    ('fan/1.wav', 'b␛dcff.wav')
    """
    if text.isascii() and "\0" not in text:
        return text
    return _ODD.sub(lambda odd: f"{SIGN}{ord(odd[0]):04x}", text)


def read(text: str) -> str:
    """What `spelled` was given.

    >>> read("b␛dcff.wav") == "b" + chr(0xDCFF) + ".wav"
    True
    """
    return _SPELLED.sub(lambda odd: chr(int(odd[1], 16)), text) if SIGN in text else text


def micros(time: datetime) -> int:
    """Microseconds since 1970; a time without a zone is taken as it stands, as if in UTC.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    # Whole numbers: a float of today's date has not all of its microseconds.
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // _STEP


def moment(count: int) -> datetime:
    """The time in UTC, so many microseconds after 1970.

    >>> moment(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + timedelta(microseconds=count)


def as_bytes(digest: str) -> bytes:
    """A digest in half the room; what is none, as it is.

    >>> len(as_bytes("9f" * 32)), as_bytes("mine")
    (32, b'=mine')
    """
    if len(digest) == 64 and re.fullmatch("[0-9a-f]{64}", digest):
        return bytes.fromhex(digest)
    return b"=" + digest.encode(errors="surrogatepass")


def as_digest(kept: bytes) -> str:
    """What `as_bytes` was given.

    >>> as_digest(as_bytes("9f86")), as_digest(bytes(32)) == "00" * 32
    ('9f86', True)
    """
    return kept.hex() if len(kept) == 32 else kept[1:].decode(errors="surrogatepass")
