"""A folder tree as it is on disk: its sound files, oldest first; whether events tell of it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nearfar.clips.pairs import FOREIGN
from nearfar.errors import DatasetError
from nearfar.runtime.urls import url_of
from nearfar.service.incoming import Stamp
from nearfar.sound import audio

_ASIDE = {"supplemental", "__macosx"}  # as `nearfar score` leaves them aside
_ENDINGS = frozenset((*audio.SUFFIXES, *FOREIGN))
# File systems where what another computer writes gives no event here.
_REMOTE = {"9p", "afs", "ceph", "cifs", "coda", "drvfs", "fuseblk", "glusterfs", "lustre", "ncpfs",
           "nfs", "nfs4", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"}  # fmt: skip
# The system's own, where no recording is; the processes in /proc lead to all files there are.
_SYSTEM = {"binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
           "efivarfs", "mqueue", "proc", "pstore", "securityfs", "selinuxfs", "sysfs",
           "tracefs"}  # fmt: skip
_LOCAL_FUSE = {"fuse.fuse-overlayfs", "fuse.unionfs", "fuse.mergerfs"}


def is_sound(name: str) -> bool:
    """Whether a file is a recording by its name; hidden ones are still being written.

    `x.wav.part`, `x.wav.tmp` and `x.wav~` are none by their endings: they wait for their renaming.

    >>> [is_sound(n) for n in ("a.WAV", "a.mp3", ".a.wav", "a.wav.part", "a.txt")]
    [True, True, False, False, False]
    """
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _ENDINGS


def stamped(path: str) -> Stamp | None:
    """A file as it is; None if it is not there, or a pipe, device or folder."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return None
    return Stamp(path, facts.st_size, facts.st_mtime_ns)


@dataclass
class Tree:
    """What one walk through a folder found.

    >>> Tree().files
    []
    """

    files: list[Stamp] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)  # folder's path here → where it is
    others: int = 0  # files that are no sound by their names
    unreadable: dict[str, str] = field(default_factory=dict)  # folder → why
    system: list[str] = field(default_factory=list)  # folders of the system's own, left aside


def walked(root: str, wanted: Callable[[Stamp], bool] = lambda stamp: True) -> Tree:
    """Sound files at and below a folder; each folder once, however many links lead to it.

    Links to folders are followed after all else, so what can be reached without one has that name.
    /proc, /sys and their like are left aside, also where a link leads to them.

    Args:
        root: the folder.
        wanted: whether a file is to be in `files`: a list of all would take 300 bytes for each.
    """
    tree, system = Tree(), _system_disks()
    seen: set[tuple[int, int]] = set()
    linked: list[str] = []
    todo = [root]
    while todo or linked:
        folder = todo.pop() if todo else linked.pop()
        try:
            identity = identity_of(folder)
            if identity in seen:  # also a link to a folder above, which would never end
                continue
            seen.add(identity)
            if identity[0] in system:
                tree.system.append(folder)
                continue
            with os.scandir(folder) as entries:
                _sort_out(entries, wanted, tree, todo, linked)
        except OSError as error:
            # That of a folder which has just gone is nothing to tell.
            if not isinstance(error, FileNotFoundError):
                tree.unreadable[folder] = error.strerror or str(error)
            continue
        if os.path.islink(folder) and folder != root:
            tree.links.append((folder, os.path.realpath(folder)))
    return tree


def _sort_out(
    entries: Iterable[os.DirEntry[str]], wanted: Callable[[Stamp], bool], tree: Tree,
    todo: list[str], linked: list[str],
) -> None:  # fmt: skip
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if entry.name.casefold() not in _ASIDE:
                (linked if entry.is_symlink() else todo).append(entry.path)
        elif not is_sound(entry.name):
            tree.others += 1
        elif (stamp := stamped(entry.path)) is not None and wanted(stamp):
            tree.files.append(stamp)


def watchable(folder: Path) -> tuple[int, int]:
    """What a folder is on its disk, as `identity_of`.

    Raises:
        DatasetError: it is not there, or no folder.
    """
    if url := url_of(folder):
        raise DatasetError(f"{url}: watched are folders of this machine; name one, or mount it as "
                           "one")  # fmt: skip
    try:
        return identity_of(os.path.abspath(folder))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be watched ({error.strerror or error}); "
                           "name a folder that is there") from None  # fmt: skip


def identity_of(folder: str) -> tuple[int, int]:
    """What a folder is on its disk, whatever it is called.

    Raises:
        OSError: it is not there, or no folder.
    """
    facts = os.stat(folder)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(20, "no folder", folder)
    return facts.st_dev, facts.st_ino


def by_age(stamp: Stamp, clock: Callable[[str], datetime | None] | None) -> tuple[object, ...]:
    """A key that sorts files oldest first: by time, then by name as people count.

    Args:
        stamp: of a file.
        clock: reads the time off a name, where it has one; None: names are not asked, for a
            recorder's clock may have been set back, and that of the disk is one for all.

    >>> names = ("run 10.wav", "run 9.wav")
    >>> sorted(names, key=lambda name: by_age(Stamp(name, 1, 0), None))
    ['run 9.wav', 'run 10.wav']
    """
    path = Path(stamp.path)
    seconds = stamp.modified / 1e9
    # A pattern of the user's may find the year 1, which no clock of a system counts from.
    with suppress(ValueError, OverflowError, OSError):
        if clock is not None and (began := clock(path.stem)) is not None:
            seconds = began.timestamp()
    return seconds, _counted(path.name), stamp.path


def _counted(name: str) -> tuple[str | int, ...]:
    pieces = re.split("([0-9]+)", name.casefold())  # numbers stand at every second place
    return tuple(int(piece) if n % 2 else piece for n, piece in enumerate(pieces))


def tells_events(folder: str, mounts: str | None = None) -> bool:
    """Whether the file system tells this computer of all new files, whoever writes them.

    Args:
        folder: there.
        mounts: as /proc/mounts has them; None: those of this computer. Where there is no such
            list (macOS, Windows) the watcher is believed.

    >>> tells_events("/data/in", "host:/x /data nfs4 rw 0 0"), tells_events("/", "/dev/x / ext4 rw")
    (False, True)
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(errors="surrogateescape")
        except OSError:
            return True
    where = os.path.join(os.path.realpath(folder), "")
    best, kind = "", ""
    for place, kind_there in _mounted(mounts):
        inside = where.startswith(os.path.join(place, ""))
        if inside and len(place) >= len(best):  # of several at one place the last is on top
            best, kind = place, kind_there
    return not (kind in _REMOTE or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE))


def _system_disks() -> set[int]:
    """Numbers of the disks that are none: what the system shows of itself; empty off Linux."""
    found: set[int] = set()
    with suppress(OSError):
        text = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        for line in text.splitlines():
            before, _, after = line.partition(" - ")
            if after and after.split()[0] in _SYSTEM:
                major, minor = before.split()[2].split(":")
                found.add(os.makedev(int(major), int(minor)))
    return found


def _mounted(mounts: str) -> Iterator[tuple[str, str]]:
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) >= 3:  # blanks in names are written as octal numbers
            place = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1])
            yield place, fields[2]
