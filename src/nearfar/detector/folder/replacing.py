"""What a fit is asked before it hears, and again before it saves: who would lose a detector?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.clips.collection import Clips
from nearfar.detector.folder.index import INDEX, Heading, heading
from nearfar.detector.folder.previous import PREVIOUS, check_place, previous_of
from nearfar.errors import FormatError, StorageError
from nearfar.text import called, counted

if TYPE_CHECKING:
    from nearfar.detector.section import Section

Counts = Mapping[tuple[str, str], int]  # (machine, section) → clips
FEWER = 0.5  # of the clips that there were: a fit on less is asked about
SHOWN = 3  # machines in a message


def check_keeping(folder: Path, inputs: Iterable[Path | str | None], replace: bool) -> bool:
    """Refuse a fit whose replaced detector could not be kept, before any work.

    Args:
        folder: for the detector; there may be one.
        inputs: what the fit reads, weights too; what is no path (a hub id), or None, is harmless.
        replace: it need not be kept, as the user said, where there is no place for it.

    Returns:
        Can it be kept?

    Raises:
        StorageError: a folder that is such a place itself; something foreign there, or an input;
            or no permission.
    """
    if folder.resolve().name.endswith(PREVIOUS):
        raise StorageError(
            f"{folder}: a name that ends in {PREVIOUS} is for what a fit replaces; choose another"
        )
    place = previous_of(folder)
    if not (folder / INDEX).exists():
        return True
    check_place(place, inputs)
    if os.access(place.parent, os.W_OK):
        return True
    if not replace:
        raise StorageError(
            f"{place}: cannot be made in {place.parent}, so the detector before would not be kept; "
            "choose another folder, or --replace"
        )
    return False


def check_loss(folder: Path, clips: Clips, replace: bool) -> Heading | None:
    """Refuse to replace a detector of other machines, or of far more clips, unasked.

    Args:
        folder: of a detector.
        clips: as listed, to be fitted on.
        replace: the user has asked for it.

    Returns:
        What the detector's index says; None if it does not say, and that is no matter.

    Raises:
        StorageError: other machines or sections, fewer than `FEWER` of the clips of any, or an
            index that does not say.
    """
    new = Counter((clip.machine, clip.section) for clip in clips if not clip.fault)
    # Without clips there is no fit, which says so itself.
    there = _heading(folder)
    if len(clips):
        _refuse_loss(folder, there, new, replace, "this would make it one of")
    return there


def check_fitted(folder: Path, sections: Mapping[tuple[str, str], Section], replace: bool) -> None:
    """The same when the clips have been heard: silent ones and copies are in no detector.

    Args:
        folder: of a detector, which is still there.
        sections: of the one that would replace it.
        replace: the user has asked for it.

    Raises:
        StorageError: as of `check_loss`.
    """
    new = {key: len(section.clips) for key, section in sections.items()}
    there = _heading(folder)  # read anew: hearing took its time
    _refuse_loss(folder, there, new, replace, "of what could be used this fit would make it one of")


def check_exchange(
    folder: Path, sections: Mapping[tuple[str, str], Section], replace: bool
) -> None:
    """The same for a detector that is only written elsewhere, as an export is.

    Raises:
        StorageError: as of `check_loss`.
    """
    new = {key: len(sections[key].clips) for key in sections}
    _refuse_loss(folder, _heading(folder), new, replace, "this would make it one of")


def _heading(folder: Path) -> Heading | None:
    try:
        return heading(folder)
    except FormatError:
        return None


def _refuse_loss(
    folder: Path, there: Heading | None, new: Counts, replace: bool, would: str
) -> None:
    if replace:
        return
    if there is None:
        raise StorageError(
            f"{folder}: its {INDEX} is damaged or of a newer nearfar, so nobody knows what would "
            "be lost; choose another folder, or --replace"
        )
    old = there.counts
    changed = {
        key for key in {*old, *new}
        if new.get(key, 0) < FEWER * old.get(key, 0) or key not in old
    }  # fmt: skip
    if changed:
        raise StorageError(
            f"{folder} is a detector of {_told(old, changed)}; {would} {_told(new, changed)}. "
            "Choose another folder, or --replace"
        )


def _told(counts: Counts, changed: set[tuple[str, str]]) -> str:
    """Machines and their clips, first those that are not the same before and after."""
    names = [
        f"{called(*key)} ({counted(n, 'clip')})"
        for key, n in sorted(counts.items(), key=lambda item: (item[0] not in changed, item[0]))
    ]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) + more) or "no clips"
