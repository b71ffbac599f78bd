"""What clips gave before any encoder, kept on disk for the next encoder behind the same front end.

Of each clip a note says what is known of its sound, by the file's stamp; of each preparation (a
front end, and how an embedder prepares) a store has what was prepared, by the sound's hash. With
both there a clip is neither read nor masked again. `Runtime.keep` asks for it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.embedder.contract import Rows32
from nearfar.embedding.chain import Chain, identity
from nearfar.embedding.heard_file import as_plain, from_plain
from nearfar.embedding.jobs import (
    Heard,
    Job,
    JobResult,
    Prepared,
    channels_of,
    do_job,
    open_cache,
    row_key,
)
from nearfar.errors import NearfarError, StorageError, give, warn
from nearfar.files import locked, storage_errors
from nearfar.runtime.arrays import FOLDER, ArrayStore
from nearfar.runtime.cache import RowCache
from nearfar.runtime.remote import marks_of
from nearfar.runtime.urls import url_of
from nearfar.runtime.workers import job_warnings
from nearfar.sound.audio import ChannelOrder
from nearfar.version import __version__

if TYPE_CHECKING:
    from nearfar.clips import Clip

KIND = "prepared-"  # what the folders of stores are called, before their hash
NOTES = "heard"  # the folder of notes
CLAIM = ".claim-"  # in the name of a file beside a store that says who wants it
GONE = ".gone-"  # in the name of a store that is being removed
_KEY_DIGITS = 16  # of a preparation's hash


@dataclass(frozen=True)
class Kept:
    """What was prepared of a clip, on disk: as small on its way from a worker as its name.

    >>> Kept(Path("prepared-01"), "9f86…", 128, (1008, 640)).nbytes  # two log-mels
    843776
    """

    folder: Path
    digest: str  # of the sound
    width: int  # numbers a row
    parts: tuple[int, ...]  # rows of each array
    single: bool = False  # was it an array, not a list of one?

    @property
    def nbytes(self) -> int:
        """As many as it has in memory."""
        return 4 * self.width * sum(self.parts)

    def read(self) -> Any:
        """The array or the list of arrays, as it was prepared: views of the file.

        Raises:
            StorageError: it is not there any more.
        """
        whole = ArrayStore(self.folder)[self.digest]
        ends = np.cumsum(self.parts)
        arrays = [whole[end - part : end] for end, part in zip(ends, self.parts, strict=True)]
        return arrays[0] if self.single else arrays


def features_of(prepared: Prepared) -> Any:
    """What an encoder takes, wherever it lies."""
    kept = prepared.features
    return kept.read() if isinstance(kept, Kept) else kept


def do_kept_job(job: Job) -> list[JobResult | NearfarError]:
    """As `do_job`; clips of which all is known are not read, and of others all is kept."""
    keeper = _Keeper(job)
    stamps = [stamp_of(clip, job.order) for clip in job.clips]
    with open_cache(job.runtime) as cache:
        found = [keeper.recalled(stamp, cache) for stamp in stamps]
    rest = [i for i, result in enumerate(found) if result is None]
    results: list[JobResult | NearfarError | None] = list(found)
    if rest:
        with job_warnings() as said:
            made = do_job(replace(job, clips=[job.clips[i] for i in rest]))
        for each in said:
            give(each)
        # What is said of a clip would not be said again, if it were not read again.
        fit = {i for i in rest if not said and stamps[i] == stamp_of(job.clips[i], job.order)}
        for i, result in zip(rest, made, strict=True):
            results[i] = keeper.kept(result, stamps[i] if i in fit else "")
    return [result for result in results if result is not None]


class _Keeper:
    """The stores that a job's chains need."""

    def __init__(self, job: Job) -> None:
        self.job, self.needs = job, channels_of(job.chains)
        self.root = Path(job.runtime.folder or "") / FOLDER
        self.notes = ArrayStore(self.root / NOTES)
        self.stores: dict[Any, ArrayStore] = {
            chain.preparation: ArrayStore(folder_of(Path(job.runtime.folder or ""), chain))
            for chain in job.chains
            if chain.preparation
        }

    @cached_property
    def wanted(self) -> list[tuple[Chain, str, int]]:
        """Each chain with its key and dim, for which an encoder looks at its file."""
        return [(chain, chain.key, chain.embedder.dim) for chain in self.job.chains]

    def recalled(self, stamp: str, cache: RowCache) -> JobResult | None:
        """What a clip gave, if that is known without reading it."""
        about = from_plain(self.notes.noted(self._note(stamp))) if stamp else None
        if about is None or (self.job.hashes_near and not about.near):
            return None
        rows = [self._row(about, *wanted, cache) for wanted in self.wanted]
        known = [row for row in rows if row is not None]
        if len(known) < len(rows):
            return None
        return JobResult(about if self.job.hashes_near else replace(about, near=""), tuple(known))

    def _row(
        self, about: Heard, chain: Chain, key: str, dim: int, cache: RowCache
    ) -> Rows32 | Prepared | None:
        digest = self._digest(about, chain)
        if not digest:
            return None
        place = row_key(digest, key)
        row = cache.get(place)
        if row is not None and row.shape == (dim,):
            return row
        store = self.stores.get(chain.preparation)
        if store is None or digest not in store:
            return None
        kept = _kept(store, digest)
        return None if kept is None else Prepared(kept, place)

    def _digest(self, about: Heard, chain: Chain) -> str:
        """Of the channels that a chain hears; "" if that is not known."""
        if chain.frontend.needs == self.needs:
            return about.digest
        return about.near if chain.frontend.needs == 1 else ""

    def kept(self, result: JobResult | NearfarError, stamp: str) -> JobResult | NearfarError:
        """The same result, with what was prepared on disk if there is room for it."""
        if isinstance(result, NearfarError):
            return result
        try:
            rows = tuple(
                self._stored(result.about, chain, row)
                for chain, row in zip(self.job.chains, result.rows, strict=True)
            )
            if stamp:
                self.notes.write_note(self._note(stamp), as_plain(result.about))
        except StorageError as error:  # a kept array saves time, and is worth no result
            told = str(error).partition(": ")[2] or error
            warn(f"{self.root}: log-mels cannot be kept for other encoders ({told})")
            return result
        return replace(result, rows=rows)

    def _stored(self, about: Heard, chain: Chain, row: Rows32 | Prepared) -> Rows32 | Prepared:
        if not isinstance(row, Prepared):
            return row
        store, digest = self.stores.get(chain.preparation), self._digest(about, chain)
        arrays = row.features if isinstance(row.features, list) else [row.features]
        if store is None or not digest or not _are_tables(arrays):
            return row
        if digest not in store or _kept(store, digest) is None:  # not by another chain of the job
            store.add(digest, np.concatenate(arrays))
            store.write_note(digest, [list(map(len, arrays)), arrays is not row.features])
        kept = _kept(store, digest)
        return row if kept is None else replace(row, features=kept)

    def _note(self, stamp: str) -> str:
        return f"{stamp}-{self.needs}"


def _are_tables(arrays: Sequence[Any]) -> bool:
    """Are they what a store can give back to the bit: float32 in rows of one width?"""
    return (
        bool(arrays)
        and all(isinstance(a, np.ndarray) and a.dtype == np.float32 and a.ndim == 2 for a in arrays)
        and len({a.shape[1] for a in arrays}) == 1
    )


def _kept(store: ArrayStore, digest: str) -> Kept | None:
    """What a store has of a sound; None if its note is damaged, or of another file."""
    try:
        parts, single = store.noted(digest)
        kept = Kept(store.folder, digest, store[digest].shape[1], tuple(map(int, parts)), single)
        return kept if sum(kept.parts) == len(store[digest]) else None
    except (TypeError, ValueError, LookupError, StorageError):
        return None


def folder_of(cache: Path, chain: Chain) -> Path:
    """Where the store of a chain's preparation is, which it shares with all that prepare alike.

    Raises:
        StorageError: nobody knows how the chain prepares.
    """
    if chain.preparation is None:
        raise StorageError(f"{chain.embedder!r} does not say how it prepares; nothing is kept")
    key = f"{identity(chain.frontend)}|{chain.preparation[1]}"
    return cache / FOLDER / (KIND + hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS])


def drop_kept(folder: Path) -> None:
    """Remove one store, when no encoder is left that wants it; who reads it makes it anew."""
    if folder.name.startswith(KIND):
        with suppress(OSError):  # at once: who begins to want it makes it anew
            folder.rename(folder.with_name(f"{folder.name}{GONE}{secrets.token_hex(8)}"))
        for gone in folder.parent.glob(f"{folder.name}{GONE}*"):  # of a killed process, too
            shutil.rmtree(gone, ignore_errors=True)


class Claims:
    """Stores that a process will still read: none of others that share its cache removes them.

    Beside such a store lies a file that the process has locked, and its end lets go of it however
    that comes. Where there are no locks a killed process's file keeps the store, until
    `nearfar cache --clear`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as cache, Claims() as one, Claims() as other:
    ...     store = Path(cache, KIND + "9f86")
    ...     store.mkdir()
    ...     one.hold(store)
    ...     other.drop(store)
    ...     store.exists()
    True
    """

    def __init__(self) -> None:
        self._held: dict[Path, tuple[Path, int | None]] = {}  # store → our file, its lock

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        for folder in list(self._held):
            self._let_go(folder)

    def hold(self, folder: Path) -> None:
        """Say that this process wants a store, whether it is there yet or not.

        Raises:
            StorageError: its cache cannot be written to.
        """
        if folder not in self._held:
            mark = folder.with_name(f"{folder.name}{CLAIM}{secrets.token_hex(8)}")
            with storage_errors(mark):
                mark.parent.mkdir(parents=True, exist_ok=True)
                mark.touch()
            self._held[folder] = mark, locked(mark)

    def drop(self, folder: Path) -> None:
        """Want a store no more, and remove it if nobody else wants it."""
        self._let_go(folder)
        if not any(_is_held(mark) for mark in folder.parent.glob(f"{folder.name}{CLAIM}*")):
            drop_kept(folder)

    def _let_go(self, folder: Path) -> None:
        mark, handle = self._held.pop(folder, (None, None))
        if mark is not None:
            with suppress(OSError):
                mark.unlink()
        if handle is not None:
            os.close(handle)


def _is_held(mark: Path) -> bool:
    """Does its process live? What a killed one left is removed."""
    handle = locked(mark, make=False)
    if handle is not None:
        with suppress(OSError):
            mark.unlink()
        os.close(handle)
    return mark.exists()


def stamp_of(clip: Clip, order: ChannelOrder) -> str:
    """What changes when a clip's sound does, without reading it; "" if it is not there.

    The times are the file system's, so that a copy put in its place is noticed too; of a URL it
    is what its store says. "" as well if
    listing found that the clip cannot be used: nothing that was stored of it may be taken.
    """
    if clip.fault:
        return ""
    parts: list[object] = [__version__, order, clip.start, clip.stop]  # another may read otherwise
    # Only where they are said: what was stored without them stays known.
    parts += [("channels", clip.channels)] * (clip.channels is not None)
    parts += ["salvage"] * clip.salvage
    try:
        for path in (clip.path, clip.far):
            if path is not None and url_of(path) is not None:
                marks = marks_of(path)
                if not marks:  # its store does not say when it changes
                    return ""
                parts += [str(path), marks]
            elif path is not None:
                facts = os.stat(path)
                parts += [os.path.abspath(path), facts.st_size, facts.st_mtime_ns]
                parts += [facts.st_ctime_ns, facts.st_ino]
    except OSError:
        return ""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
