"""Many clips in an order, and where they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, overload

from nearfar.clips import folders, lists, moments, words
from nearfar.clips.clip import Clip
from nearfar.clips.folders import How
from nearfar.clips.pairs import FOREIGN, Recording, pairing
from nearfar.errors import DatasetError, SettingError, did_you_mean
from nearfar.runtime import urls
from nearfar.sound import audio
from nearfar.text import counted

StrPath = str | os.PathLike[str]
T = TypeVar("T")


class NoClips(DatasetError):
    """A place that can be read, but has no clips of the split asked for.

    >>> issubclass(NoClips, DatasetError)
    True
    """


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
        cls,
        root: StrPath,
        split: str | None = None,
        machines: Sequence[str] | None = None,
        *,
        pair: str | None = None,
        time_pattern: str | None = None,
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
            pair: see `open`.
            time_pattern: see `open`.

        Raises:
            DatasetError: no machines or clips, an unknown machine, a file name that is not of the
                DCASE form, a section in two folders, a folder that cannot be read.
            SettingError: an unknown split.
        """
        _check_split(split)
        return cls(_of_dcase(Path(root), split, machines, _how(pair, time_pattern)))

    @classmethod
    def from_folder(
        cls,
        folder: StrPath,
        machine: str | None = None,
        label: str | None = None,
        clip_seconds: float | None = None,
        *,
        split: str | None = None,
        pair: str | None = None,
        time_pattern: str | None = None,
    ) -> Clips:
        """List a folder of recordings of one machine, or with one sub-folder per machine.

        Names of folders may say more: days, times and recorders' own folders are no machines,
        `normal` and `abnormal` and their like are labels, `id_00` is a section. Two mono files make
        one clip if they have equal names in sub-folders `near/` and `far/`, or are called
        `*_near.wav` and `*_far.wav`, `*_Tr1` and `*_Tr2`, `*_ch1` and `*_ch2`. Names of the DCASE
        form are understood. A file that cannot be used for a reason that shows in its name becomes
        a clip with a `fault`.

        Args:
            folder: the folder; its name is the machine's (for `fan/test` that of the one above).
            machine: another name for it; its recordings then lie at any depth.
            label: "normal" or "anomaly" if that holds for all clips; else what names say.
            clip_seconds: see `open`.
            split: with "train" no folder of anomalies is opened.
            pair: see `open`.
            time_pattern: see `open`.

        Raises:
            DatasetError: no recordings, recordings at different depths without `machine`, a folder
                of anomalies to fit on, a folder that cannot be read.
            SettingError: `clip_seconds` below one second, a bad pattern.
        """
        how = _how(pair, time_pattern)
        found = folders.plain_clips(Path(folder), split, named=machine is not None, how=how)
        if label is not None:
            found = [replace(clip, label=label) for clip in found]
        clips = cls(found)
        renamed = clips if machine is None else cls(replace(c, machine=machine) for c in clips)
        return cls(lists.cut(renamed, clip_seconds))

    @classmethod
    def from_csv(
        cls, path: StrPath, clip_seconds: float | None = None, *, time_pattern: str | None = None
    ) -> Clips:
        """List the clips of a CSV file with a header line; commas, semicolons or tabs separate.

        Columns: `path` (or `near`), and where needed `far` (the second mono file), `start` and
        `stop` in seconds, `machine` (else the name of the CSV file's folder), `section`, `domain`,
        `split`, `label`, `attributes`, and `time`: when the recording, not the part of it, starts,
        in ISO 8601 (else the name of its file may tell), `near_channel` and `far_channel`: of a
        file of several channels, counted from 1. It is UTF-8, or UTF-16 with a mark at its
        beginning. Paths are relative to the CSV file; a URL as `s3://bucket/1.wav` is fetched by
        fsspec, and so is the CSV file itself. An empty cell says nothing.

        Args:
            path: the CSV file.
            clip_seconds: see `open`.
            time_pattern: see `open`.

        Raises:
            DatasetError: with file and line: an unknown column, a bad value, a clip twice.
            SettingError: `clip_seconds` below one second.
        """
        machine = words.place_of(urls.place(path).parent).machine
        clips = cls(lists.csv_clips(urls.place(path), machine, moments.clock(time_pattern)))
        if not clips:
            raise DatasetError(f"{path}: no clips below the header; add one line per clip")
        return cls(lists.cut(clips, clip_seconds))

    @classmethod
    def open(
        cls,
        data: StrPath | Iterable[StrPath],
        split: str | None = None,
        machines: Sequence[str] | None = None,
        machine: str | None = None,
        clip_seconds: float | None = None,
        *,
        channels: tuple[int, int] | None = None,
        pair: str | None = None,
        salvage: bool = False,
        time_pattern: str | None = None,
    ) -> Clips:
        """List whatever `data` is: a DCASE folder, a plain folder, a CSV file or one recording.

        Args:
            data: the folder or file, or several of them; a clip that is in two of them counts once.
            split: chooses DCASE folders, and CSV lines unless they say no split; plain recordings
                are listed in any case, but with "train" a folder called `test` or `abnormal` is
                refused, and folders of anomalies below are not opened.
            machines: only these machines.
            machine: another name for the only machine there is; recordings of plain folders then
                lie at any depth.
            clip_seconds: cut recordings into consecutive clips of this length, each with its span
                and time. What remains at the end is left out; a recording that is not longer stays
                whole, and so does one whose length cannot be read: reading it says why.
            channels: of near and far in files of several channels, counted from 1, for clips whose
                list does not say.
            pair: which names of mono files belong together, as "NEAR=*_1.wav,FAR=*_2.wav".
            salvage: take what sound a damaged file still has, with a warning.
            time_pattern: how names of files tell the time, as "%Y%m%d_%H%M%S"; else as recorders
                write it.

        Raises:
            DatasetError: nothing found, or as the other constructors say.
            SettingError: an unknown split, `clip_seconds` below one second, a bad pattern.
        """
        _check_split(split)
        _check_channels(channels)
        how = _how(pair, time_pattern)
        several: list[Any] = [data]
        if not isinstance(data, str | os.PathLike) and isinstance(data, Iterable):
            several = list(data)
        if not all(isinstance(one, str | os.PathLike) for one in several):
            raise SettingError(f"Clips.open takes a folder or a file, not {type(data).__name__}")
        if not several:
            raise DatasetError("no data given; name a folder, a CSV file or a recording")
        found: dict[Clip, None] = {}
        homes: dict[tuple[str, str, str], Path] = {}
        for one in several:
            clips = _listed(urls.place(one), split, machines, machine, how)
            chosen = _wanted(clips.machines, machines, str, one)
            clips = cls(clip for clip in clips if clip.machine in chosen)
            if not clips:
                # A CSV, which says its clips' split itself.
                listing = os.path.isfile(one) or urls.url_of(one) is not None
                where = "its column split" if listing else "its folders' names"
                raise NoClips(f"{one}: no {split or ''} clips in it; look at {where}")
            clips = _renamed(clips, machine, one)
            # Two years have machines of one name. Whoever says --machine has said that it is one.
            if len(several) > 1 and machine is None:
                folders.check_sets(clips, urls.place(one), homes)
            found |= dict.fromkeys(clips)
        said = (
            replace(c, channels=c.channels or (None if c.far else channels), salvage=salvage)
            for c in found
        )
        return cls(lists.cut(said, clip_seconds))


def _listed(
    data: Path, split: str | None, machines: Sequence[str] | None, machine: str | None, how: How
) -> Clips:
    if os.path.isdir(data):
        # Law 4: a folder that says of itself that it holds tests is not fitted on unasked.
        if split == "train" and folders.split_of(data) == "test":
            raise DatasetError(f"{data}: a test folder, whose clips are not fitted on or learnt; "
                               "give the training clips' folder, or rename this one")  # fmt: skip
        if tables := lists.tables_in(data, split):
            return _of_tables(tables, split, how)
        if folders.dcase_machines(data):
            return Clips(_of_dcase(data, split, machines, how))
        named = machine is not None
        clips = Clips(folders.plain_clips(data, split, named=named, how=how))
        if machine is None or machines is not None:
            return clips
        return Clips(replace(clip, machine=machine) for clip in clips)
    if (url := urls.url_of(data)) is None and not os.path.isfile(data):
        raise DatasetError(f"{data}: no such file or folder")
    if data.suffix.lower() == ".csv":
        return _of_tables([data], split, how)
    if data.suffix.lower() not in (*audio.SUFFIXES, *FOREIGN):
        if url is not None:  # nobody can tell a folder from a name before it is listed
            raise DatasetError(f"{data}: folders are not listed by URL; name the recordings in a "
                               "CSV file with a column path")  # fmt: skip
        raise DatasetError(f"{data}: neither a folder, a CSV file nor a WAV or FLAC recording")
    # One recording has the same machine, split and label as when its folder is opened.
    place = words.place_of(data.parent)
    if split == "train" and place.label == "anomaly":
        raise DatasetError(f"{data}: an anomaly by its folder's name; fit on recordings of normal "
                           "operation only")  # fmt: skip
    recording = folders.single_recording(data, how) if url is None else Recording(data)
    return Clips([folders.named_clip(recording, place, how.clock)])


def _of_tables(tables: Sequence[Path], split: str | None, how: How) -> Clips:
    found: list[Clip] = []
    for table in tables:
        clips = list(lists.csv_clips(table, words.place_of(table.parent).machine, how.clock))
        if not clips:
            raise DatasetError(f"{table}: no clips below the header; add one line per clip")
        found += clips
    # A line without a split belongs to any: whoever lists clips has chosen them.
    return Clips(c for c in found if split is None or c.split in (None, split))


def _of_dcase(
    root: Path, split: str | None, machines: Sequence[str] | None, how: How
) -> list[Clip]:
    # Before any clip is listed: a machine that nobody asked for may be unreadable.
    found = _wanted(folders.dcase_machines(root), machines, folders.base_name, root)
    clips = [clip for folder in found for clip in folders.dcase_clips(folder, split, how)]
    if not clips:  # one machine without the split is normal, all of them are a mistake
        names = ", ".join(n for n, s in words.SPLITS.items() if split in (None, s))
        raise NoClips(f"{root}: no {split or 'DCASE'} clips; looked for machines' folders "
                      f"with one of these in them: {names}")  # fmt: skip
    folders.check_once(clips)
    return clips


def _how(pair: str | None, time_pattern: str | None) -> How:
    return How(pairing(pair), moments.clock(time_pattern))


def _check_channels(channels: tuple[int, int] | None) -> None:
    if channels is None:
        return
    if (
        not isinstance(channels, tuple | list)
        or len(channels) != 2
        or not all(isinstance(c, int) and c >= 1 for c in channels)
        or channels[0] == channels[1]
    ):
        raise SettingError(f"channels {channels!r}; need two different ones, near and far, "
                           "counted from 1, as (3, 7)")  # fmt: skip


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
