"""Many clips in an order, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, overload

from nearfar.clips import folders, lists
from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, SettingError, did_you_mean
from nearfar.sound import audio
from nearfar.text import counted

StrPath = str | os.PathLike[str]
T = TypeVar("T")


class Clips(Sequence[Clip]):
    """Clips in a fixed order, unchangeable; a slice or a sum of `Clips` is `Clips`.

    >>> fan, pump = (Clips([Clip(Path(f"{m}.wav"), machine=m)]) for m in ("fan", "pump"))
    >>> both = fan + pump
    >>> both
    <Clips: 2 clips, machines: fan, pump>
    >>> both.select(machine="pump") == both[1:] == pump
    True
    """

    def __init__(self, clips: Iterable[Clip] = ()) -> None:
        self._clips = tuple(clips)  # hashable, and safe to give to other processes
        if isinstance(clips, str) or not all(isinstance(clip, Clip) for clip in self._clips):
            raise SettingError("Clips are made of clips; those of a folder by Clips.open(folder)")

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> Clips: ...
    def __getitem__(self, index: int | slice) -> Clip | Clips:
        return Clips(self._clips[index]) if isinstance(index, slice) else self._clips[index]

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)

    def __add__(self, other: Clips) -> Clips:
        return Clips(self._clips + other._clips) if isinstance(other, Clips) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clips) and self._clips == other._clips

    def __hash__(self) -> int:
        return hash(self._clips)

    def __repr__(self) -> str:
        return (
            f"<Clips: {counted(len(self), 'clip')}, machines: {', '.join(self.machines) or 'none'}>"
        )

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines' names, sorted."""
        return tuple(sorted({clip.machine for clip in self}))

    def by_section(self) -> dict[tuple[str, str], Clips]:
        """(machine, section) → its clips in their order; keys sorted."""
        groups = by_section(self)
        # Sorted: results come in one order, however the clips were given.
        return {key: Clips(self._clips[i] for i in groups[key]) for key in sorted(groups)}

    def select(
        self,
        split: str | None = None,
        label: str | None = None,
        domain: str | None = None,
        machine: str | None = None,
    ) -> Clips:
        """The clips whose fields have these values; `None` asks nothing."""
        asked = {"split": split, "label": label, "domain": domain, "machine": machine}
        given = {field: value for field, value in asked.items() if value is not None}
        return Clips(c for c in self if all(getattr(c, f) == v for f, v in given.items()))

    @classmethod
    def from_dcase(
        cls, root: StrPath, split: str | None = None, machines: Sequence[str] | None = None
    ) -> Clips:
        """List a DCASE Task 2 data set, 2020 to 2026.

        A machine is a folder that holds `train/`, `test/`, `source_test/` and `target_test/`
        (2021) or `test_rename/`; `root` is one, or holds them at most five folders deep, as in
        `dcase2026t2/dev_data/raw/fan`. `test_rename/` (labelled copies of evaluation clips, made
        by the official tool) replaces `test/`. `supplemental/` and hidden files are not listed.
        A machine without a folder of the wanted split has no clips.
        A training clip without a label in its name is normal: so the data sets are made. Where no
        name of a section has a tail, `attributes_<section>.csv` is asked, joined by base name.

        Args:
            root: the data set, a part of it, or one machine's folder.
            split: "train", "test" or None for both; with "train" no test folder is opened.
            machines: only these; the folders of others are not opened.

        Raises:
            DatasetError: no machines or clips, an unknown machine, a file name that is not of the
                DCASE form, a section in two folders, a folder that cannot be read.
            SettingError: an unknown split.
        """
        _check_split(split)
        found = folders.dcase_machines(Path(root))
        # Before any clip is listed: a machine that nobody asked for may be unreadable.
        found = _wanted(found, machines, folders.base_name, root)
        clips = cls(clip for folder in found for clip in folders.dcase_clips(folder, split))
        if not clips:  # one machine without the split is normal, all of them are a mistake
            names = ", ".join(n for n, s in folders.SPLITS.items() if split in (None, s))
            raise DatasetError(f"{root}: no {split or 'DCASE'} clips; looked for machines' folders "
                               f"with one of these in them: {names}")  # fmt: skip
        folders.check_once(clips)
        return clips

    @classmethod
    def from_folder(
        cls,
        folder: StrPath,
        machine: str | None = None,
        label: str | None = None,
        clip_seconds: float | None = None,
    ) -> Clips:
        """List a folder of recordings of one machine, or with one sub-folder per machine.

        Two mono files make one clip if they have equal names in sub-folders `near/` and `far/`, or
        are called `*_near.wav` and `*_far.wav`. Names of the DCASE form are understood.

        Args:
            folder: the folder; its name is the machine's (for `fan/test` that of the one above).
            machine: another name for it.
            label: "normal" or "anomaly" if that holds for all clips; else what their names say.
            clip_seconds: see `open`.

        Raises:
            DatasetError: no recordings, a near file without its far one or the reverse, recordings
                at different depths, a sound file that is not WAV or FLAC, a folder that cannot be
                read.
            SettingError: `clip_seconds` below one second.
        """
        # The machine's name is said by the folder, for names of the DCASE form say none.
        clips = cls(
            folders.named_clip(recording, folders.machine_of(place), folders.split_of(place))
            for place, recordings in folders.plain_recordings(Path(folder))
            for recording in recordings
        )
        if label is not None:
            clips = cls(replace(clip, label=label) for clip in clips)
        return cls(lists.cut(_renamed(clips, machine, folder), clip_seconds))

    @classmethod
    def from_csv(cls, path: StrPath, clip_seconds: float | None = None) -> Clips:
        """List the clips of a CSV file with a header line, UTF-8, separated by commas.

        Columns: `path` (or `near`), and where needed `far` (the second mono file), `start` and
        `stop` in seconds, `machine` (else the name of the CSV file's folder), `section`, `domain`,
        `split`, `label`, `attributes`, and `time`: when the recording, not the part of it, starts,
        in ISO 8601. Paths are relative to the CSV file. An empty cell says nothing.

        Args:
            path: the CSV file.
            clip_seconds: see `open`.

        Raises:
            DatasetError: with file and line: an unknown column, a bad value, a clip twice.
            SettingError: `clip_seconds` below one second.
        """
        clips = cls(lists.csv_clips(Path(path), folders.machine_of(Path(path).parent)))
        if not clips:
            raise DatasetError(f"{path}: no clips below the header; add one line per clip")
        return cls(lists.cut(clips, clip_seconds))

    @classmethod
    def open(
        cls,
        data: StrPath,
        split: str | None = None,
        machines: Sequence[str] | None = None,
        machine: str | None = None,
        clip_seconds: float | None = None,
    ) -> Clips:
        """List whatever `data` is: a DCASE folder, a plain folder, a CSV file or one recording.

        Args:
            data: the folder or file.
            split: chooses DCASE folders, and CSV lines unless they say no split; plain recordings
                are listed in any case, but with "train" a folder called `test` is refused.
            machines: only these machines.
            machine: another name for the only machine there is.
            clip_seconds: cut recordings into consecutive clips of this length, each with its span
                and time. What remains at the end is left out; a recording that is not longer stays
                whole, and so does one whose length cannot be read: reading it says why.

        Raises:
            DatasetError: nothing found, or as the other constructors say.
            SettingError: an unknown split, `clip_seconds` below one second.
        """
        _check_split(split)
        if not isinstance(data, str | os.PathLike):  # a list of files is the commonest
            raise SettingError(f"Clips.open takes a folder or a file, not {type(data).__name__}")
        clips = _listed(Path(data), split, machines)
        chosen = _wanted(clips.machines, machines, str, data)
        clips = cls(clip for clip in clips if clip.machine in chosen)
        if not clips:
            raise DatasetError(f"{data}: no {split or ''} clips in it; look at its folders' names")
        return cls(lists.cut(_renamed(clips, machine, data), clip_seconds))


def _listed(data: Path, split: str | None, machines: Sequence[str] | None) -> Clips:
    if os.path.isdir(data):
        # Law 4: a folder that says of itself that it holds tests is not fitted on unasked.
        if split == "train" and folders.split_of(data) == "test":
            raise DatasetError(f"{data}: a test folder; fit on the folder of training clips, or "
                               "rename it if its clips are for fitting")  # fmt: skip
        if folders.dcase_machines(data):
            return Clips.from_dcase(data, split, machines)
        return Clips.from_folder(data)
    if not os.path.isfile(data):
        raise DatasetError(f"{data}: no such file or folder")
    if data.suffix.lower() == ".csv":
        # A line without a split belongs to any: whoever lists clips has chosen them.
        return Clips(c for c in Clips.from_csv(data) if split is None or c.split in (None, split))
    if data.suffix.lower() not in audio.SUFFIXES:
        raise DatasetError(f"{data}: neither a folder, a CSV file nor a WAV or FLAC recording")
    # One recording has the same machine and split as when its folder is opened.
    machine, of_folder = folders.machine_of(data.parent), folders.split_of(data.parent)
    return Clips([folders.named_clip(folders.single_recording(data), machine, of_folder)])


def by_section(clips: Iterable[Clip]) -> dict[tuple[str, str], list[int]]:
    """(machine, section) → where its clips are among these; keys as they come first."""
    groups: dict[tuple[str, str], list[int]] = {}
    for place, clip in enumerate(clips):
        groups.setdefault((clip.machine, clip.section), []).append(place)
    return groups


def _check_split(split: str | None) -> None:
    if split not in (None, "train", "test"):
        raise SettingError(f"split {split!r}; it is 'train', 'test' or None for both")


def _wanted(
    found: Sequence[T], machines: Sequence[str] | None, name_of: Callable[[T], str], where: StrPath
) -> list[T]:
    if machines is None or not found:  # that nothing is there is told better by the caller
        return list(found)
    # A single name would otherwise be taken for machines of one letter each.
    names = (machines,) if isinstance(machines, str) else tuple(machines)
    known = {name_of(one) for one in found}
    for name in names:
        if name not in known:
            raise DatasetError(f"{where}: no machine {name!r}; {did_you_mean(name, known)}")
    return [one for one in found if name_of(one) in names]


def _renamed(clips: Clips, machine: str | None, where: StrPath) -> Clips:
    if machine is None:
        return clips
    if len(clips.machines) > 1:
        raise DatasetError(f"{where}: machines {', '.join(clips.machines)}; {machine!r} can name "
                           "only one, give that one's folder")  # fmt: skip
    return Clips(replace(clip, machine=machine) for clip in clips)
