"""The export itself: checked first, made in a folder beside its place, renamed when it is whole."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nearfar.clips.clip import Clip
from nearfar.clips.export.datasetcard import card, is_export
from nearfar.clips.export.places import SPLITS, places, row, told_columns
from nearfar.clips.export.written import channels_in, is_rewritten, put
from nearfar.errors import (
    AudioError,
    DatasetError,
    StorageError,
    once_left_out,
    printable,
    unusable,
    warn,
)
from nearfar.files import DETECTOR, HALF, STALE, file_age, locked, storage_errors, write_text
from nearfar.sound.audio import ChannelOrder
from nearfar.text import LEFT_OUT, alike

TABLE = "metadata.csv"
_LOCK = ".lock"  # in what is half made: its writer is at work
USUAL = (1, 2)  # near, far


@dataclass(frozen=True)
class Exported:
    """What an export has made.

    >>> Exported(Path("hf"), clips=12, machines=("fan",), rewritten=0).clips
    12
    """

    folder: Path
    clips: int
    machines: tuple[str, ...]
    rewritten: int  # pairs, parts and salvaged files, as new files


@dataclass(frozen=True)
class _Sound:
    """One clip that can be exported."""

    clip: Clip
    rewritten: bool
    channels: tuple[int, int] | None


def check_folder(folder: Path, inputs: Iterable[Path | str], *, replace: bool = False) -> None:
    """Refuse a place for an export before any clip is listed.

    Args:
        folder: not there yet.
        inputs: what is read.
        replace: write over an earlier export, as the user said.

    Raises:
        StorageError: something is there, its place cannot be written to, or it is within the data,
            around them, or in a detector.
    """
    target = folder.resolve()
    for place in map(Path, inputs):
        data = place.resolve()
        if data.exists() and (data in (target, *target.parents) or target in data.parents):
            raise StorageError(
                f"{folder}: lies in {place} or around it, which is read; choose another folder"
            )
    # A save removes or renames what lies in its folder.
    if any((above / DETECTOR).exists() for above in (target, *target.parents)):
        raise StorageError(f"{folder}: lies in a detector; choose another folder")
    if os.path.lexists(folder) and not (replace and is_export(folder)):
        way = "; choose another name" if replace else ", or --replace an earlier export"
        kind = "is no earlier export" if replace else "is there already; choose another name"
        raise StorageError(f"{folder}: {kind}{way}")
    if not os.access(folder.parent, os.W_OK):
        raise StorageError(f"{folder}: {folder.parent} cannot be written to; choose another place")


def export(
    clips: Sequence[Clip],
    folder: Path,
    *,
    order: ChannelOrder = "near-far",
    data_license: str = "",
    link: bool = False,
    skip_bad: bool = False,
    replace: bool = False,
) -> Exported:
    """Write clips as an audiofolder, whole or not at all; originals are only read.

    Args:
        clips: of any layout.
        folder: to be made.
        order: of the channels in files, where a clip does not say.
        data_license: of the recordings, for the card; "" is not stated.
        link: hard links where the disk can, instead of copies.
        skip_bad: leave out clips that cannot be used, with a warning.
        replace: write over an earlier export.

    Raises:
        AudioError: clips that cannot be used, all in one line.
        DatasetError: no clips, or a name that no table can hold.
        StorageError: as `check_folder`, or the disk is full; nothing is left half made.
    """
    check_folder(folder, (), replace=replace)
    # Headers first: hours of copying must not end in a file that is no sound.
    sounds = _usable(clips, order, skip_bad)
    rewritten = [sound.rewritten for sound in sounds]
    found = list(places([sound.clip for sound in sounds], rewritten))
    rows = {p: row(s.clip, p, s.channels) for s, p in zip(sounds, found, strict=True)}
    # Of all splits together: their tables must not differ in columns.
    columns = told_columns(rows.values(), all(s.channels in (None, USUAL) for s in sounds))
    with storage_errors(folder):
        _sweep(folder)
        half = Path(
            tempfile.mkdtemp(prefix=f".{folder.name[:40]}.", suffix=HALF, dir=folder.parent)
        )
        try:
            handle = locked(half / _LOCK)
            # Held while it is filled, so that another run takes it for no killed one's.
            bad = _fill(half, sounds, found, order, link)
            _tell(bad.values(), len(clips), skip_bad and len(bad) < len(sounds))
            tables = _tables({p: one for p, one in rows.items() if p not in bad})
            for split, mine in tables.items():
                write_text(half / split / TABLE, _csv(columns, mine))
            write_text(half / "README.md", card(folder.name, tables, columns, data_license))
            # Hours later: another export, or somebody's own folder, may be there by now.
            check_folder(folder, (), replace=replace)
            _rename(half, folder, handle)
        finally:
            shutil.rmtree(half, ignore_errors=True)
    left = [s for s, place in zip(sounds, found, strict=True) if place not in bad]
    machines = tuple(sorted({sound.clip.machine for sound in left}))
    return Exported(folder, len(left), machines, sum(sound.rewritten for sound in left))


def _usable(clips: Sequence[Clip], order: ChannelOrder, skip_bad: bool) -> list[_Sound]:
    """The clips whose files can be read, by their headers; the others are told."""
    found: list[_Sound] = []
    faults: list[AudioError] = []
    for clip in clips:
        try:
            rewritten = is_rewritten(clip)
            found.append(_Sound(clip, rewritten, channels_in(clip, order, rewritten=rewritten)))
        except AudioError as error:
            faults.append(error)
    _tell(faults, len(clips), skip_bad and bool(found))
    if not found:
        raise DatasetError("no clips to export; name a folder, a CSV file or recordings")
    return found


def _tell(faults: Collection[AudioError], total: int, go_on: bool) -> None:
    """Name what cannot be used: in a warning, or in an error that ends the export."""
    if faults and not go_on:
        raise unusable(list(faults), total)
    for line in alike(f"{LEFT_OUT}{printable(once_left_out(str(fault)))}" for fault in faults):
        warn(line)


def _tables(rows: Mapping[PurePosixPath, dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """The rows of each split that has any, in the order of the clips."""
    tables: dict[str, list[dict[str, str]]] = {split: [] for split in SPLITS}
    for place, one in rows.items():
        tables[place.parts[0]].append(one)
    return {split: mine for split, mine in tables.items() if mine}


def _fill(
    half: Path, sounds: Sequence[_Sound], found: Sequence[PurePosixPath], order: ChannelOrder,
    link: bool,
) -> dict[PurePosixPath, AudioError]:  # fmt: skip
    """Put the sounds there; what is wrong with those whose headers promised too much."""
    bad: dict[PurePosixPath, AudioError] = {}
    for sound, place in zip(sounds, found, strict=True):
        to = half / place
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            put(sound.clip, to, order, link=link, rewritten=sound.rewritten)
        except AudioError as error:  # its header was sound, what it holds is not
            bad[place] = error
    return bad


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _rename(half: Path, folder: Path, handle: int | None) -> None:
    """Put what is whole into its place; an earlier export leaves it only then."""
    (half / _LOCK).unlink(missing_ok=True)
    half.chmod(0o755)  # mkdtemp's 0o700 would shut out whoever it is shared with
    before = half.with_name(f"{half.name.removesuffix(HALF)}.old{HALF}")
    if folder.exists():
        folder.rename(before)
    try:
        half.rename(folder)
    except BaseException:  # Ctrl-C too
        if before.exists():
            with suppress(OSError):
                before.rename(folder)
        raise
    finally:
        if handle is not None:
            os.close(handle)
    shutil.rmtree(before, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what a writer that was killed left beside the place; one at work holds its lock."""
    left = re.compile(
        re.escape(f".{folder.name[:40]}.") + r"[a-z0-9_]{8}(\.old)?" + re.escape(HALF)
    )
    for path in [p for p in folder.parent.iterdir() if left.fullmatch(p.name) and p.is_dir()]:
        # One that can be locked has lost its writer: the system lets go when a process ends.
        handle = locked(path / _LOCK, make=False)
        if handle is not None:
            os.close(handle)
        # Without one it is about to be made, or to be renamed.
        gone = handle is not None or (not (path / _LOCK).exists() and file_age(path) > STALE)
        if gone:
            shutil.rmtree(path, ignore_errors=True)
