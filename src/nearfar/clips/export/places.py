"""Where each clip's file goes in an exported folder, and its row in the table beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from nearfar.clips import words
from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError

SPLITS = ("train", "test")
COLUMNS = ("file_name", "machine", "section", "domain", "label", "attributes", "split")
# Suffixes that the datasets library takes for sound, and ours that it calls otherwise.
_TAKEN = {".wav", ".flac", ".w64", ".rf64", ".aiff", ".au"}
_CALLED = {".aif": ".aiff"}
_LONGEST = 120  # characters of a file's name, below what any file system takes


def split_of(clip: Clip) -> str:
    """The folder of a clip: its split; of none that of normal clips, or of those to be judged.

    >>> split_of(Clip("a.wav")), split_of(Clip("a.wav", label="anomaly"))
    ('train', 'test')
    """
    return clip.split or ("test" if clip.label == "anomaly" else "train")


def places(clips: Iterable[Clip], rewritten: Iterable[bool]) -> Iterator[PurePosixPath]:
    """Each clip's file within the folder, as train/MACHINE/NAME; no two are the same.

    Args:
        clips: of any machines.
        rewritten: is each written anew, as a WAV file? Else it keeps its kind.

    >>> [str(p) for p in places([Clip("a/1.wav"), Clip("b/1.wav")], [False, False])]
    ['train/machine/1.wav', 'train/machine/1_2.wav']
    """
    taken: set[str] = set()
    folders: dict[str, str] = {}
    for clip, anew in zip(clips, rewritten, strict=True):
        folder = folders.setdefault(clip.machine, _folder(clip.machine))
        stem, suffix = _plain(clip.path.stem) or "clip", _suffix(clip, anew)
        if clip.start or clip.stop is not None:  # parts of one recording are told by their span
            stem += f"_{clip.start:g}-{'end' if clip.stop is None else f'{clip.stop:g}s'}"
        for name in _names(stem[-_LONGEST:], suffix, clip):
            place = PurePosixPath(split_of(clip), folder, name)
            # Letters of any case: on some disks they are one file.
            if str(place).casefold() not in taken:
                taken.add(str(place).casefold())
                yield place
                break


def _names(stem: str, suffix: str, clip: Clip) -> Iterator[str]:
    """Names from the plainest on; MIMII numbers the clips of each section and label alike."""
    yield stem + suffix
    if clip.section != "00":
        yield f"{stem}_id_{_plain(clip.section)}{suffix}"
        yield f"{stem}_id_{_plain(clip.section)}_{clip.label or 'unlabelled'}{suffix}"
    number = 2
    while True:
        yield f"{stem}_{number}{suffix}"
        number += 1


def _folder(machine: str) -> str:
    name = _plain(machine)[-_LONGEST:] or "machine"
    # Read back, a folder called `broken` would say that its clips are anomalies.
    return "machine" if words.label_of(name) else name


def _plain(name: str) -> str:
    """A name that any file system, any table and any address can hold."""
    return re.sub(r"[^\w.()+=, -]|[\ud800-\udfff]", "_", name).strip(" .")


def _suffix(clip: Clip, anew: bool) -> str:
    suffix = clip.path.suffix.lower()
    if anew:
        return ".wav"
    return suffix if suffix in _TAKEN else _CALLED.get(suffix, ".wav")


def row(clip: Clip, place: PurePosixPath, channels: tuple[int, int] | None) -> dict[str, str]:
    """A clip's row in the table of its split; what nobody knows is empty.

    Args:
        clip: as listed.
        place: of its file, as `places` gives it.
        channels: of near and far in that file, counted from 1; None of a file of one.

    Raises:
        DatasetError: a name that no table can hold.
    """
    known = {
        "file_name": str(PurePosixPath(*place.parts[1:])), "machine": clip.machine,
        "section": clip.section, "domain": clip.domain or "", "label": clip.label or "",
        "attributes": clip.attributes, "split": clip.split or "",
        "time": "" if clip.time is None else clip.time.isoformat(),
        "near_channel": "" if channels is None else str(channels[0]),
        "far_channel": "" if channels is None else str(channels[1]),
    }  # fmt: skip
    for name in ("machine", "section", "attributes"):
        text = known[name]
        if not text.isprintable() or text != text.strip():
            raise DatasetError(
                f"{clip.path}: its {name} is {text!r}, which no table can hold; give it another "
                "name, in a list or with machine='NAME'"
            )
    return known


def told_columns(rows: Iterable[Mapping[str, str]], usual_order: bool) -> tuple[str, ...]:
    """The columns of the table: time and channels only where there is anything to tell.

    Args:
        rows: of all splits, for tables of one data set have the same columns.
        usual_order: is the first channel near and the second far, wherever there are two?
    """
    timed = any(one["time"] for one in rows)
    channels = () if usual_order else ("near_channel", "far_channel")
    return (*COLUMNS, *(("time",) if timed else ()), *channels)
