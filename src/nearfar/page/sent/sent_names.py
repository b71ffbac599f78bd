"""Where a recording that a browser sends goes: its name, below one folder and nowhere else."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from nearfar.clips.pairs import FOREIGN, foreign
from nearfar.clips.words import split_of
from nearfar.errors import DatasetError, once_left_out, visible
from nearfar.sound.audio import SUFFIXES

LONGEST_PART = 200  # bytes: file systems take 255, and what is half written has a longer name
LONGEST = 800  # bytes of all parts; Windows and some tools take no more of a path
DEEPEST = 12  # folders; of recorders, days and near/far there are never so many
# Colons are in times, the others in what people type; some disks take none of them.
_ODD = re.compile(r'[<>:"|?*]')
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


class LeftOut(DatasetError):
    """A file that is not stored, and no mistake: what lies beside recordings.

    >>> issubclass(LeftOut, DatasetError)
    True
    """


def place_for(name: str) -> Path:
    """Where a file of this name is stored, relative to the folder.

    Args:
        name: as browsers send it, with the folders that it lay in and `/` between them.

    Raises:
        LeftOut: hidden, or no recording by its name.
        DatasetError: a name that would lead elsewhere, or that disks do not take.

    >>> place_for("normal/2024-11-04/08:30.wav").as_posix()
    'normal/2024-11-04/08_30.wav'
    >>> place_for("../x.wav")
    Traceback (most recent call last):
    nearfar.errors.DatasetError: ../x.wav: its name leads out of its folder; rename it
    """
    # The same name comes as one character or as two, by who wrote the disk that it was on.
    parts = unicodedata.normalize("NFC", name).split("/")
    _refuse(name, parts)
    # Before a name is cleaned: what programs hide from people is none of their recordings.
    if any(part.startswith(".") or part.casefold() == "__macosx" for part in parts):
        raise LeftOut(f"{name}: a hidden file")
    path = Path(*map(_cleaned, parts))
    suffix = path.suffix.lower()
    if suffix in FOREIGN:
        raise LeftOut(once_left_out(foreign(Path(name))))
    if suffix not in SUFFIXES:
        raise LeftOut(f"{name}: no recording by its name; they end in {', '.join(SUFFIXES)}")
    # Who chose a folder called train chose the recordings in it; below it their names are free.
    return Path(*path.parts[1:]) if split_of(path.parts[0]) == "train" else path


def _refuse(name: str, parts: list[str]) -> None:
    """Refuse what leads elsewhere: no browser sends such names, so they are not mended."""
    shown = visible(name)[:100]
    # A letter and a colon alone is a disk on Windows.
    elsewhere = "\\" in name or ".." in parts or re.match(r"[A-Za-z]:(?:$|/)", name)
    if elsewhere or name.startswith("/"):
        raise DatasetError(f"{shown}: its name leads out of its folder; rename it")
    if not name.isprintable() or not all(part.strip(" .") for part in parts):
        raise DatasetError(f"{shown!r}: no name for a file; rename it")
    sizes = [len(part.encode(errors="replace")) for part in parts]
    if max(sizes) > LONGEST_PART or sum(sizes) > LONGEST or len(parts) > DEEPEST + 1:
        raise DatasetError(f"{shown} …: its name is too long; rename it")


def _cleaned(part: str) -> str:
    """A part of a name as all disks take it."""
    part = _ODD.sub("_", part).strip(" ").rstrip(". ")
    # Called so it opens a printer on Windows, whatever follows the point.
    return f"_{part}" if part.split(".")[0].casefold() in _DEVICES else part
