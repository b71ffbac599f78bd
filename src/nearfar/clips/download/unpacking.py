"""A machine's zip file into its folder: looked through first, then unpacked aside, then moved.

Nothing in a zip is believed: no name leads out of the folder, nothing but plain files is made, and
none is larger than what the zip says of it. What is there already is never written over.
"""

from __future__ import annotations

import errno
import lzma
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nearfar.clips.download.published import Archive
from nearfar.errors import DatasetError, NearfarError, StorageError, visible
from nearfar.files import storage_errors

# How much larger than its zip a recording may be; noise packs to some 80 %. More is a bomb, which
# fills a disk.
MOST_TIMES, FREE_BYTES = 20, 50_000_000
MOST_FILES = 100_000  # a machine has some 1,200
PIECE = 1 << 20  # bytes
# What a split's zip must hold, one of these folders; 2021 had a test folder for each domain.
_TESTS = ("test", "source_test", "target_test")
WANTED = {"dev": (("train",), _TESTS), "train": (("train",),), "eval": (_TESTS,)}
# What other systems make of a name: a drive, a stream, a wildcard, a device.
_FOREIGN = re.compile(r'[\\:*?"<>|]')  # and what no screen can show
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)

Moved = Callable[[int], None]


@dataclass(frozen=True)
class Packed:
    """A file in a zip, and where it belongs in the machine's folder.

    >>> Packed(zipfile.ZipInfo("fan/train/a.wav"), ("train", "a.wav")).name
    'train/a.wav'
    """

    info: zipfile.ZipInfo
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its place in the machine's folder, with slashes."""
        return "/".join(self.parts)


@dataclass(frozen=True)
class PackList:
    """What a zip holds, after it was looked through.

    >>> PackList((), ()).bytes, PackList((), ()).clips
    (0, 0)
    """

    files: tuple[Packed, ...]
    aside: tuple[str, ...]  # what a packer left in it, and notes beside the machine's folder

    @property
    def bytes(self) -> int:
        """Of all files, unpacked."""
        return sum(file.info.file_size for file in self.files)

    @property
    def clips(self) -> int:
        """How many of them are recordings."""
        return sum(file.name.casefold().endswith(".wav") for file in self.files)


@contextmanager
def opened(place: Path, archive: Archive) -> Iterator[zipfile.ZipFile]:
    """The zip, to be looked through and unpacked.

    Raises:
        DatasetError: it is none, is damaged, or packed in a way that cannot be read.
    """
    with _readable(archive), zipfile.ZipFile(place) as file:
        yield file


@contextmanager
def _readable(archive: Archive, *more: type[Exception]) -> Iterator[None]:
    """Turn what goes wrong inside a zip into one line of ours."""
    faults: tuple[type[Exception], ...] = (NotImplementedError, RuntimeError, ValueError, *more)
    try:
        yield
    except NearfarError:  # one of ours is a ValueError or an OSError, too
        raise
    except (
        zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, UnicodeError
    ) as error:  # fmt: skip
        raise DatasetError(
            f"{archive.key}: is no whole zip file ({visible(str(error))}), though it is what the "
            "server lists; try another server"
        ) from None
    except faults as error:
        raise DatasetError(
            f"{archive.key}: cannot be unpacked ({visible(str(error))}); try another server"
        ) from None


def contents(file: zipfile.ZipFile, archive: Archive) -> PackList:
    """Look through a zip before anything of it is unpacked.

    Raises:
        DatasetError: a name that leads elsewhere or is there twice, a link, a device, a secret, far
            too much, another machine, another split.
    """
    found, aside = [], []
    for info in file.infolist():
        parts = _parts(info, archive)
        _refuse_kind(info, archive)
        # What packers leave, and a note beside the machine's folder, do no harm where they are.
        beside = len(parts) == 1 and not info.is_dir() and parts[0] != archive.machine
        if beside or parts[0] == "__MACOSX" or _is_litter(parts[-1]):
            aside.append(visible(info.filename))
            continue
        _refuse_machine(parts[0], info, archive)
        if len(parts) > 1 or not info.is_dir():
            found.append(Packed(info, parts[1:]))
    _refuse_twice(found, archive)
    listed = PackList(tuple(f for f in found if not f.info.is_dir()), tuple(aside))
    _refuse_bomb(listed, archive)
    _refuse_other(listed, archive)
    return listed


def _is_litter(name: str) -> bool:
    # macOS puts ._a.wav beside a.wav, which is no sound for all its name.
    return name.startswith("._") or name in (".DS_Store", "Thumbs.db", "desktop.ini")


def _parts(info: zipfile.ZipInfo, archive: Archive) -> tuple[str, ...]:
    """A file's name in a zip as folders and a name, on any system."""
    # Python cuts a name at a NUL, and other programs would not.
    name = info.orig_filename
    parts = tuple(name.removesuffix("/").split("/"))
    if any(part in ("", ".", "..") for part in parts):
        _refuse_name(info, archive, "leads out of its folder")
    if any(
        _FOREIGN.search(p) or not p.isprintable() or _DEVICE.fullmatch(p) or p[-1] in ". "
        for p in parts
    ):
        _refuse_name(info, archive, "is no name on every system")
    if max(len(part.encode(errors="replace")) for part in parts) > 255 or len(parts) > 9:
        _refuse_name(info, archive, "is too long")
    return parts


def _folded(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Names as systems see them that know no case, and only one spelling of an accent."""
    return tuple(unicodedata.normalize("NFC", part).casefold() for part in parts)


def _refuse_name(info: zipfile.ZipInfo, archive: Archive, why: str) -> None:
    raise DatasetError(
        f"{archive.key}: holds {visible(info.orig_filename)!r}, which {why}; nothing of it was "
        "unpacked, try another server"
    )


def _refuse_kind(info: zipfile.ZipInfo, archive: Archive) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > info.is_dir():
        _refuse_name(info, archive, "is a link or a device")
    if info.flag_bits & 1:
        _refuse_name(info, archive, "is encrypted")


def _refuse_machine(folder: str, info: zipfile.ZipInfo, archive: Archive) -> None:
    # A second edition may have its number in its folder's name, too: ToyCar_r2/.
    if not re.fullmatch(re.escape(archive.machine) + r"(_r[0-9]{1,3})?", folder):
        raise DatasetError(
            f"{archive.key}: holds {visible(info.filename)!r}, and nothing but {archive.machine}/ "
            "belongs in it; nothing of it was unpacked, try another server"
        )


def _refuse_twice(found: Sequence[Packed], archive: Archive) -> None:
    """Refuse names that some system takes for one; the last would be written over the others."""
    folders: dict[tuple[str, ...], tuple[str, ...]] = {}
    for packed in found:
        for depth in range(len(packed.parts) + packed.info.is_dir()):
            above = packed.parts[:depth]
            if folders.setdefault(_folded(above), above) != above:
                _refuse_name(packed.info, archive, "is in a folder that is there in other letters")
    taken = set()
    for packed in found:
        name = _folded(packed.parts)
        if not packed.info.is_dir():
            if name in taken or name in folders:  # () is the machine's own folder
                _refuse_name(packed.info, archive, "is there twice, but for the case of letters")
            taken.add(name)


def _refuse_bomb(listed: PackList, archive: Archive) -> None:
    if len(listed.files) > MOST_FILES or listed.bytes > MOST_TIMES * archive.size + FREE_BYTES:
        raise DatasetError(
            f"{archive.key}: {len(listed.files):,} files of {listed.bytes:,} bytes in a zip of "
            f"{archive.size:,} are no recordings; nothing of it was unpacked, try another server"
        )


def _refuse_other(listed: PackList, archive: Archive) -> None:
    tops = {file.parts[0] for file in listed.files if len(file.parts) > 1}
    for wanted in WANTED[archive.split]:
        if not tops & set(wanted):
            raise DatasetError(
                f"{archive.key}: has no folder {archive.machine}/{' or '.join(wanted)}, but "
                f"{', '.join(sorted(map(visible, tops))[:5]) or 'none'}; it is another file than "
                "its name says, try another server"
            )
    if not listed.clips:
        raise DatasetError(f"{archive.key}: holds no WAV file; try another server")


def missing(
    listed: PackList, target: Path, ours: Collection[str] = ()
) -> tuple[tuple[Packed, ...], tuple[str, ...]]:
    """The files of a zip that the machine's folder has not; those it has are the same.

    Args:
        listed: the zip's.
        target: the machine's folder.
        ours: files that came there of another zip.

    Returns:
        the files, and the names of lists of attributes that differ from those of the other zip,
        which stay.

    Raises:
        StorageError: a file is there with other content, which is somebody's.
    """
    absent, held = [], []
    for file in listed.files:
        place = target.joinpath(*file.parts)
        if not _taken(place):
            absent.append(file)
        elif not _is_same(place, file.info):
            if file.name not in ours or file.name.casefold().endswith(".wav"):
                raise StorageError(
                    f"{place}: is there already, and is not the published file; move it away, or "
                    "choose another folder"
                )
            held.append(file.name)
    return tuple(absent), tuple(held)


def _taken(place: Path) -> bool:
    with storage_errors(place):  # a folder may let nobody look into it
        return place.exists() or place.is_symlink()


def _is_same(place: Path, info: zipfile.ZipInfo) -> bool:
    if not place.is_file() or place.stat().st_size != info.file_size:
        return False
    crc = 0
    with storage_errors(place), place.open("rb") as file:
        while piece := file.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return crc == info.CRC


def unpack(
    file: zipfile.ZipFile, files: tuple[Packed, ...], staging: Path, archive: Archive, moved: Moved
) -> None:
    """Write files of a zip below a new folder.

    Args:
        file: the zip.
        files: of `contents`.
        staging: the folder; there is none yet.
        archive: whose zip it is.
        moved: is told how many files are there.

    Raises:
        DatasetError: one is not what the zip says of it.
        StorageError: full disk.
    """
    with storage_errors(staging):
        staging.mkdir(parents=True)
    for number, packed in enumerate(files, 1):
        place = staging.joinpath(*packed.parts)
        with storage_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            written = place.open("xb")  # a new name in a new folder: there is no link to follow
        # A false place in the zip is an error of the system's, as a full disk is.
        with written, _readable(archive, OSError), file.open(packed.info) as stream:
            while piece := stream.read(PIECE):  # no more than the zip says; its checksum is asked
                with storage_errors(place):
                    written.write(piece)
            with storage_errors(place):
                written.flush()
            if written.tell() != packed.info.file_size:
                _refuse_name(packed.info, archive, "is shorter than the zip says")
        moved(number)


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)  # one step: a killed program leaves all of it or nothing
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise StorageError(
            f"{target.parent}: leads to another disk by a link; let the machine's whole folder be "
            "the link, or raw, and the same command goes on"
        ) from None


def place_in(source: Path, target: Path) -> None:
    """Move what was unpacked to where it belongs: whole folders where there are none.

    Raises:
        StorageError: something is there by now.
    """
    with storage_errors(target):
        if not _taken(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _rename(source, target)
        elif source.is_dir() and target.is_dir():
            for child in sorted(source.iterdir()):
                place_in(child, target / child.name)
        else:
            raise StorageError(f"{target}: is there already; move it away")
