"""The log of a training: one JSON object a line, one line a step and one an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nearfar.files import storage_errors, write_text


@dataclass(frozen=True)
class StepLine:
    """One step of the optimizer.

    >>> StepLine(1, 20, 1, 400, 8.2, 5e-6, 30.0, 430.0).loss
    8.2
    """

    epoch: int  # counted from 1
    epochs: int
    step: int  # counted from 1 over all epochs
    steps: int
    loss: float  # mean over the batch, with DANN that of the domains in it
    rate: float  # learning rate of the last block
    clips_per_s: float  # in steps, since this process began
    seconds_left: float  # of the training, at the speed so far


@dataclass(frozen=True)
class EpochLine:
    """One epoch.

    >>> EpochLine(1, 20, 20, 6.1, None, None, 30.0, 21.0).held_out_accuracy is None
    True
    """

    epoch: int
    epochs: int
    step: int  # the last one, counted from 1 over all epochs
    loss: float  # mean over the epoch's clips, while they were trained on
    held_out_loss: float | None  # mean over the held-out normals; None without any
    held_out_accuracy: float | None  # share of them nearest to the centre of their class, 0–1
    clips_per_s: float  # as of its last step
    seconds: float  # with held-out normals


Watch = Callable[[StepLine | EpochLine], None]
_BEGIN = b'{"epoch": '  # of every line: what begins otherwise is no log


class Log:
    """A JSONL file that grows while the training runs.

    The training goes on after the epoch `after` and the step `step`; later lines, of one that was
    killed, are dropped.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "s1.jsonl"
    ...     with Log(path) as log:
    ...         log(EpochLine(1, 2, 20, 6.1, None, None, 30.0, 21.0))
    ...     [line["epoch"] for line in lines(path)]
    [1]

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path, after: int = 0, step: int = 0) -> None:
        self._path = path
        kept = [line for line in lines(path) if _before(line, after, step)]
        write_text(path, "".join(map(_text, kept)))
        with storage_errors(path):
            self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __call__(self, entry: StepLine | EpochLine) -> None:
        """Write one line."""
        with storage_errors(self._path):
            self._file.write(_text(asdict(entry)))
            self._file.flush()
            if isinstance(entry, EpochLine):  # on the disk before its checkpoint is
                os.fsync(self._file.fileno())


def lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; none if there is no such file."""
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a killed writer's last line
            continue
        if isinstance(line, dict) and isinstance(line.get("epoch"), int):
            found.append(line)
    return found


def is_log(path: Path) -> bool:
    """Is this file a log, even of a writer killed in its first line, or none at all?"""
    if not path.exists():
        return True
    with storage_errors(path), path.open("rb") as file:
        begin = file.read(len(_BEGIN))
    return _BEGIN.startswith(begin)


def is_begun(path: Path) -> bool:
    """Is this the log of a training that was killed within its first epoch, or in its first line?

    A finished training's has an epoch at least.
    """
    return path.is_file() and is_log(path) and not any("rate" not in x for x in lines(path))


def _before(line: Mapping[str, Any], epoch: int, step: int) -> bool:
    """Is a line of an epoch that was done, or of a step of the one that was stopped?"""
    return bool(line["epoch"] <= epoch or ("rate" in line and line["step"] <= step))


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line) + "\n"
