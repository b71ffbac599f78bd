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
    """Root of everything a user can cause.

    >>> import nearfar as nf
    >>> try:
    ...     nf.Clips.open("gone")
    ... except nf.NearfarError as error:
    ...     print(error)
    gone: no such file or folder
    """


class AudioError(NearfarError, ValueError):
    """A sound that cannot be used.

    >>> from nearfar.sound.audio import duration
    >>> duration("gone.wav")
    Traceback (most recent call last):
    nearfar.errors.AudioError: gone.wav: no such file
    """


class DatasetError(NearfarError, ValueError):
    """Clips that do not fit together or to the question asked.

    >>> from nearfar.clips import Clip
    >>> Clip("hum.wav", label="loud")
    Traceback (most recent call last):
    nearfar.errors.DatasetError: hum.wav: label 'loud'; it is normal or anomaly
    """


class WeightsError(NearfarError, ValueError):
    """Encoder weights that are missing or not what they claim to be.

    >>> from nearfar.embedder.eat.weights import open_weights
    >>> open_weights("no/such/folder/of/weights")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nearfar.errors.WeightsError: 'no/such/folder/of/weights': no such folder or file...
    """


class SettingError(NearfarError, ValueError):
    """A setting that does not exist or has an impossible value.

    >>> from nearfar.frontend import CoherenceMask
    >>> CoherenceMask(floor=2)
    Traceback (most recent call last):
    nearfar.errors.SettingError: floor is 2; it is a number from 0 to 1
    """


class FormatError(NearfarError, ValueError):
    """A file of ours, or of the official kind, that is not as it must be.

    >>> from nearfar.scores.truth import read_truth
    >>> read_truth("gone.csv")
    Traceback (most recent call last):
    nearfar.errors.FormatError: gone.csv: cannot be read (No such file or directory)
    """


class StorageError(NearfarError, OSError):
    """A file or folder that cannot be written.

    >>> from pathlib import Path
    >>> from nearfar.files import check_output
    >>> check_output(Path("."))  # an hour before it would be written
    Traceback (most recent call last):
    nearfar.errors.StorageError: .: is a folder; choose another place
    """


class NearfarWarning(UserWarning):
    """Something works but deserves a look.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", NearfarWarning)  # who has looked may say so
    ...     warn("fan: 12 normal clips are few")
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message about an unknown name: a guess, then what exists.

    >>> did_you_mean("shrinkge", ["shrinkage", "seed"])
    "did you mean 'shrinkage'? It has: seed, shrinkage"
    >>> did_you_mean("x", ["shrinkage"])
    'it has: shrinkage'
    """
    names = sorted(known)
    # One guess: the listing behind it has the others.
    guess = difflib.get_close_matches(name, names, n=1)
    listing = ", ".join(names)
    return f"did you mean {guess[0]!r}? It has: {listing}" if guess else f"it has: {listing}"


def warn(message: str) -> None:
    """Say something that deserves a look."""
    warnings.warn(message, NearfarWarning, stacklevel=3)  # where the one who warns was called


class Once:
    """Warnings of jobs that do the same thing: what one has said, later ones do not repeat.

    Within a job nothing is held back, so a job alone says all that it would say without this.

    >>> import warnings
    >>> once = Once()
    >>> with warnings.catch_warnings(record=True) as said:
    ...     warnings.simplefilter("always")
    ...     for apart in (5.1, 5.2):
    ...         once.begin()
    ...         once.warn(("fan", "shift"), f"fan: the domains lie {apart} apart")
    >>> [str(warning.message) for warning in said]
    ['fan: the domains lie 5.1 apart']
    """

    def __init__(self) -> None:
        self._earlier: set[tuple[str, ...]] = set()
        self._now: set[tuple[str, ...]] = set()

    def begin(self) -> None:
        """From here on it is another job."""
        self._earlier |= self._now

    def warn(self, matter: tuple[str, ...], message: str) -> None:
        """Say something that deserves a look, unless an earlier job has said it."""
        self._now.add(matter)
        if matter not in self._earlier:
            # As in `warn`. Python's own "once" goes by text, and ours have changing numbers in it.
            warnings.warn(message, NearfarWarning, stacklevel=3)


def first_line(error: object) -> str:
    """What an error says, its first line.

    >>> first_line(ValueError("no such file" + chr(10) + "and more"))
    'no such file'
    """
    return next(iter(str(error).splitlines()), "")  # an error may have no text at all


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
        # By name: an installed package that lacks one of its own is not mended by our extra.
        if error.name != EXTRAS[extra]:
            raise  # a bug of ours, or of the package
        raise kind(f"{what}; pip install 'nearfar[{extra}]'") from None
