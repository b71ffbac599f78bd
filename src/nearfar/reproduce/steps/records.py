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

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from nearfar.errors import FormatError, StorageError, warn
from nearfar.files import sha256 as file_sha256
from nearfar.files import storage_errors, write_text
from nearfar.reproduce.steps.plan import DIGITS, Step

FORMAT = 1  # of the folder; a later one is not opened
MARK = "run.json"
LOCK = ".lock"  # stays, and is held by a process only
WEIGHTS = "weights"  # among the facts of a score: sha256 of those it was made from
# What `files.atomic_file` calls a file that is not whole yet begins so.
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

    >>> found = {"name": "score s4", "key": "01", "seconds": 2.5, "files": {}, "warnings": []}
    >>> Record.of({**found, "facts": {}, "versions": {}, "of tomorrow": 1}).name
    'score s4'
    """

    name: str
    key: str
    seconds: float  # it took, in the run that finished it
    files: Mapping[str, Sequence[Any]]  # path in the folder → [bytes, sha256]
    warnings: Sequence[str] = ()  # each once
    facts: Mapping[str, Any] = field(default_factory=dict)  # what tables want to know of it
    versions: Mapping[str, str] = field(default_factory=dict)  # of what computed it
    finished: str = ""  # ISO 8601

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Record:
        """Of JSON; a TypeError or AttributeError if it is not what `Folder.write` writes."""
        # What only a later nearfar knows is no reason to train anew.
        known = {f.name for f in fields(cls)}
        record = cls(**{name: value for name, value in data.items() if name in known})
        for name, kind in _KINDS.items():
            if not isinstance(vars(record)[name], kind):
                raise TypeError(name)
        return record


@dataclass(frozen=True)
class Folder:
    """A run's folder.

    >>> Folder(Path("run")).scores(Step("score s4", "score", "0123456789abcdef")).as_posix()
    'run/scores/score-s4-0123456789ab'
    """

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
        """Make the folder, or take one that is there; raises what `check` does."""
        self.check(resume)
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            # First, so that a run killed here is known as one.
            write_text(self.path / MARK, json.dumps({"nearfar reproduce": FORMAT}) + "\n")
            for name in ("steps", "weights", "scores"):
                (self.path / name).mkdir(exist_ok=True)

    def check(self, resume: bool) -> None:
        """Refuse what cannot be begun or gone on with; nothing is written.

        Raises:
            StorageError: something else is there, or a run that nobody said to go on with.
            FormatError: a run of a newer nearfar, or a damaged one.
        """
        with storage_errors(self.path):
            if (self.path / MARK).is_file():
                self._check_mark(resume)
            # Hidden files, of the system or half-written, are nothing.
            elif self.path.exists() and not (
                self.path.is_dir() and all(p.name.startswith(".") for p in self.path.iterdir())
            ):
                raise StorageError(f"{self.path}: is no folder of a run; choose a new one")
            place = standing(self.path)
            if not place.is_dir() or not os.access(place, os.W_OK):
                told = f"{self.path}: {place} cannot be written to; choose another place"
                raise StorageError(told)

    def _check_mark(self, resume: bool) -> None:
        said = None
        with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            said = json.loads((self.path / MARK).read_text(encoding="utf-8"))["nearfar reproduce"]
        if not isinstance(said, int):
            raise FormatError(f"{self.path / MARK}: damaged; choose a new folder, or delete it all")
        if said > FORMAT:
            raise FormatError(f"{self.path}: a run of a newer nearfar; upgrade nearfar")
        if not resume:
            way = "--resume goes on with it, or choose a new folder"
            raise StorageError(f"{self.path}: a run is there already; {way}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time works on a run, or `StorageError`; the lock dies with it."""
        with storage_errors(self.path):
            file = (self.path / LOCK).open("w")
        with file:
            if not _lock(file.fileno()):
                told = f"{self.path}: another process is at work on this run; let it finish"
                raise StorageError(told)
            # What a killed process left half-written: gigabytes, with a large encoder.
            for folder, names in _HALF_WRITTEN.items():
                for part in (self.path / folder).glob(".*"):
                    with suppress(OSError):
                        if part.name.startswith(names):
                            part.unlink()
            yield

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
        return record if self._whole(record) else None

    def _read(self, step: Step) -> Record | None:
        """A step's record, if one is there and whole."""
        path = self._record(step)
        try:
            return Record.of(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, AttributeError, RecursionError):
            return None
        except OSError as error:  # a disk that does not answer: nothing is known to be damaged
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

    def _whole(self, record: Record) -> bool:
        """Are the files that a record names as they were?"""
        path = self.path
        try:
            for name, (size, digest) in record.files.items():
                path = self.path / name
                if path.stat().st_size != size or (size <= LARGE and file_sha256(path) != digest):
                    return False
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, TypeError):
            return False
        except OSError as error:
            raise _unreadable(path, error) from None
        return True

    def clear(self, step: Step) -> None:
        """Remove what is left of a step that is not whole; a training goes on by itself."""
        record = self._read(step)
        with storage_errors(self.path):
            # Weights that are no longer what their record says; the record goes last, so that
            # they are never taken for new ones.
            if record is not None and not self._whole(record):
                self.weights(step).unlink(missing_ok=True)
            shutil.rmtree(self.scores(step), ignore_errors=True)
            self._record(step).unlink(missing_ok=True)

    def others(self, steps: Sequence[Step]) -> int:
        """How many finished steps are here that are none of these."""
        return len({*(self.path / "steps").glob("*.json")} - {self._record(s) for s in steps})

    def replaced(self) -> int:
        """Bytes of checkpoints that the next ones take the place of, or that will be removed."""
        patterns = ("*.checkpoint.safetensors", ".train*")
        return sum(p.stat().st_size for a in patterns for p in (self.path / "weights").glob(a))

    def write(
        self, step: Step, seconds: float, files: Sequence[Path], warnings: Sequence[str],
        facts: Mapping[str, Any], versions: Mapping[str, str],
    ) -> Record:  # fmt: skip
        """Say that a step is done."""
        known = {
            path.relative_to(self.path).as_posix(): [path.stat().st_size, file_sha256(path)]
            for path in sorted(files)
        }
        record = Record(
            step.name, step.key, round(seconds, 3), known, list(warnings), facts, versions, now()
        )
        write_text(
            self._record(step), json.dumps(vars(record), indent=1, ensure_ascii=False) + "\n"
        )
        return record

    def tell(
        self, what: str, step: Step | None = None, told: Mapping[str, Any] | None = None
    ) -> None:
        """Add a line to the log."""
        about = {} if step is None else {"step": step.name, "key": step.key[:DIGITS]}
        entry = {"time": now(), "event": what, **about, **(told or {})}
        with storage_errors(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def standing(path: Path) -> Path:
    """A folder, or the nearest one above it that is there; `StorageError` if none may be seen."""
    with storage_errors(path):
        return next(p for p in (path, *path.absolute().parents) if p.exists())


def _lock(handle: int) -> bool:
    """Hold a file until this process ends; False if another one does."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        with suppress(OSError):
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return True
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network disks have no locks
        told = f"this disk has no locks ({error.strerror}); let no second process work on the run"
        warn(told)
    return True


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(f"{path}: cannot be read ({error.strerror}); look at the disk")


def now() -> str:
    """Local time with its zone, ISO 8601, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
