"""The detector that a fit replaces stays beside the new one, whole, until the next fit."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nearfar.detector.folder.disk import LOG, is_ours, named_banks, whole_bank
from nearfar.detector.folder.readme import CARD, is_card, reads
from nearfar.errors import StorageError
from nearfar.files import DETECTOR, STALE, atomic_file, file_age, storage_errors

PREVIOUS = ".previous"  # behind the name of a detector's folder
# Ends what is at work beside it: longer than any ending that people use.
_AT_WORK = ".nearfar"


def previous_of(folder: Path) -> Path:
    """Where the detector that was in a folder is kept.

    >>> previous_of(Path("plant/pump7.detector")).name
    'pump7.detector.previous'
    """
    # "." and ".." are no names to put something behind.
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(named.name + PREVIOUS)


def check_place(place: Path, inputs: Iterable[Path | str | None] = ()) -> None:
    """Refuse what lies where a detector would be kept, unless one is kept there.

    Args:
        place: as `previous_of` says.
        inputs: what is read, weights too; what is no path (a hub id), or None, is harmless.

    Raises:
        StorageError: a file, a link, a folder with anything in it that is not of a detector, or an
            input.
    """
    with storage_errors(place):
        if not os.path.lexists(place):
            return
        kept = place.is_dir() and not place.is_symlink()
        inside = list(place.iterdir()) if kept else []
        # A folder of banks alone is no detector that a fit has put there.
        whole = not inside or (place / DETECTOR).is_file()
        if not (kept and whole and all(_is_part(p) for p in inside)):
            raise StorageError(
                f"{place}: is not the detector before that a fit keeps there; move it, or choose "
                "another folder for the detector"
            )
        for given in (i for i in inputs if i):
            full = Path(given).resolve()
            if place.resolve() in (full, *full.parents):
                raise StorageError(
                    f"{given}: is an input of this command, which replaces {place}; copy it "
                    "elsewhere, or choose another folder for the detector"
                )


def _is_part(path: Path) -> bool:
    return path.name == DETECTOR or is_ours(path, DETECTOR)


def has_whole_banks(folder: Path) -> bool:
    """Does a detector's folder hold every bank that its index names, undamaged?"""
    return all(whole_bank(folder / name) for name in named_banks(folder / DETECTOR))


@contextmanager
def keeping(folder: Path, inputs: Iterable[str] = ()) -> Iterator[None]:
    """Keep the detector in a folder as its previous one; the body replaces it.

    Whenever this is killed, what lies there is the detector before, the one before that, or
    nothing, never half of one: it is made elsewhere and renamed. Where the body fails, the one
    before that is back.

    Args:
        folder: of a whole detector; the caller is `alone` in it.
        inputs: what the body reads, or what it writes depends on.

    Raises:
        StorageError: something else lies there, or an input; or the place cannot be written to.
    """
    place, index = previous_of(folder), folder / DETECTOR
    check_place(place, inputs)
    with storage_errors(place):
        before = index.read_bytes()
        hold = Path(
            tempfile.mkdtemp(prefix=f".{place.name}.", suffix=_AT_WORK, dir=place.parent)
        )  # has the new one until it is whole, and the old one until it is not needed
    try:
        with storage_errors(place):
            _copy(folder, hold / "new", before)
        try:
            with storage_errors(place):
                if place.exists():
                    place.rename(hold / "old")
                (hold / "new").rename(place)
            yield
        except BaseException:  # Ctrl-C too
            # It may come just after the new index, and then the detector is replaced.
            if reads(index, before):
                _put_back(place, hold)
            raise
    finally:
        shutil.rmtree(hold, ignore_errors=True)


def _copy(folder: Path, to: Path, index: bytes) -> None:
    """The detector once more, weights by links: what is large is on the disk once."""
    to.mkdir()
    # No links: these are small, and what damages or edits one in place would take both.
    for name in sorted(named_banks(folder / DETECTOR)):
        _write(to / name, (folder / name).read_bytes())
    if (folder / LOG).is_file():
        _write(to / LOG, (folder / LOG).read_bytes())
    for weights in folder.iterdir():
        if weights.is_dir() and is_ours(weights, DETECTOR) and not weights.name.startswith("."):
            (to / weights.name).mkdir()
            for file in weights.iterdir():
                _link(file, to / weights.name / file.name)
    if is_card(folder / CARD):  # a person's own text stays where it was put
        _write(to / CARD, (folder / CARD).read_bytes())
    _write(to / DETECTOR, index)


def _write(path: Path, content: bytes) -> None:
    """On the disk before it takes the place of the one before."""
    with atomic_file(path) as copy:
        copy.write(content)


def _link(file: Path, to: Path) -> None:
    if file.is_symlink():  # which may lead elsewhere from there
        shutil.copyfile(file, to)
        return
    try:
        os.link(file, to)
    except OSError:  # a disk without links, or one that has too many to this file
        shutil.copyfile(file, to)


def _put_back(place: Path, hold: Path) -> None:
    new, old = hold / "new", hold / "old"
    with suppress(OSError):
        if place.exists() and not new.exists():  # it was put there
            place.rename(new)
        if old.exists():
            old.rename(place)


def sweep(folder: Path, *, stale: float = STALE) -> None:
    """Remove what a writer that was killed left beside a detector's folder.

    Args:
        folder: the detector's.
        stale: s, the age from which its writer is lost; 0 if the caller is `alone`.
    """
    place = previous_of(folder)
    left = re.compile(re.escape(f".{place.name}.") + r"[a-z0-9_]+" + re.escape(_AT_WORK))
    with suppress(OSError):
        for path in list(place.parent.iterdir()):
            if left.fullmatch(path.name) and (not stale or file_age(path) > stale):
                shutil.rmtree(path, ignore_errors=True)
