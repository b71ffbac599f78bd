"""Zips of anyone, read with care: what is in them is looked at, never unpacked.

Names that lead out of the zip, links, locked files, and files that blow up to more than a package
can hold are told and not touched.
"""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from nearfar.errors import FormatError
from nearfar.scores.truth import place, shown

SUFFIX = ".zip"
MOST_FILES = 2_000  # a package of four systems has less than a hundred
LARGEST = 300_000  # bytes of a table; one of 200 clips has ten thousand, of 2020 seventy
LARGEST_REPORT = 200_000_000  # bytes
_JUNK = re.compile(
    r"(?:.*/)?(?:__MACOSX(?:/.*)?|\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini)", re.I
)
_BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
    NotImplementedError, ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class ZipContents:
    """What a zip holds.

    >>> ZipContents(Path("a.zip"), {}, {"../a": "leads out"}).names
    ()
    """

    path: Path
    entries: Mapping[str, zipfile.ZipInfo]  # safe ones, by name
    refused: Mapping[str, str] = field(default_factory=dict)  # name → why, and what to do
    junk: tuple[str, ...] = ()  # what systems leave in zips

    @classmethod
    def open(cls, path: Path) -> ZipContents:
        """Look at a zip.

        Raises:
            FormatError: it cannot be read, is none, or has too many files.
        """
        try:
            with zipfile.ZipFile(path) as opened:
                infos = opened.infolist()
        except IsADirectoryError:
            raise FormatError(f"{place(path)}: a folder; zip it, and look at the zip") from None
        except OSError as error:  # in front of the others, of which it is one
            raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None
        except _BROKEN as error:
            why = shown(error, 80)
            raise FormatError(
                f"{place(path)}: no zip, or a damaged one ({why}); zip the package again"
            ) from None
        if len(infos) > MOST_FILES:
            raise FormatError(
                f"{place(path)}: {len(infos):,} files are no package; zip the folder task2/ alone"
            )
        entries: dict[str, zipfile.ZipInfo] = {}
        refused: dict[str, str] = {}
        junk = []
        for info in infos:
            name = info.orig_filename  # as it stands in the zip: Python mends some names
            if why := _unsafe(name, info, entries):
                refused[name] = why
            elif _JUNK.fullmatch(name):
                junk.append(name)
            elif not info.is_dir():
                entries[name] = info
        return cls(path, entries, refused, tuple(junk))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the files that may be read, sorted."""
        return tuple(sorted(self.entries))

    def where(self, name: str) -> Path:
        """A file of the zip as messages call it."""
        return self.path / name

    # The length that a zip tells is its maker's: no more is read than a table can have.
    def read(self, name: str, most: int = LARGEST) -> bytes:
        """A file's content.

        Raises:
            FormatError: more than `most` bytes, whatever the zip says of it, or damaged.
        """
        try:
            with zipfile.ZipFile(self.path) as opened, opened.open(self.entries[name]) as file:
                content = file.read(most + 1)
        except _BROKEN as error:
            raise FormatError(
                f"{place(self.where(name))}: cannot be read ({shown(error, 80)}); zip it again"
            ) from None
        if len(content) > most:
            raise FormatError(
                f"{place(self.where(name))}: more than {most:,} bytes are none of a package's "
                "files; look what it is"
            )
        return content


def _unsafe(name: str, info: zipfile.ZipInfo, before: Mapping[str, object]) -> str:
    """Why a file of a zip is not touched, and what to do; "" if it is harmless."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name):
        return "an absolute path; zip the folder itself, by a name from where you are"
    if ".." in parts:
        return "leads out of the zip by ..; zip the folder itself"
    if "\\" in name or "\0" in name:
        return "a backslash or a zero in its name; other systems read it as another file"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link; put the file itself in"
    if info.flag_bits & 1:
        return "locked by a password; zip it without"
    if name in before:
        return "there twice; keep one"
    return ""


def in_zip(path: Path) -> tuple[Path, str] | None:
    """The zip that a path leads into, and the rest of the path; None for any other path.

    >>> in_zip(Path("no such folder"))
    """
    for whole in (path, *path.parents):  # a zip is no folder, so that the way ends in it
        with suppress(OSError, ValueError):
            if whole.suffix.lower() == SUFFIX and whole.is_file():
                return whole, path.relative_to(whole).as_posix()
    return None


def score_files(zipped: Path, inner: str, kinds: tuple[str, ...]) -> dict[Path, bytes]:
    """The score and decision files of one system of a package.

    Args:
        zipped: the zip.
        inner: the system's folder, by its path or its name, or its number; "." for the only one.
        kinds: how the names of wanted files begin.

    Returns:
        Place in the zip → content.

    Raises:
        FormatError: no such system, or several and none chosen.
    """
    archive = ZipContents.open(zipped)
    if archive.refused:
        name, why = next(iter(archive.refused.items()))
        raise FormatError(f"{place(archive.where(name))}: {why}")
    wanted = [n for n in archive.names if n.endswith(".csv") and _base(n).startswith(kinds)]
    folders = sorted({str(PurePosixPath(name).parent) for name in wanted})
    chosen = [f for f in folders if inner in (".", f, _base(f)) or f.endswith(f"_{inner}")]
    if len(chosen) != 1:
        systems = ", ".join(shown(_base(folder)) for folder in folders[:6]) or "none"
        if not chosen:
            raise FormatError(
                f"{place(zipped)}: no system {shown(inner)!r} in this zip; it has: {systems}"
            )
        raise FormatError(
            f"{place(zipped)}: has {len(chosen)} systems: {systems}; choose one, as in "
            f"{place(zipped / _base(chosen[0]))}"
        )
    return {
        archive.where(n): archive.read(n)
        for n in wanted
        if str(PurePosixPath(n).parent) == chosen[0]
    }


def _base(name: str) -> str:
    return PurePosixPath(name).name
