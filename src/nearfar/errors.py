"""Everything nearfar raises on purpose.

    NearfarError
    ├── AudioError      a sound that cannot be used: unreadable, mono, silent, too short, not finite
    ├── DatasetError    clips that do not fit together: too few, no labels, unknown machine
    ├── WeightsError    encoder weights that are missing or not what they claim to be
    ├── SettingError    a setting that does not exist or has an impossible value
    ├── FormatError     a file of ours or of the official kind that is not as it must be
    └── StorageError    a file or folder that cannot be written

Each message is one line: what, which value, the way out. Anything else that escapes is a bug.
`NearfarWarning` is the category of every warning we give.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NearfarError(Exception):
    """Root of everything a user can cause."""


class AudioError(NearfarError, ValueError):
    """A sound that cannot be used."""


class DatasetError(NearfarError, ValueError):
    """Clips that do not fit together or to the question asked."""


class WeightsError(NearfarError, ValueError):
    """Encoder weights that are missing or not what they claim to be."""


class SettingError(NearfarError, ValueError):
    """A setting that does not exist or has an impossible value."""


class FormatError(NearfarError, ValueError):
    """A file of ours, or of the official kind, that is not as it must be."""


class StorageError(NearfarError, OSError):
    """A file or folder that cannot be written."""


class NearfarWarning(UserWarning):
    """Something works but deserves a look."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message about an unknown name: a guess, then what exists.

    >>> did_you_mean("shrinkge", ["shrinkage", "seed"])
    "did you mean 'shrinkage'? It has: seed, shrinkage"
    >>> did_you_mean("x", ["shrinkage"])
    'it has: shrinkage'
    """
    names = sorted(known)
    guess = difflib.get_close_matches(name, names, n=1)
    listing = ", ".join(names)
    return f"did you mean {guess[0]!r}? It has: {listing}" if guess else f"it has: {listing}"
