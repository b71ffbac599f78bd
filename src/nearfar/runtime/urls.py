"""Files that are named by URLs: kept as paths, and printed as URLs.

A path whose first part is a protocol, as `s3:` is, names an object elsewhere. One letter is a
drive of Windows, and `file:` is this machine's own disk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+(.+)", re.DOTALL)
_ROOTED = {"local"}  # protocols without a host: what follows is a path from the root
# A Path makes a PosixPath or a WindowsPath of itself; before Python 3.12 only those have heirs.
if TYPE_CHECKING:
    _Base = Path
else:
    _Base = type(Path())


def url_of(path: str | os.PathLike[str]) -> str | None:
    """The URL that a path or a text stands for; None of a place on this machine.

    >>> url_of(Path("s3://bucket/hall/1.wav")), url_of("s3:/bucket/1.wav")
    ('s3://bucket/hall/1.wav', 's3://bucket/1.wav')
    >>> url_of("C:/hall/1.wav"), url_of("hall/1.wav"), url_of("file:///hall/1.wav")
    (None, None, None)
    """
    found = _URL.fullmatch(_text(path))
    if found is None or found[1].lower() == "file":
        return None
    protocol, rest = found[1].lower(), found[2].replace("\\", "/") if os.name == "nt" else found[2]
    return f"{protocol}:///{rest}" if protocol in _ROOTED else f"{protocol}://{rest}"


def place(path: str | os.PathLike[str]) -> Path:
    """A path, which prints itself as a URL if it stands for one.

    >>> print(place("s3://bucket/hall") / "1.wav", place("file:///hall/1.wav"))
    s3://bucket/hall/1.wav /hall/1.wav
    """
    if url_of(path) is not None:
        return Address(path)
    found = _URL.fullmatch(_text(path))
    if found is not None:  # of this machine
        rest = found[2]
        return Path(rest if os.name == "nt" else f"/{rest}")
    return Path(_text(path)) if isinstance(path, Address) else Path(path)


def _text(path: str | os.PathLike[str]) -> str:
    # An address asks for its own URL here, so it is asked for what any path says of itself.
    return _Base.__str__(path) if isinstance(path, Address) else os.fspath(path)


class Address(_Base):
    """A path that stands for a URL, and prints as one.

    >>> Address("s3://bucket/hall/1.wav").parent.name, str(Address("s3://bucket") / "1.wav")
    ('hall', 's3://bucket/1.wav')
    """

    __slots__ = ()

    def __str__(self) -> str:
        return url_of(self) or super().__str__()
