"""The folder of a run: what is done, by its key; weights, scores, log, and who is at work on it.

    RUN/run.json       what the folder is of
    RUN/steps/         one record for each step that is done, written last and whole
    RUN/weights/       trained encoders; with them checkpoints and logs of trainings
    RUN/scores/        score files in the official form, one folder for each scored system
    RUN/log.jsonl      what happened when, one JSON object a line
    RUN/results.md, results.json

A step is done when its record is there, with the step's key, and the files it names are as they
were. Everything else is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import FormatError, StorageError, warn
from nearfar.files import storage_errors, write_text
from nearfar.reproduce.steps.plan import DIGITS

if TYPE_CHECKING:
    from nearfar.reproduce.steps.plan import Step

FORMAT = 1
MARK = "run.json"
LOCK = ".lock"
WEIGHTS = "weights"  # among the facts of a score: sha256 of those it was made from
# What `store.atomic_file` calls a file that is not whole yet begins so.
_HALF_WRITTEN = {"": (".run.json.", ".results."), "steps": (".train", ".score", ".stereo"),
                 "weights": (".train",)}  # fmt: skip
LARGE = 100_000_000  # bytes; a larger file is known by its size alone when a run goes on
_KINDS: Mapping[str, Any] = {  # of a record's fields, as JSON gives them
    "seconds": int | float, "files": dict, "warnings": list, "facts": dict, "versions": dict,
    "finished": str,
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """What a step that is done says of itself.

    Args:
        name, key: of the step.
        seconds: it took, in the run that finished it.
        files: path in the folder → [bytes, sha256].
        warnings: that were given, each once.
        facts: what tables want to know of it; JSON-ready.
        versions: of what computed it.
        finished: when, ISO 8601.
    """

    name: str
    key: str
    seconds: float
    files: Mapping[str, Sequence[Any]]
    warnings: Sequence[str] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    finished: str = ""


@dataclass(frozen=True)
class Folder:
    """A run's folder."""

    path: Path

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.path / "log.jsonl"

    def weights(self, step: Step) -> Path:
        """Where a training writes."""
        return self.path / "weights" / f"{step.slug}.safetensors"

    def scores(self, step: Step) -> Path:
        """Where a system's score files are."""
        return self.path / "scores" / step.slug

    def begin(self, resume: bool) -> None:
        """Make the folder, or take one that is there.

        Raises:
            StorageError: something else is there, or a run that nobody said to go on with.
            FormatError: a run of a newer nearfar, or a damaged one.
        """
        self.check(resume)
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # First, so that a run killed here is known as one.
            write_text(self.path / MARK, json.dumps({"nearfar reproduce": FORMAT}) + "\n")
            for name in ("steps", "weights", "scores"):
                (self.path / name).mkdir(exist_ok=True)

    def check(self, resume: bool) -> None:
        """Refuse what `begin` would, and write nothing.

        Raises:
            StorageError, FormatError: as `begin`.
        """
        with storage_errors(self.path):
            if (self.path / MARK).is_file():
                self._check_mark(resume)
            elif self._is_foreign():
                raise StorageError(f"{self.path}: is no folder of a run; choose a new one")
            place = standing(self.path)
            if not place.is_dir() or not os.access(place, os.W_OK):
                raise StorageError(
                    f"{self.path}: {place} cannot be written to; choose another place"
                )

    def _is_foreign(self) -> bool:
        """Is something else there? Hidden files, of the system or half-written, are nothing."""
        if not self.path.is_dir():
            return self.path.exists()
        return any(not p.name.startswith(".") for p in self.path.iterdir())

    def _check_mark(self, resume: bool) -> None:
        said = None
        with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            said = json.loads((self.path / MARK).read_text(encoding="utf-8"))["nearfar reproduce"]
        if not isinstance(said, int):
            raise FormatError(f"{self.path / MARK}: damaged; choose a new folder, or delete it all")
        if said > FORMAT:
            raise FormatError(f"{self.path}: a run of a newer nearfar; upgrade nearfar")
        if not resume:
            raise StorageError(
                f"{self.path}: a run is there already; --resume goes on with it, or choose a new "
                "folder"
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time works on a run; the lock dies with it.

        Raises:
            StorageError: another one is at work.
        """
        with storage_errors(self.path):
            file = (self.path / LOCK).open("w")
        with file:
            if not _lock(file.fileno()):
                raise StorageError(
                    f"{self.path}: another process is at work on this run; let it finish"
                )
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Remove what a killed process left half-written: gigabytes, with a large encoder."""
        for folder, names in _HALF_WRITTEN.items():
            for part in (self.path / folder).glob(".*"):
                if part.name.startswith(names):
                    with suppress(OSError):
                        part.unlink()

    def done(self, step: Step) -> Record | None:
        """The record of a step that is done; None if it is to be done (again).

        A score is done if it was made from the very weights that its trainings' records name: a
        training that is done again may end with other bits, on a GPU or with other threads.
        """
        record = self._read(step)
        if record is None or record.key != step.key:
            return None
        trained = [self.trained(need) for need in step.needs]
        if None in trained or list(record.facts.get(WEIGHTS, ())) != trained:
            return None
        return record if all(map(self._whole, record.files.items())) else None

    def _read(self, step: Step) -> Record | None:
        """A step's record, if one is there and whole.

        Raises:
            StorageError: a disk that does not answer: its files are not to be taken for damaged.
        """
        path = self._record(step)
        try:
            return _record(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        except OSError as error:
            raise _unreadable(path, error) from None

    def _record(self, step: Step) -> Path:
        return self.path / "steps" / f"{step.slug}.json"

    def trained(self, step: Step) -> str | None:
        """sha256 of the weights of a training that is done; None of one that is not."""
        record = self.done(step)
        if record is None:
            return None
        name = self.weights(step).relative_to(self.path).as_posix()
        return str(record.files[name][1]) if name in record.files else None

    def _whole(self, item: tuple[str, Sequence[Any]]) -> bool:
        try:
            path, (size, digest) = self.path / item[0], item[1]
            if path.stat().st_size != size:
                return False
            return bool(size > LARGE or _sha256(path) == digest)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError):
            return False
        except OSError as error:
            raise _unreadable(self.path / item[0], error) from None

    def clear(self, step: Step) -> None:
        """Remove what is left of a step that is not whole; a training goes on by itself."""
        record = self._read(step)
        with storage_errors(self.path):
            # Weights that are no longer what their record says; the record goes last, so that
            # they are never taken for new ones.
            if record is not None and not all(map(self._whole, record.files.items())):
                self.weights(step).unlink(missing_ok=True)
            shutil.rmtree(self.scores(step), ignore_errors=True)
            self._record(step).unlink(missing_ok=True)

    def others(self, steps: Sequence[Step]) -> int:
        """How many finished steps are here that are none of these."""
        own = {self._record(step).name for step in steps}
        folder = self.path / "steps"
        names = {path.name for path in folder.glob("*.json")} if folder.is_dir() else set()
        return len(names - own)

    def replaced(self) -> int:
        """Bytes of checkpoints that the next ones take the place of, or that will be removed."""
        folder = self.path / "weights"
        paths = [*folder.glob("*.checkpoint.safetensors"), *folder.glob(".train*")]
        return sum(path.stat().st_size for path in paths)

    def write(
        self,
        step: Step,
        seconds: float,
        files: Sequence[Path],
        warnings: Sequence[str],
        facts: Mapping[str, Any],
        versions: Mapping[str, str],
    ) -> Record:
        """Say that a step is done."""
        known = {
            path.relative_to(self.path).as_posix(): [path.stat().st_size, _sha256(path)]
            for path in sorted(files)
        }
        record = Record(
            step.name, step.key, round(seconds, 3), known, list(warnings), facts, versions, _now()
        )
        text = json.dumps(vars(record), indent=1, ensure_ascii=False)
        write_text(self._record(step), text + "\n")
        return record

    def tell(
        self, what: str, step: Step | None = None, told: Mapping[str, Any] | None = None
    ) -> None:
        """Add a line to the log."""
        about = {} if step is None else {"step": step.name, "key": step.key[:DIGITS]}
        entry = {"time": _now(), "event": what, **about, **(told or {})}
        line = json.dumps(entry, ensure_ascii=False)
        with storage_errors(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def standing(path: Path) -> Path:
    """A folder, or the nearest one above it that is there.

    Raises:
        StorageError: one that may not be looked into.
    """
    with storage_errors(path):
        return next(p for p in (path, *path.absolute().parents) if p.exists())


def _record(data: Mapping[str, Any]) -> Record:
    """Of JSON; what this nearfar does not know is left alone, it is no reason to train anew.

    Raises:
        TypeError, AttributeError: something else than `write` writes.
    """
    known = {f.name for f in fields(Record)}
    record = Record(**{name: value for name, value in data.items() if name in known})
    for name, kind in _KINDS.items():
        if not isinstance(getattr(record, name), kind):
            raise TypeError(name)
    return record


def _lock(handle: int) -> bool:
    """Hold a file until this process ends; False if another one does."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _lock_windows(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network disks have no locks
        warn(f"this disk has no locks ({error.strerror}); let no second process work on the run")
    return True


def _lock_windows(handle: int) -> bool:
    import msvcrt

    try:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: cannot be read ({error.strerror}); look at the disk")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
