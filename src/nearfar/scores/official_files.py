"""A folder of official score files, written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.errors import DatasetError, StorageError, several
from nearfar.files import DETECTOR, HALF, STALE, file_age, storage_errors
from nearfar.scores.files import KINDS, named_key, write_scores
from nearfar.scores.join import ScoreTable
from nearfar.text import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nearfar.scores.verdict import Verdict


def check_folder_for(folder: Path, *, replace: bool = False) -> None:
    """Refuse a place that official files cannot be written to, before any clip is heard.

    Args:
        folder: where they shall lie; it need not be there, nor the folders above it.
        replace: take the place of official files; of a folder with anything else in it, never.

    Raises:
        StorageError: a file, a folder with something in it, one in a detector, no permission.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder}: is a file; name a folder for the official files")
    target = folder.resolve()
    # A detector is read as a whole: what lies in it is taken for a part of it, or removed.
    for place in (target, *target.parents):
        if (place / DETECTOR).exists():
            raise StorageError(f"{folder}: lies in a detector; choose another folder")
    above = next(place for place in target.parents if place.exists())
    if not os.access(above, os.W_OK):
        raise StorageError(f"{folder}: {above} cannot be written to; choose another place")
    if not folder.is_dir():
        return
    with storage_errors(folder):
        there = sorted(path.name for path in folder.iterdir())
    # With --replace the folder goes as a whole, so it must be of this kind as a whole.
    strange = [name for name in there if not is_official(name)]
    if strange:
        raise StorageError(
            f"{folder}: has other things in it ({named(strange)}); name a new folder"
        )
    if there and not replace:
        raise StorageError(
            f"{folder}: has {len(there)} official files already; name a new folder, or write over "
            "them with --replace"
        )


def is_official(name: str) -> bool:
    """Is a file's name that of scores or decisions in the official form?

    >>> is_official("anomaly_score_fan_section_00_test.csv"), is_official("notes.txt")
    (True, False)
    """
    return any(named_key(name, kind) is not None for kind in KINDS)


def official_table(verdicts: Iterable[Verdict]) -> ScoreTable:
    """Verdicts as the official files have them: a score and a decision of every clip.

    Raises:
        DatasetError: clips that were not judged; the official evaluator refuses a file that lacks
            one.
    """
    verdicts = list(verdicts)
    faults = [f"{v.clip.name}: {v.warning}" for v in verdicts if not v.judged]
    why = "the official evaluator wants a score for every test clip"
    if len(faults) == 1:
        raise DatasetError(f"{faults[0]}; {why}")
    if faults:
        summary = f"{len(faults)} of {len(verdicts)} clips cannot be judged, and {why}; mend them"
        raise several([DatasetError(fault) for fault in faults], summary)
    table = ScoreTable.from_verdicts(verdicts)
    if undecided := [row.file for row in table.rows if row.decision is None]:
        raise DatasetError(
            f"no threshold, and so no decision on {named(undecided)}; {why}, and a decision"
        )
    return table


def write_official(folder: Path, table: ScoreTable, *, replace: bool = False) -> list[Path]:
    """Write a system's official files into a folder of their own, all of them or none.

    Args:
        folder: not there, empty, or with `replace` one of official files alone.
        table: scores and decisions.
        replace: see `check_folder_for`.

    Returns:
        The files.

    Raises:
        StorageError: as `check_folder_for`, or the disk is full; what was there still is.
        DatasetError: as `write_scores`.
    """
    check_folder_for(folder, replace=replace)
    target = folder.resolve()  # of a link the folder that it leads to
    with storage_errors(folder):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        part = _beside(target)
        try:
            written = write_scores(part, table)
            part.chmod(0o755)  # mkdtemp's are for their owner alone
            _put(part, target)
        except BaseException:  # Ctrl-C, too
            shutil.rmtree(part, ignore_errors=True)
            raise
    return [folder / path.name for path in written]


def _beside(target: Path) -> Path:
    """A new folder beside a place, for what will have its name."""
    # In the same folder: to rename is one step there, and a kill finds it done or not begun.
    return Path(
        tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=HALF, dir=target.parent)
    )  # fmt: skip


def _put(part: Path, target: Path) -> None:
    """Give a folder its name, in place of the one that has it."""
    if not target.exists():
        part.rename(target)
        return
    aside = _beside(target)
    # Between the two steps neither is there by its name; the old one lies beside, whole.
    target.rename(aside / target.name)
    try:
        part.rename(target)
    except BaseException:
        (aside / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Remove what earlier runs left half written, long after they were killed."""
    for left in target.parent.glob(f".{escape(target.name[:40])}.????????{HALF}"):
        if left.is_dir() and not left.is_symlink() and file_age(left) > STALE:
            shutil.rmtree(left, ignore_errors=True)
