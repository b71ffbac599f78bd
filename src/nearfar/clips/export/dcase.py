"""Labelled clips as a data set of DCASE Task 2: MACHINE/test/section_SS_…, as its readers know it.

Names are those of the challenge's development sets, 2022 and later.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nearfar.clips import words
from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, StorageError
from nearfar.files import DETECTOR, HALF, storage_errors

_SECTION = re.compile(r"[0-9]{2}")
_LONGEST = 120  # characters of a machine's folder, below what any file system takes


@dataclass(frozen=True)
class DcaseExport:
    """What an export has made.

    >>> DcaseExport(Path("labelled"), anomalies=2, normals=0).clips
    2
    """

    folder: Path
    anomalies: int
    normals: int

    @property
    def clips(self) -> int:
        """In all."""
        return self.anomalies + self.normals


def dcase_places(clips: Iterable[Clip]) -> Iterator[tuple[PurePosixPath, Clip]]:
    """Each clip's file within the folder, numbered for each machine, section, domain and label.

    Args:
        clips: whole files with a label.

    Raises:
        DatasetError: a clip without a label, or a section or machine that no such name can say.

    >>> clip = Clip(Path("9f86.wav"), machine="pump", label="anomaly")
    >>> [str(place) for place, _ in dcase_places([clip])]
    ['pump/test/section_00_source_test_anomaly_0000_noAttribute.wav']
    """
    numbers: Counter[tuple[str, str, str, str]] = Counter()
    owners: dict[str, str] = {}
    for clip in clips:
        if clip.label is None:
            raise DatasetError(f"{clip.name}: has no label; say that it is normal or an anomaly")
        if not _SECTION.fullmatch(clip.section):
            raise DatasetError(
                f"{clip.machine}: section {clip.section!r}; names of DCASE data sets say two "
                "digits, as 00; call it so in plant.toml and in the detector"
            )
        folder = _folder(clip.machine)
        owner = owners.setdefault(folder.casefold(), clip.machine)  # one folder on some disks
        if owner != clip.machine:
            raise DatasetError(
                f"{clip.machine} and {owner}: both would lie in {folder}; export one of them"
            )
        domain = clip.domain or "source"
        number = numbers[(folder, clip.section, domain, clip.label)]
        numbers[(folder, clip.section, domain, clip.label)] += 1
        # As it lies: what is copied is what was heard.
        tail, suffix = clip.attributes or "noAttribute", clip.path.suffix.lower()
        name = f"section_{clip.section}_{domain}_test_{clip.label}_{number:04d}_{tail}{suffix}"
        yield PurePosixPath(folder, "test", name), clip


def check_new_folder(folder: Path, inputs: Iterable[Path]) -> None:
    """Refuse a place for an export before anything is read.

    Args:
        folder: not there yet.
        inputs: what is read.

    Raises:
        StorageError: something is there, its place cannot be written to, or it lies within what
            is read, or in a detector.
    """
    target = folder.resolve()
    if os.path.lexists(folder):
        raise StorageError(f"{folder}: is there already; choose another name")
    if not os.access(folder.parent, os.W_OK):
        raise StorageError(f"{folder}: {folder.parent} cannot be written to; choose another place")
    if any(place.resolve() in target.parents for place in inputs):
        raise StorageError(f"{folder}: lies in what is read; choose another folder")
    if any((above / DETECTOR).exists() for above in target.parents):
        raise StorageError(f"{folder}: lies in a detector; choose another folder")


def export_dcase(clips: Sequence[Clip], folder: Path) -> DcaseExport:
    """Write labelled clips as a DCASE data set, whole or not at all; originals are only read.

    Args:
        clips: whole files with a label.
        folder: to be made.

    Raises:
        DatasetError: no clips, or as `dcase_places`.
        StorageError: as `check_new_folder`, or the disk is full.
    """
    if not clips:
        raise DatasetError("no labelled clips to export; call some normal or a fault first")
    found = list(dcase_places(clips))
    check_new_folder(folder, ())
    with storage_errors(folder):
        half = Path(
            tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=HALF, dir=folder.parent)
        )
        try:
            for place, clip in found:
                (half / place).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(clip.path, half / place)
            half.chmod(0o755)  # mkdtemp's 0o700 would shut out whoever it is shared with
            half.rename(folder)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    anomalies = sum(clip.label == "anomaly" for clip in clips)
    return DcaseExport(folder, anomalies, len(clips) - anomalies)


def _folder(machine: str) -> str:
    """A machine's name as any file system and any zip holds it."""
    name = re.sub(r"[^\w.()+=, -]|[\ud800-\udfff]", "_", machine).strip(" .")[-_LONGEST:]
    # Read back, a folder called `broken` would say that its clips are anomalies.
    return "machine" if not name or words.label_of(name) or words.split_of(name) else name
