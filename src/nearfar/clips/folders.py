"""Folders → clips: DCASE Task 2 data sets, 2020 to 2026, and plain folders of recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nearfar.clips import words
from nearfar.clips.clip import Clip, parse_name, told
from nearfar.clips.lists import table
from nearfar.clips.moments import Clock, time_of
from nearfar.clips.others import warn_of_others
from nearfar.clips.pairs import Pairing, Recording, beside, halves, joined, recordings, side_of
from nearfar.clips.words import SPLITS, Place
from nearfar.errors import DatasetError, warn
from nearfar.sound import audio
from nearfar.text import counted

_ASIDE = {"supplemental", "__macosx"}  # folders that hold no clips
_DEEPEST = 5  # folders below DATA in which a machine is looked for: data/dcase2026t2/…/raw/fan
_ENDLESS = 60  # folders below DATA in which recordings are; deeper no disk is


@dataclass(frozen=True)
class How:
    """How files of a folder are understood.

    >>> How().pair is None
    True
    """

    pair: Pairing | None = None  # else by the names that recorders give
    clock: Clock = time_of  # a file's name → when it began


HOW = How()


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
    folder: Path, above: tuple[str, ...] = (), deepest: int = _DEEPEST
) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Folder by folder, like os.walk: taken out of the last list, a folder is never opened."""
    real = os.path.realpath(folder)  # a link to a folder above would never end
    if real in above:
        raise DatasetError(f"{folder}: a symbolic link to a folder above it; remove the link")
    files, folders = listing(folder)
    yield folder, files, folders
    for sub in folders if len(above) < deepest else []:
        yield from walk(sub, (*above, real), deepest)


def split_of(folder: Path) -> str | None:
    """Which split the folder's name says it holds, if any."""
    return words.split_of(base_name(folder))


def base_name(folder: Path) -> str:
    """The folder's own name, also of `.` and `..`."""
    return os.path.basename(os.path.abspath(folder))


def named_clip(recording: Recording, place: Place, clock: Clock = time_of) -> Clip:
    """The clip, with what its name says if that is of the DCASE form, else its folders' names."""
    path, far, fault = recording
    name = parse_name(path.name)
    if name is None:
        return Clip(path, far, machine=place.machine, section=place.section, split=place.split,
                    label=place.label, time=clock(path.stem), fault=fault)  # fmt: skip
    split = place.split or name.split  # the folder counts: some years' names say none
    by_folder = "normal" if place.split == "train" else None  # so the data sets are made
    return Clip(path, far, machine=place.machine, section=name.section, domain=name.domain,
                split=split, label=name.label or place.label or by_folder,
                attributes=name.attributes, fault=fault)  # fmt: skip


# ---- DCASE ---------------------------------------------------------------------------------------


def dcase_machines(root: Path) -> list[Path]:
    """The machines' folders at or below `root`, sorted by name; no split folder is opened."""
    found = []
    for folder, _, folders in walk(root):
        if any(split_of(sub) for sub in folders):
            found.append(folder)
            folders.clear()  # law 4: nobody looks into a split folder to find machines
    return sorted(found, key=lambda folder: (base_name(folder), folder))


def dcase_clips(machine: Path, split: str | None, how: How = HOW) -> list[Clip]:
    """One machine's clips, training clips first; only folders of this split are opened."""
    held = {sub.name.casefold(): sub for sub in listing(machine)[1]}
    names = [n for n in SPLITS if n in held and split in (None, SPLITS[n])]
    if "test_rename" in names and "test" in names:
        names.remove("test")  # the same clips under other names
    name = base_name(machine)
    clips = [clip for n in names for clip in _split_clips(held[n], name, SPLITS[n], how)]
    return _with_listed_attributes(machine, clips)


def _split_clips(folder: Path, machine: str, split: str, how: How) -> list[Clip]:
    """The clips of `train/` and its like; class folders in it, as `test/broken`, are labels."""
    clips = []
    for sub, files, folders in walk(folder, deepest=_ENDLESS):
        place = replace(words.place_of(sub), machine=machine, split=split)
        warn_of_others(files)
        found = recordings(files, how.pair) + _pairs_of_halves(folders)
        if sub == folder:
            for recording in found:
                _check_name(recording, split)
        clips += [named_clip(recording, place, how.clock) for recording in found]
    if not clips:
        raise DatasetError(f"{folder}: no sound files; fill the folder or remove it")
    return clips


def _check_name(recording: Recording, split: str) -> None:
    """In a split folder itself free names are a mistake: nothing says what they are."""
    path, name = recording.path, parse_name(recording.path.name)
    if name is None and not recording.fault:
        raise DatasetError(
            f"{path}: no DCASE name like section_00_source_train_normal_0000_noAttribute.wav; "
            "rename it, or put free names into class folders as train/good, test/broken, or into "
            "a folder named as the machine"
        )
    if name is not None and name.split not in (None, split):
        raise DatasetError(f"{path}: a {name.split} clip by name in a {split} folder; move it")


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
    files: dict[tuple[str, str, str | None, str, str], Path] = {}
    for clip in clips:
        # fan/train/x.wav → fan: train and test of a section may lie apart, two trains may not
        key, home = (clip.machine, clip.section, clip.split), _home(clip.path)
        if homes.setdefault(key, home) != home:
            raise DatasetError(f"{clip.machine}, section {clip.section}: {clip.split} clips in "
                               f"{homes[key]} and in {home}; give one of them")  # fmt: skip
        # In class folders equal names are usual: test/good/1.wav, test/broken/1.wav.
        beside = "" if split_of(clip.path.parent) else clip.path.parent.name
        if files.setdefault((*key, beside, clip.file), clip.path) != clip.path:
            first = files[(*key, beside, clip.file)]
            raise DatasetError(f"{clip.path}: also in {first.parent}; remove one")


def check_sets(clips: Iterable[Clip], root: Path, homes: dict[tuple[str, str, str], Path]) -> None:
    """Refuse a machine that is in two data sets given together.

    Args:
        clips: of one of them.
        root: where that one lies.
        homes: machine, section and split → its folder, of those before; those of this one are
            added. Training and test clips of one machine may lie apart.

    Raises:
        DatasetError: two data sets have it; both folders are named.
    """
    if not root.is_dir():  # a list says of each clip whose it is
        return
    # Of a split folder that is given itself nobody knows which set it is of.
    lie = {
        (c.machine, c.section, c.split, _home(c.path))
        for c in clips
        if c.split and any(split_of(up) for up in c.path.relative_to(root).parents)
    }
    for machine, section, split, folder in sorted(lie):
        home = folder.resolve()
        first = homes.setdefault((machine, section, split), home)
        if first != home:
            raise DatasetError(
                f"{machine}, section {section}: {split} clips in {first} and in {home}, which may "
                "be two years' machines; give one of them, or list clips of both in a CSV"
            )


def _home(file: Path) -> Path:
    """The machine's folder: the one above the split folder."""
    return next((up.parent for up in file.parents if split_of(up)), file.parent.parent)


# ---- plain recordings ----------------------------------------------------------------------------


def plain_clips(
    root: Path, split: str | None = None, *, named: bool = False, how: How = HOW
) -> list[Clip]:
    """The recordings at and below `root`, whose folders' names say what they are.

    Args:
        root: one machine's folder, or one that holds folders of machines.
        split: with "train" no folder is opened whose name says that it holds anomalies (law 4).
        named: the machine has a name already, so any folders may lie in each other.
        how: how files pair and tell their time.

    Raises:
        DatasetError: no recordings, a split folder, a folder of anomalies to fit on, or folders
            that leave open which machine is which.
    """
    if split == "train" and words.place_of(root).label == "anomaly":
        raise DatasetError(f"{root}: a folder of anomalies by its name; fit on recordings of "
                           "normal operation only")  # fmt: skip
    clips, places, aside = [], set(), []
    for folder, files, folders in walk(root, deepest=_ENDLESS):
        warn_of_others(files)
        found = recordings(files, how.pair) + _pairs_of_halves(folders)
        for sub in folders:
            if split_of(sub):
                raise DatasetError(f"{sub}: a split, no machine; give the folder above it as a "
                                   "DCASE data set, or this folder itself")  # fmt: skip
        if split == "train":
            aside += [sub for sub in folders if words.label_of(sub.name) == "anomaly"]
            folders[:] = [sub for sub in folders if sub not in aside]
        if found:
            found.sort(key=lambda recording: recording.path)
            places.add(folder)
            place = words.place_of(folder)
            clips += [named_clip(recording, place, how.clock) for recording in found]
    if not clips:
        raise DatasetError(_nothing(root, aside, how.pair))
    if aside:  # said, for a machine might be called so
        warn(f"{root}: not fitted on, anomalies by their folders' names: {_few(aside, root)}")
    if not named:
        _check_depths(root, places)
    return clips


def _nothing(root: Path, aside: list[Path], pair: Pairing | None) -> str:
    if aside:
        return (f"{root}: only anomalies by their folders' names ({_few(aside, root)}); fit on "
                "recordings of normal operation")  # fmt: skip
    if pair is not None and (sounds := _sounds(root)):
        return (f"{root}: --pair NEAR={pair.near},FAR={pair.far} fits none of "
                f"{counted(len(sounds), 'file')}, such as {sounds[0]}; say how they are called"
                )  # fmt: skip
    return (f"{root}: no clips; looked for DCASE machines (folders with train or test in them) "
            f"and for {', '.join(audio.SUFFIXES)} files")  # fmt: skip


def _sounds(root: Path) -> list[str]:
    """Names of all sound files below a folder."""
    return [file.name for _, files, _ in walk(root, deepest=_ENDLESS) for file in files
            if file.suffix.lower() in audio.SUFFIXES]  # fmt: skip


def _few(folders: list[Path], root: Path) -> str:
    names = [str(folder.relative_to(root)) for folder in folders]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_depths(root: Path, places: Iterable[Path]) -> None:
    """All recordings are the root's own machine, or each lies in a machine's folder below it."""
    depths = {folder: _machines_between(root, folder) for folder in sorted(places)}
    for folder, depth in depths.items():
        if depth > 1 or depth != min(depths.values()):
            raise DatasetError(
                f"{folder}: whose recordings? If all of {root} are one machine's, say "
                "--machine NAME; else give every machine a folder of its own in it, or list them "
                "in a CSV"
            )


def _machines_between(root: Path, folder: Path) -> int:
    parts = Path(os.path.abspath(folder)).parts
    own = len(Path(os.path.abspath(root)).parts)
    return sum(
        words.names_machine(parts[i], parts[max(i - 2, 0) : i]) for i in range(own, len(parts))
    )


def single_recording(path: Path, how: How = HOW) -> Recording:
    """The file; one of a pair by name brings the other."""
    alone = side_of(path, how.pair) is None
    return beside(path, [path] if alone else listing(path.parent)[0], how.pair)


def _pairs_of_halves(folders: list[Path]) -> list[Recording]:
    """Takes near/ and far/, or ch1/ and ch2/, out of the folders; joins what is in them by name."""
    found: list[Recording] = []
    for both in halves(folders):
        sides: list[dict[str, Path]] = []
        for half in both:
            files = listing(half)[0] if half != Path() else []
            warn_of_others(files)
            found += [r for r in recordings(files) if r.fault]  # foreign ones
            sides.append({f.name: f for f in files if f.suffix.lower() in audio.SUFFIXES})
        found += joined(*sides)
    return found
