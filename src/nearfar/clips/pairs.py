"""Files → recordings: near and far files that belong together, and what is wrong with a file."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from nearfar.clips.clip import parse_name
from nearfar.errors import SettingError, printable, warn
from nearfar.sound import audio
from nearfar.text import LEFT_OUT, alike, counted

LOSSY = {".3gp", ".aac", ".ac3", ".amr", ".m4a", ".m4b", ".mka", ".mp2", ".mp3", ".mpc", ".oga",
         ".ogg", ".opus", ".ra", ".spx", ".weba", ".wma"}  # fmt: skip
FOREIGN = LOSSY | {".aifc", ".alac", ".ape", ".caf", ".dff", ".dsf", ".sd2", ".snd", ".tta",
                   ".voc", ".wv"}  # fmt: skip
# How recorders and people mark the two files; only what is never anything else.
# What ends a name, or names a folder, and which microphone it tells.
SIDES = {"near": "near", "far": "far", "tr1": "near", "tr2": "far", "ch1": "near", "ch2": "far"}
_SIDE = re.compile(r"(.+)_(near|far|tr[0-9]|ch[0-9])", re.DOTALL | re.IGNORECASE)
_HALVES = (("near", "far"), ("ch1", "ch2"), ("tr1", "tr2"))  # folders


class Recording(NamedTuple):
    """A file, or a near and a far one, and why it cannot be used if that shows already.

    >>> Recording(Path("1_near.wav"), Path("1_far.wav")).fault
    ''
    """

    path: Path
    far: Path | None = None
    fault: str = ""


@dataclass(frozen=True)
class Pairing:
    """Which names belong together, as somebody says it; the starred parts must agree.

    Raises:
        SettingError: see `pairing`.

    >>> pairing("NEAR=*_1.wav,FAR=*_2.wav").side("a_2.WAV")
    ('a', 'far')
    """

    near: str
    far: str

    def __post_init__(self) -> None:
        for which, pattern in (("NEAR", self.near), ("FAR", self.far)):
            if pattern.count("*") != 1:
                raise SettingError(f"pair: {which}={pattern} needs one *, as in {_EXAMPLE}")
            if "/" in pattern or "\\" in pattern:
                raise SettingError(f"pair: {which}={pattern} goes by names of files alone, without "
                                   f"folders; as in {_EXAMPLE}")  # fmt: skip
        if self.near.casefold() == self.far.casefold():
            raise SettingError(f"pair: {self.near} is near and far; say two patterns")

    def side(self, name: str) -> tuple[str, str] | None:
        """The starred part and the side of a file's name, None if it fits neither pattern."""
        for which, pattern in (("near", self.near), ("far", self.far)):
            before, after = pattern.casefold().split("*")
            if (name.casefold().startswith(before) and name.casefold().endswith(after)
                    and len(name) > len(before) + len(after)):  # fmt: skip
                return name[len(before) : len(name) - len(after)], which
        return None


_EXAMPLE = "'NEAR=*_1.wav,FAR=*_2.wav'"


def pairing(text: str | None) -> Pairing | None:
    """Read `NEAR=*_1.wav,FAR=*_2.wav`.

    Raises:
        SettingError: not of that form.
    """
    if text is None:
        return None
    parts = [piece.partition("=") for piece in text.split(",")]
    given = {key.strip().casefold(): value.strip() for key, _, value in parts}
    if len(parts) != 2 or set(given) != {"near", "far"}:
        raise SettingError(f"pair {text!r}: say which names are near and which far, as {_EXAMPLE}")
    return Pairing(given["near"], given["far"])


def recordings(files: Iterable[Path], chosen: Pairing | None = None) -> list[Recording]:
    """The recordings among files of one folder, by name; what is not readable as one has a fault.

    Args:
        files: of one folder.
        chosen: how they pair; else by `_near`, `_far`, `_Tr1`, `_Tr2`, `_ch1`, `_ch2`.
    """
    files = list(files)
    sounds = [file for file in files if file.suffix.lower() in audio.SUFFIXES]
    found = [Recording(f, fault=foreign(f)) for f in files if f.suffix.lower() in FOREIGN]
    found += _paired_as(sounds, chosen) if chosen else _paired(sounds)
    return sorted(found, key=lambda recording: recording.path)


def foreign(file: Path) -> str:
    """Why a sound file of another format is not read, and the way out."""
    # With its folder: it is typed where nearfar was called.
    line = f"ffmpeg -i {shlex.quote(str(file))} {shlex.quote(str(file.with_suffix('.wav')))}"
    # A message has 500 characters, and a name that is escaped in it cannot be copied from there.
    if len(line) > 200 or not str(file).isprintable():
        line = f"ffmpeg -i OLD{file.suffix} NEW.wav"
    lost = ("; what its codec removed stays lost, better record without loss"
            if file.suffix.lower() in LOSSY else "")  # fmt: skip
    return (f"{file}: {file.suffix.lower()[1:]} is not read; convert it, {line}{lost}; "
            "or leave it out with --skip-bad")  # fmt: skip


def halves(folders: list[Path]) -> list[list[Path]]:
    """Takes near/ and far/, ch1/ and ch2/ or tr1/ and tr2/ out of the folders, as [near, far]."""
    found: list[list[Path]] = []
    by_name = {sub.name.casefold(): sub for sub in folders}
    for near, far in _HALVES:
        both = [by_name[name] for name in (near, far) if name in by_name]
        # ch1 alone may be anything, near alone is half a recording.
        if len(both) == 2 or (both and near == "near"):
            found.append([by_name.get(near, Path()), by_name.get(far, Path())])
            folders[:] = [sub for sub in folders if sub not in both]
    return found


def joined(near: dict[str, Path], far: dict[str, Path]) -> list[Recording]:
    """Pairs by key; what has no partner has a fault.

    Args:
        near, far: by what the two names share. It may end differently, in .wav and .WAV or .flac,
            where that leaves one way to pair.
    """
    renamed = {b: a for a, b in _loosely(near.keys() - far.keys(), far.keys() - near.keys())}
    far = {renamed.get(key, key): file for key, file in far.items()}
    found = [Recording(near[key], far[key]) for key in sorted(near.keys() & far.keys())]
    for key in sorted(near.keys() ^ far.keys()):
        missing = "far" if key in near else "near"
        file = near.get(key) or far[key]
        found.append(Recording(file, fault=f"{file}: the {missing} microphone's file to it is "
                     "missing; add it or name the two alike, or leave it out with "
                     "--skip-bad"))  # fmt: skip
    return found


def _loosely(some: Iterable[str], others: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Keys that differ in the endings of sound files alone, each with its only partner."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for side, keys in enumerate((some, others)):
        for key in keys:
            stem, suffix = os.path.splitext(key)
            loose = stem if suffix.lower() in audio.SUFFIXES else key
            found.setdefault(loose, ([], []))[side].append(key)
    for ones, twos in found.values():
        if len(ones) == len(twos) == 1:
            yield ones[0], twos[0]


def side_of(path: Path, chosen: Pairing | None = None) -> tuple[str, str] | None:
    """`x_near.wav` → (x.wav, near). In a DCASE name such an end is an attribute."""
    if chosen is not None:
        return chosen.side(path.name)
    match = _SIDE.fullmatch(path.stem)
    if match is None or parse_name(path.name) is not None:
        return None
    family = "side" if match[2].lower() in ("near", "far") else match[2].lower()[:2]
    return f"{family}|{match[1]}{path.suffix}", match[2].lower()


def _paired_as(files: Sequence[Path], chosen: Pairing) -> list[Recording]:
    sides = [(side, file) for file in files if (side := chosen.side(file.name))]
    near, far = ({s[0]: f for s, f in sides if s[1] == which} for which in ("near", "far"))
    # One line: they are as many as there are times that were recorded.
    neither = {
        f"{LEFT_OUT}{(name := printable(str(file)))}: neither near nor far by --pair": name
        for file in files
        if not chosen.side(file.name)
    }
    if neither and not sides:  # a pattern that is wrong: no name of a file tells more
        folder = printable(str(files[0].parent))
        told = f"{counted(len(neither), 'file')}, none of them near or far by --pair"
        neither = {f"{LEFT_OUT}{folder}: {told}": folder}
    for line in alike(neither, neither):
        warn(line)
    return joined(near, far)


def _paired(files: Sequence[Path]) -> list[Recording]:
    groups: dict[str, dict[str, Path]] = {}  # what they share → its ends
    found = []
    for file in files:
        if side := side_of(file):
            groups.setdefault(side[0], {})[side[1]] = file
        else:
            found.append(Recording(file))
    lone: dict[str, list[str]] = {side: [] for side in ("near", "far")}
    for key, ends in groups.items():
        if len(ends) == 1 and (which := SIDES.get(next(iter(ends)))):
            lone[which].append(key)
    for key, other in _loosely(lone["near"], lone["far"]):
        groups[key] |= groups.pop(other)
    near: dict[str, Path] = {}
    far: dict[str, Path] = {}
    complete = any(_is_pair(ends) for ends in groups.values())
    for key, ends in groups.items():
        if set(ends) - set(SIDES):
            found += [Recording(file, fault=_tracks(file, ends)) for file in ends.values()]
        elif set(ends) in ({"tr1"}, {"ch1"}) and not complete:
            found.append(
                Recording(next(iter(ends.values())))
            )  # one microphone, as recorders call it
        else:
            for end, file in ends.items():
                (near if SIDES[end] == "near" else far)[key] = file
    return found + joined(near, far)


def _is_pair(ends: dict[str, Path]) -> bool:
    return {SIDES.get(end) for end in ends} == {"near", "far"}


def _tracks(file: Path, ends: dict[str, Path]) -> str:
    two = sorted(path.name.rpartition("_")[2] for path in ends.values())[:2]
    near, far = (two * 2)[:2]
    return (f"{file}: one of {len(ends)} tracks; say which two are near and far, as in "
            f"--pair 'NEAR=*_{near},FAR=*_{far}', or leave it out with --skip-bad")  # fmt: skip


def beside(path: Path, files: Iterable[Path], chosen: Pairing | None = None) -> Recording:
    """The recording that a file is, or is half of; `files` are those of its folder."""
    own = side_of(path, chosen)
    # By name alone: the same file may be reached through two paths.
    for recording in recordings(files, chosen) if own else []:
        names = {os.path.basename(p) for p in (recording.path, recording.far) if p}
        if path.name in names:
            return recording
    return recordings([path])[0]
