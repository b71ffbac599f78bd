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
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

EXTRAS = {"eat": "torch", "train": "accelerate", "report": "matplotlib"}  # extra → its package


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


def warn(message: str) -> None:
    """Say something that deserves a look."""
    warnings.warn(message, NearfarWarning, stacklevel=3)  # where the one who warns was called


class Once:
    """Warnings of a job that does the same thing many times: each matter is said by the first.

    >>> import warnings
    >>> once = Once()
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     once.warn(("fan", "shift"), "fan: the domains lie 5.1 apart")
    ...     once.warn(("fan", "shift"), "fan: the domains lie 5.2 apart")
    >>> len(said)
    1
    """

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()

    def warn(self, matter: tuple[str, ...], message: str) -> None:
        """Say something that deserves a look, unless the same matter has been said."""
        if matter not in self._said:
            self._said.add(matter)
            warnings.warn(message, NearfarWarning, stacklevel=3)


def first_line(error: object) -> str:
    """What an error says, its first line.

    >>> first_line(ValueError("no such file" + chr(10) + "and more"))
    'no such file'
    """
    return next(iter(str(error).splitlines()), "")


@contextmanager
def needs(extra: str, what: str, kind: type[NearfarError] = NearfarError) -> Iterator[None]:
    """Say what to install where an import of the body fails.

    Args:
        extra: of nearfar, one of `EXTRAS`.
        what: cannot be done without it, as in "EAT needs PyTorch".
        kind: of the error.

    Raises:
        NearfarError: of that kind; the package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != EXTRAS[extra]:
            raise  # a bug of ours, or of the package
        raise kind(f"{what}; pip install 'nearfar[{extra}]'") from None
