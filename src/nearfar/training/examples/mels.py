"""Log-mels of training clips on disk, read as if they lay in memory.

A store is a folder of segments. A segment is a file of numbers and a JSON index that names them;
it is written once, by one process, beside its place, and never changed. The index is renamed into
place after the numbers are on the disk, so a segment is there whole or not at all, and any number
of processes may read and write without a lock: at worst they store a clip twice.

A log-mel is kept under the audio's sha256 and everything that says what is computed from it (the
front end and revisions). The index also remembers which file gave which audio, by the file's place,
size and times, so that a second run need not open it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nearfar.errors import StorageError, warn
from nearfar.files import STALE, file_age, storage_errors, write_text

Float32 = NDArray[np.float32]

FOLDER = "mels"  # in the cache
FORMAT = 1
BANDS = 128
ROW = 4 * BANDS  # bytes a frame
LARGE = 2e9  # bytes from which a person is told
_KEY_DIGITS = 16  # of the key's hash, in a segment's name


@dataclass(frozen=True)
class Source:
    """The sound of one file."""

    digest: str  # sha256 of the channels that the front end takes
    near: str  # sha256 of channel 0 alone
    samples: int


@dataclass(frozen=True)
class _Place:
    """Where a log-mel lies."""

    segment: str
    first: int  # row
    rows: int
    sum: int  # crc32 of its bytes


class MelStore:
    """The log-mels of one front end.

    Args:
        cache: folder that keeps them for the next run; None: a temporary one, removed at the end.
        key: everything that changes the numbers, as text.

    Raises:
        StorageError: no folder can be made there.
    """

    def __init__(self, cache: Path | None, key: str) -> None:
        if cache is None:
            with storage_errors(Path(tempfile.gettempdir())):
                self.folder = Path(tempfile.mkdtemp(prefix="nearfar-mels-"))
            self._remove = weakref.finalize(self, shutil.rmtree, self.folder, True)
        else:
            self.folder = Path(cache) / FOLDER
            with storage_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self._maps: dict[str, Float32] = {}  # segment → (rows, 128), on the disk
        self._places: dict[str, list[_Place]] = {}  # digest → where it lies, once or more often
        self._sources: dict[str, Source] = {}  # stamp → sound
        self._sound: set[str] = set()  # digests whose sums were right
        self._seen: set[str] = set()
        _tidy(self.folder)
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, digest: str) -> Float32:
        """The log-mel of a sound, (frames, 128): a view of the file, not to be written to.

        Raises:
            KeyError: it is not there.
        """
        place = self._places[digest][0]
        return self._maps[place.segment][place.first : place.first + place.rows]

    def __contains__(self, digest: object) -> bool:
        """Is it there, and as it was written? What was damaged on the disk is forgotten."""
        if digest in self._sound:
            return True
        places = self._places.get(str(digest), [])
        while places:
            if zlib.crc32(self[str(digest)]) == places[0].sum:  # type: ignore[arg-type]
                self._sound.add(str(digest))
                return True
            places.pop(0)
        self._places.pop(str(digest), None)
        return False

    @property
    def digests(self) -> frozenset[str]:
        """Sounds whose log-mels are there, undamaged."""
        return frozenset(digest for digest in list(self._places) if digest in self)

    def source(self, stamp: str) -> Source | None:
        """The sound that a file gave, if its log-mel is there."""
        found = self._sources.get(stamp)
        return found if found is not None and found.digest in self else None

    def refresh(self) -> None:
        """Find what was stored since, by this process or another."""
        for index in sorted(self.folder.glob(f"{segment_prefix(self.key)}-*.json")):
            if index.stem not in self._seen:
                self._seen.add(index.stem)
                self._open(index)

    def close(self) -> None:
        """Let go of the files; a temporary store is gone then."""
        self._maps.clear()
        self._places.clear()
        self._sources.clear()
        self._sound.clear()
        if hasattr(self, "_remove"):
            self._remove()

    def _open(self, index: Path) -> None:
        """Take in a segment; one that is damaged is as if it were not there."""
        try:
            data = json.loads(index.read_text(encoding="utf-8"))
            if data["format"] != FORMAT or data["key"] != self.key:
                return
            places = {str(d): _Place(index.stem, *map(int, p)) for d, *p in data["mels"]}
            sources = {str(s): Source(str(d), str(n), int(k)) for s, d, n, k in data["sources"]}
            rows = sum(p.rows for p in places.values())
            if rows:
                self._maps[index.stem] = _map(index.with_suffix(".f32"), rows)
        except (OSError, ValueError, LookupError, TypeError):
            return
        for digest, place in places.items():
            self._places.setdefault(digest, []).append(place)
        self._sources.update(sources)


class Writer:
    """A segment being written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.rows = 0
        self.mels: dict[str, list[int]] = {}
        self.sources: list[list[str | int]] = []

    def add(self, digest: str, mel: Float32) -> None:
        """Store a log-mel, (frames, 128) float32; a second one of the same sound is left out."""
        if digest in self.mels:
            return
        content = np.ascontiguousarray(mel, dtype="<f4").tobytes()
        self._file.write(content)
        self.mels[digest] = [self.rows, len(mel), zlib.crc32(content)]
        self.rows += len(mel)

    def note(self, stamp: str, source: Source) -> None:
        """Remember what a file gave."""
        self.sources.append([stamp, source.digest, source.near, source.samples])


@contextmanager
def writer(folder: Path, key: str) -> Iterator[Writer]:
    """A new segment; it appears when the body has ended well, and not at all if it has not.

    Raises:
        StorageError: full disk, no permission.
    """
    name = f"{segment_prefix(key)}-{secrets.token_hex(8)}"
    numbers = folder / f"{name}.f32"
    part = folder / f".{name}.part"
    try:
        with storage_errors(numbers):
            with part.open("wb") as file:
                new = Writer(file)
                yield new
                file.flush()
                os.fsync(file.fileno())
            if new.rows:
                part.replace(numbers)
        mels = [[digest, *place] for digest, place in new.mels.items()]
        data = {"format": FORMAT, "key": key, "mels": mels, "sources": new.sources}
        write_text(folder / f"{name}.json", json.dumps(data))
    finally:
        part.unlink(missing_ok=True)


def check_room(folder: Path, size: int) -> None:
    """Say what a store will take, before it is filled.

    Args:
        folder: where it will lie.
        size: of what is still to be stored, bytes.

    Raises:
        StorageError: the disk has not that much room.
    """
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageError(
            f"{folder}: the log-mels take {size / 1e9:.3g} GB, {free / 1e9:.3g} GB are free; free "
            "some space, or set NEARFAR_CACHE to a folder on another disk"
        )
    if size > LARGE:
        warn(f"{folder}: storing log-mels, {size / 1e9:.1f} GB ({free / 1e9:.0f} GB are free)")


def stored_bytes(cache: Path) -> int:
    """What all stores of a cache folder take on disk."""
    size = 0
    for path in _files(cache / FOLDER):
        with suppress(OSError):
            size += path.stat().st_size
    return size


def clear_stores(cache: Path) -> int:
    """Remove all stores of a cache folder; who reads one may go on (not on Windows).

    Returns:
        Bytes freed on disk.

    Raises:
        StorageError: no permission.
    """
    before = stored_bytes(cache)
    with storage_errors(cache / FOLDER):
        # Indices first: numbers without an index are nothing, an index without numbers is damage.
        for path in sorted(_files(cache / FOLDER), key=lambda p: p.suffix != ".json"):
            path.unlink(missing_ok=True)
    return before - stored_bytes(cache)


def segment_prefix(key: str) -> str:
    """What the names of a key's segments begin with."""
    return hashlib.sha256(key.encode()).hexdigest()[:_KEY_DIGITS]


def _map(numbers: Path, rows: int) -> Float32:
    """A segment's numbers as (rows, 128).

    Raises:
        ValueError: the file is shorter than its index says.
        OSError: no such file.
    """
    mapped: Any = np.memmap(numbers, dtype="<f4", mode="r", shape=(rows, BANDS))
    plain: Float32 = np.asarray(mapped)  # a view: a memmap's slices would be slower objects
    return plain


def _files(folder: Path) -> Iterable[Path]:
    """All that a store may have put into its folder."""
    if not folder.is_dir():
        return []
    return [p for p in folder.iterdir() if p.suffix in (".f32", ".json") or p.name[0] == "."]


def _tidy(folder: Path) -> None:
    """Remove what writers left that were killed long ago: parts, and numbers without an index."""
    for path in _files(folder):
        half = path.name.startswith(".") or (
            path.suffix == ".f32" and not path.with_suffix(".json").exists()
        )
        if half and file_age(path) > STALE:
            with suppress(OSError):
                path.unlink()
