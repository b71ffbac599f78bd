"""Folders → clips: DCASE Task 2 data sets, 2020 to 2026, and plain folders of recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from nearfar.clips.clip import Clip, parse_name, told
from nearfar.clips.lists import table
from nearfar.errors import DatasetError
from nearfar.sound import audio

Recording = tuple[Path, Path | None]  # near (or both), far

SPLITS = {  # folder → split; from the first of these that a machine has, in this order
    "train": "train",
    "test_rename": "test",
    "test": "test",
    "source_test": "test",
    "target_test": "test",
}
_NO_MACHINES = {*SPLITS, "normal", "abnormal", "anomaly"}  # what a sub-folder may say instead
_ASIDE = {"supplemental", "__macosx"}  # folders that hold no clips
_DEEPEST = 5  # folders below DATA: data/dcase2026t2/dev_data/raw/fan
_FOREIGN = {".aac", ".aif", ".aiff", ".au", ".caf", ".m4a", ".mp3", ".ogg", ".opus", ".wma"}
_SIDE = re.compile(r"(.+)_(near|far)", re.DOTALL | re.IGNORECASE)


def listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and sub-folders, each sorted by name; hidden ones and those put aside are not there.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:  # is_dir() asks the disk only for links; a Path would ask for each of 7,000 files
        with os.scandir(folder) as entries:
            seen = sorted((e.name, e.is_dir()) for e in entries if not e.name.startswith("."))
    except OSError as error:
        where = error.filename or folder
        raise DatasetError(f"{where}: cannot be read ({error.strerror or error})") from None
    folders = [folder / n for n, is_dir in seen if is_dir and n.casefold() not in _ASIDE]
    return [folder / n for n, is_dir in seen if not is_dir], folders


def walk(
    folder: Path, above: tuple[str, ...] = ()
) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Folder by folder, like os.walk: taken out of the last list, a folder is never opened."""
    real = os.path.realpath(folder)  # a link to a folder above would never end
    if real in above:
        raise DatasetError(f"{folder}: a symbolic link to a folder above it; remove the link")
    files, folders = listing(folder)
    yield folder, files, folders
    for sub in folders if len(above) < _DEEPEST else []:
        yield from walk(sub, (*above, real))


def split_of(folder: Path) -> str | None:
    """Which split the folder's name says it holds, if any."""
    return SPLITS.get(base_name(folder).casefold())


def machine_of(folder: Path) -> str:
    """The folder's name; for `fan/test` that of the folder above."""
    here = os.path.abspath(folder)  # `.` has a name, too
    return os.path.basename(os.path.dirname(here) if split_of(folder) else here)


def base_name(folder: Path) -> str:
    """The folder's own name, also of `.` and `..`."""
    return os.path.basename(os.path.abspath(folder))


def recordings(files: Iterable[Path]) -> list[Path]:
    """The WAV and FLAC files among these.

    Raises:
        DatasetError: a sound file of another format is among them.
    """
    kept = []
    for file in files:
        if file.suffix.lower() in _FOREIGN:
            raise DatasetError(f"{file}: only WAV and FLAC are read; convert or remove it")
        if file.suffix.lower() in audio.SUFFIXES:
            kept.append(file)
    return kept


def named_clip(recording: Recording, machine: str, split: str | None) -> Clip:
    """The clip, with what its name says if that is of the DCASE form."""
    path, far = recording
    name = parse_name(path.name)
    if name is None:
        return Clip(path, far, machine=machine, split=split)
    split = split or name.split  # the folder counts: some years' names say none
    by_folder = "normal" if split == "train" else None  # so the data sets are made
    return Clip(path, far, machine=machine, section=name.section, domain=name.domain, split=split,
                label=name.label or by_folder, attributes=name.attributes)  # fmt: skip


# ---- DCASE ---------------------------------------------------------------------------------------


def dcase_machines(root: Path) -> list[Path]:
    """The machines' folders at or below `root`, sorted by name; no split folder is opened."""
    found = []
    for folder, _, folders in walk(root):
        if any(split_of(sub) for sub in folders):
            found.append(folder)
            folders.clear()  # law 4: nobody looks into a split folder to find machines
    return sorted(found, key=lambda folder: (base_name(folder), folder))


def dcase_clips(machine: Path, split: str | None) -> list[Clip]:
    """One machine's clips, training clips first; only folders of this split are opened."""
    held = {sub.name.casefold(): sub for sub in listing(machine)[1]}
    names = [n for n in SPLITS if n in held and split in (None, SPLITS[n])]
    if "test_rename" in names and "test" in names:
        names.remove("test")  # the same clips under other names
    clips = [clip for n in names for clip in _split_clips(held[n], base_name(machine), SPLITS[n])]
    return _with_listed_attributes(machine, clips)


def _split_clips(folder: Path, machine: str, split: str) -> list[Clip]:
    paths = recordings(listing(folder)[0])
    if not paths:
        raise DatasetError(f"{folder}: no WAV or FLAC files; fill the folder or remove it")
    for path in paths:
        name = parse_name(path.name)
        if name is None:
            raise DatasetError(
                f"{path}: no DCASE name like section_00_source_train_normal_0000_noAttribute.wav; "
                "rename it, or put recordings with free names into a folder named as the machine"
            )
        if name.split not in (None, split):
            raise DatasetError(f"{path}: a {name.split} clip by name in a {split} folder; move it")
    return [named_clip((path, None), machine, split) for path in paths]


def _with_listed_attributes(machine: Path, clips: list[Clip]) -> list[Clip]:
    """Where no name has a tail the same facts may stand in `attributes_<section>.csv`."""
    silent = {c.section for c in clips} - {c.section for c in clips if c.attributes}
    # Only where the whole section is silent: a single clip without a tail has no attributes.
    known = {section: _attributes(machine / f"attributes_{section}.csv") for section in silent}
    return [
        replace(c, attributes=known.get(c.section, {}).get(c.path.name, c.attributes))
        for c in clips
    ]


def _attributes(path: Path) -> dict[str, str]:
    """Base name → d1p_d1v_d2p_…; the first column may carry a path."""
    rows = table(path)[1:] if path.is_file() else []
    return {
        re.split(r"[/\\]", cells[0])[-1]: told("_".join(cell for cell in cells[1:] if cell))
        for _, cells in rows
    }


def check_once(clips: Iterable[Clip]) -> None:
    """Refuse two years' data sets in one, and two folders with the same test clips.

    Raises:
        DatasetError: a machine's section in two folders, or a file name twice.
    """
    homes: dict[tuple[str, str, str | None], Path] = {}
    files: dict[tuple[str, str, str | None, str], Path] = {}
    for clip in clips:
        # fan/train/x.wav → fan: train and test of a section may lie apart, two trains may not
        key, home = (clip.machine, clip.section, clip.split), clip.path.parent.parent
        if homes.setdefault(key, home) != home:
            raise DatasetError(f"{clip.machine}, section {clip.section}: {clip.split} clips in "
                               f"{homes[key]} and in {home}; give one of them")  # fmt: skip
        if files.setdefault((*key, clip.file), clip.path) != clip.path:
            first = files[(*key, clip.file)]
            raise DatasetError(f"{clip.path}: also in {first.parent}; remove one")


# ---- plain recordings ----------------------------------------------------------------------------


def plain_recordings(root: Path) -> list[tuple[Path, list[Recording]]]:
    """Folder → its recordings: `root` alone, or sub-folders of it, one per machine.

    Raises:
        DatasetError: no recordings, some deeper or beside sub-folders with some, a sub-folder
            whose name says a split or label, half a pair.
    """
    found: list[tuple[Path, list[Recording]]] = []
    for folder, files, folders in walk(root):
        pairs = sorted(_pairs(recordings(files)) + _pairs_of_halves(folders), key=lambda r: r[0])
        for sub in folders:
            if sub.name.casefold() in _NO_MACHINES:
                raise DatasetError(f"{sub}: no name of a machine; give this folder itself, or a "
                                   "CSV file that says what its clips are")  # fmt: skip
        if pairs:
            found.append((folder, pairs))
    if not found:
        raise DatasetError(f"{root}: no clips; looked for DCASE machines (folders with train or "
                           "test in them) and for .wav and .flac files")  # fmt: skip
    for folder, _ in found:
        if folder != root and (folder.parent != root or found[0][0] == root):
            raise DatasetError(f"{folder}: recordings belong into {root} itself or into a "
                               "sub-folder of it per machine; or list them in a CSV")  # fmt: skip
    return found


def single_recording(path: Path) -> Recording:
    """The file; one of a pair by name brings the other.

    Raises:
        DatasetError: the other one of the pair is missing.
    """
    side = _side(path)
    beside = listing(path.parent)[0] if side else []
    files = [f for f in beside if (other := _side(f)) and other[0] == side[0]] if side else [path]
    return _pairs(recordings(files))[0]


def _side(path: Path) -> tuple[str, str] | None:
    """`x_near.wav` → (x.wav, near). In a DCASE name such an end is an attribute."""
    match = _SIDE.fullmatch(path.stem)
    if match is None or parse_name(path.name) is not None:
        return None
    return match[1] + path.suffix, match[2].lower()


def _pairs(files: list[Path]) -> list[Recording]:
    alone: list[Recording] = [(file, None) for file in files if _side(file) is None]
    sides = [(side, file) for file in files if (side := _side(file))]
    near, far = ({s[0]: f for s, f in sides if s[1] == which} for which in ("near", "far"))
    return alone + _joined(near, far)


def _pairs_of_halves(folders: list[Path]) -> list[Recording]:
    """Takes `near/` and `far/` out of the folders and joins what is in them by name."""
    halves = {sub.name.casefold(): sub for sub in folders if sub.name.casefold() in ("near", "far")}
    folders[:] = [sub for sub in folders if sub not in halves.values()]
    near, far = (
        {file.name: file for file in recordings(listing(halves[which])[0])}
        if which in halves
        else {}
        for which in ("near", "far")
    )
    return _joined(near, far)


def _joined(near: dict[str, Path], far: dict[str, Path]) -> list[Recording]:
    for key in sorted(near.keys() ^ far.keys()):  # the first by name is told, on every disk
        missing = "far" if key in near else "near"
        raise DatasetError(f"{near.get(key) or far[key]}: the {missing} microphone's file to it "
                           "is missing; add it, or name the two alike")  # fmt: skip
    return [(near[key], far[key]) for key in near]
