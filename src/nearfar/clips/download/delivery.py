"""A data set from a server into its official layout, one machine's file behind the other.

On the disk a zip has three places: `.download/` while it is fetched and unpacked, so that a killed
program goes on there; `zips/` if it is to be kept; none. Its clips lie aside until all are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nearfar.clips.download.fetching import Server, forget, md5, server_url, size_of
from nearfar.clips.download.published import (
    Archive,
    FileList,
    chosen,
    ordered,
    read_listing,
    refuse_withdrawn,
)
from nearfar.clips.download.receipts import (
    NOTICE,
    Receipt,
    is_noted,
    read_receipts,
    receipt,
    terms,
    write_notice,
    write_receipts,
)
from nearfar.clips.download.unpacking import (
    Packed,
    contents,
    missing,
    opened,
    place_in,
    unpack,
)
from nearfar.clips.download.workplace import WORK, refuse_blocked, refuse_place, working_in
from nearfar.errors import SettingError, StorageError
from nearfar.files import storage_errors
from nearfar.runtime.runtime import Progress
from nearfar.text import counted

KEPT = "zips"  # a folder below that of the data set
UNPACKED = 1.3  # times its zip, as a guess: noise in 16 bit packs to some 80 %
BLOCK = 4096  # bytes; what a file takes more than it has, at most
MEGA = 1_000_000


@dataclass(frozen=True)
class Arrival:
    """One machine's clips of one split, in their place.

    >>> Arrival("dev_fan.zip", "fan", "dev", Path("d/dev_data/raw/fan"), 1200).line
    'd/dev_data/raw/fan: 1,200 clips, there already (dev_fan.zip)'
    """

    key: str  # the zip they came in
    machine: str
    split: str
    folder: Path
    clips: int
    fetched: int = 0  # bytes of the zip; 0 if it was not fetched now
    unpacked: bool = False  # now

    @property
    def line(self) -> str:
        """What a person reads of it."""
        how = "unpacked, its zip was there" if self.unpacked else "there already"
        if self.fetched:
            how = f"{size(self.fetched)} fetched"
        return f"{self.folder}: {counted(self.clips, 'clip')}, {how} ({self.key})"


@dataclass(frozen=True)
class Delivery:
    """A data set on the disk, as far as it was asked for.

    >>> Delivery("dcase2026", Path("d"), ()).clips
    0
    """

    data_set: str
    folder: Path
    arrivals: tuple[Arrival, ...]

    @property
    def clips(self) -> int:
        """Of all arrivals."""
        return sum(arrival.clips for arrival in self.arrivals)


def size(count: float) -> str:
    """Bytes for people, in powers of ten, as disks are sold.

    >>> size(353), size(608_000_000), size(4.6e9)
    ('353 bytes', '608 MB', '4.6 GB')
    """
    for unit in ("bytes", "kB", "MB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def download(
    data_set: str,
    folder: str | Path,
    *,
    split: str | Sequence[str] | None = None,
    machines: str | Sequence[str] | None = None,
    server: str | None = None,
    record: int | None = None,
    keep_zips: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Delivery:
    """Fetch published recordings into the official layout; what is there and whole stays.

    The layout is `FOLDER/dev_data/raw/MACHINE/` and `FOLDER/eval_data/raw/MACHINE/`, with `train/`,
    `test/` and `attributes_00.csv` in it. Stopped at any moment, the same call goes on.

    Args:
        data_set: dcase2020 … dcase2026.
        folder: for this data set alone; made if it is not there.
        split: dev, train (the evaluation machines' normal clips), eval (their test clips), or
            several; None are all.
        machines: names; None are all of these splits.
        server: its address; None is $NEARFAR_ZENODO, else Zenodo.
        record: the number of another record, of the one split.
        keep_zips: leave them in `FOLDER/zips/`. What lies there already is taken from there.
        progress: is told of megabytes fetched and files unpacked.
        tell: gets lines for a person: the licence, once, when something is fetched; tries.

    Raises:
        SettingError: no such data set or split; a folder of another data set.
        DatasetError: no such machine; a zip that holds something else, or something bad.
        NetworkError: no connection, no such record, another content than listed; no httpx.
        FormatError: a server's answer that is no record.
        StorageError: too little space, no permission, a file of yours in the way, or another
            download at work in the folder.
    """
    splits = [split] if isinstance(split, str) else split
    name, numbers = ordered(data_set, splits, record)
    named = [machines] if isinstance(machines, str) else machines
    if named is not None and not named:
        raise SettingError("no machine is named; leave machines out for all of them")
    say = tell or (lambda line: None)
    place = Path(folder)
    refuse_place(place)
    read_receipts(place, name)  # of another data set: refused before anything is asked
    with Server(server_url(server), say) as service:
        listings = [_listing(service, one, number) for one, number in numbers]
        archives = chosen(listings, named)
        refuse_withdrawn(name, archives)
        with working_in(place):
            order = _Order(place, name, service, keep_zips, progress or (lambda *_: None), say)
            return order.fill(archives, listings)


def _listing(service: Server, split: str, number: int) -> FileList:
    data, base = service.record(number)
    return read_listing(data, split, number, service.page(number), base)


def _tell_of_others(
    listings: Sequence[FileList], archives: Sequence[Archive], say: Callable[[str], None]
) -> None:
    """Say what a record has that is not taken."""
    wanted = {archive.key for archive in archives}
    for listing in listings:
        for old, new in listing.earlier:
            if new in wanted:
                say(f"{new}: takes the place of {old}, whose results are not comparable")
        if listing.others:
            say(f"record {listing.record}: left there: {', '.join(listing.others[:9])}")


class _Order:
    """What one call does with its folder."""

    def __init__(
        self,
        folder: Path,
        data_set: str,
        service: Server,
        keep: bool,
        progress: Progress,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.data_set, self.service = folder, data_set, service
        self.keep, self.progress, self.say = keep, progress, say
        self.receipts = read_receipts(folder, data_set)
        self.before = 0  # bytes fetched of files that are done
        self.total = 0  # bytes of all files to fetch
        self.told = -1  # megabytes that were told last

    def fill(self, archives: Sequence[Archive], listings: Sequence[FileList]) -> Delivery:
        """Bring everything that is not there; say whose it is."""
        wanted = [archive for archive in archives if not self._is_there(archive)]
        if wanted:
            for archive in wanted:
                refuse_blocked(self.folder / archive.folder, self.folder)
            self.total = sum(archive.size for archive in wanted)
            self._check_space(wanted)
            used = {archive.split for archive in wanted}
            theirs = [listing for listing in listings if listing.split in used]
            _tell_of_others(theirs, wanted, self.say)
            # Before the first byte: who may not use them need not wait for them.
            if not is_noted(self.folder, theirs):
                self.say(terms(theirs))
            if not write_notice(self.folder, theirs):
                self.say(f"{self.folder / NOTICE}: is yours and stays; the licence is not in it")
        return Delivery(
            self.data_set, self.folder, tuple(self._arrival(a, a in wanted) for a in archives)
        )

    def _arrival(self, archive: Archive, wanted: bool) -> Arrival:
        fetched = self._bring(archive) if wanted else 0
        self.before += archive.size * wanted
        self._put_away(archive)
        return Arrival(
            archive.key, archive.machine, archive.split, self.folder / archive.folder,
            self.receipts[archive.key].clips, fetched, wanted,
        )  # fmt: skip

    def _is_there(self, archive: Archive) -> bool:
        """Is a file unpacked and whole, by its receipt?"""
        known, target = self.receipts.get(archive.key), self.folder / archive.folder
        if known is None:
            return False
        gone = known.gone(target)
        if known.md5 != archive.md5:
            if len(gone) == len(known.files):  # removed, to have it anew
                return False
            raise StorageError(
                f"{target}: has {archive.key} with MD5 {known.md5}, the server lists "
                f"{archive.md5}; move the folder away to fetch it anew"
            )
        if gone:
            self.say(
                f"{target}: {len(gone):,} of {counted(len(known.files), 'file')} are gone or of "
                f"another size, as {gone[0]}; fetched anew"
            )
        return not gone

    def _check_space(self, wanted: Sequence[Archive]) -> None:
        """Refuse what will not fit, by a guess of what the zips unpack to."""
        # One that was brought by hand stays, by its size: its MD5 is asked when it is its turn.
        fetched = [a for a in wanted if size_of(self.folder / KEPT / a.key) != a.size]
        sizes = [archive.size for archive in fetched]
        come = sum(min(size_of(self._part(a)), a.size) for a in fetched)
        unpacked = UNPACKED * sum(archive.size for archive in wanted)
        # Each zip goes when its clips are there, so the largest is the most at a time.
        need = unpacked + (sum(sizes) if self.keep else max(sizes, default=0)) - come
        free = _free(self.folder)
        line = (
            f"{counted(len(wanted), 'file')}, {size(sum(sizes) - come)} to fetch, some "
            f"{size(need)} with what is unpacked; {size(free)} are free"
        )
        if need > free:
            raise StorageError(
                f"{self.folder}: too little space: {line}; free some, choose another place, or "
                "name fewer machines"
            )
        self.say(f"{self.folder}: {line}")

    def _part(self, archive: Archive) -> Path:
        return self.folder / WORK / archive.key

    def _bring(self, archive: Archive) -> int:
        """One file: fetched, looked through, unpacked, in its place, and noted.

        Returns:
            Bytes of what was fetched.
        """
        kept = self.folder / KEPT / archive.key
        given = size_of(kept) == archive.size and md5(kept) == archive.md5
        place = kept if given else self._part(archive)
        if not given:
            self.service.fetch(archive, place, self._moved)
        try:
            self.receipts[archive.key] = self._unpack(place, archive)
        except ValueError:  # a zip that nobody can use; an error of the disk leaves it there
            if not given:
                forget(place)
            raise
        write_receipts(self.folder, self.data_set, self.receipts)
        return 0 if given else archive.size

    def _moved(self, there: int) -> None:
        of = max(1, self.total // MEGA)
        done = of * min(self.before + there, self.total) // self.total  # whole only at the end
        if done != self.told:
            self.told = done
            self.progress("fetching", done, of)

    def _unpack(self, place: Path, archive: Archive) -> Receipt:
        target = self.folder / archive.folder
        # On the disk of its place, to which that may be a link; hidden, so that nobody takes it
        # for a machine.
        beside = target if target.is_symlink() else target.parent
        staging = beside / f".{archive.key}.unpacking"
        _remove(staging)  # of a program that was killed
        with opened(place, archive) as file:
            listed = contents(file, archive)
            absent, held = missing(listed, target, self._of_others(archive))
            for name in held:
                self.say(f"{archive.key}: {name} differs from the one that is there, and stays out")
            if listed.aside:
                self.say(f"{archive.key}: not unpacked: {', '.join(listed.aside[:5])}")
            self._check_room(target, absent)
            try:
                unpack(
                    file, absent, staging, archive,
                    lambda done: self.progress("unpacking", done, len(absent)),
                )  # fmt: skip
                place_in(staging, target)
            finally:
                _remove(staging)
        return receipt(archive, listed, held)

    def _of_others(self, archive: Archive) -> set[str]:
        """Files that other zips have brought into the same machine's folder."""
        others = [r for r in self.receipts.values() if r.folder == archive.folder]
        return {name for r in others if r.key != archive.key for name in r.files}

    def _check_room(self, target: Path, absent: Sequence[Packed]) -> None:
        need = sum(packed.info.file_size + BLOCK for packed in absent)
        # Of the disk that they come to, which may be another by a link.
        with storage_errors(target):
            free = _free(next(place for place in target.parents if place.exists()))
        if need > free:
            raise StorageError(
                f"{target}: {size(need)} to unpack, {size(free)} free; free some, and the same "
                "command goes on"
            )

    def _put_away(self, archive: Archive) -> None:
        """Remove a zip that is unpacked, or keep it; a killed program may have left one."""
        place, kept = self._part(archive), self.folder / KEPT / archive.key
        if self.keep and place.exists():
            with storage_errors(kept):
                kept.parent.mkdir(exist_ok=True)
                if kept.exists():  # another file of that name is not ours to replace
                    self.say(f"{kept}: is there already with other content, and stays")
                else:
                    place.rename(kept)
        forget(place)


def _free(folder: Path) -> int:
    """Bytes that may be written."""
    with storage_errors(folder):
        return shutil.disk_usage(folder).free


def _remove(folder: Path) -> None:
    with storage_errors(folder):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
