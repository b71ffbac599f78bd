"""The log of a training: one JSON object a line, one line a step and one an epoch."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from nearfar.files import storage_errors, write_text


@dataclass(frozen=True)
class Step:
    """One step of the optimizer.

    Args:
        epoch: counted from 1.
        epochs: of the training.
        step: counted from 1 over all epochs.
        steps: of the training.
        loss: mean over the batch, with DANN that of the domains in it.
        rate: learning rate of the last block.
        clips_per_s: in steps, since this process began.
        seconds_left: of the training, at the speed so far.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rate: float
    clips_per_s: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Args:
        epoch: counted from 1.
        epochs: of the training.
        step: the last one, counted from 1 over all epochs.
        loss: mean over the epoch's clips, while they were trained on.
        held_out_loss: mean over the held-out normals; None without any.
        held_out_accuracy: share of them nearest to the centre of their class, 0–1.
        clips_per_s: as of its last step.
        seconds: with held-out normals.
    """

    epoch: int
    epochs: int
    step: int
    loss: float
    held_out_loss: float | None
    held_out_accuracy: float | None
    clips_per_s: float
    seconds: float


Watch = Callable[[Step | Epoch], None]
_BEGIN = b'{"epoch": '


class Log:
    """A JSONL file that grows while the training runs.

    Args:
        path: the file; None writes nothing.
        after: the epoch that the training goes on after; later lines, of a training that was
            killed, are dropped. 0 begins a new file.

    Raises:
        StorageError: the file cannot be written.
    """

    def __init__(self, path: Path | None, after: int = 0) -> None:
        self._path = path
        if path is not None:
            kept = [line for line in lines(path) if line["epoch"] <= after] if after else []
            write_text(path, "".join(map(_text, kept)))
        with storage_errors(path or Path()):
            self._file = path.open("a", encoding="utf-8") if path is not None else None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __call__(self, entry: Step | Epoch) -> None:
        """Write one line."""
        if self._file is not None and self._path is not None:
            with storage_errors(self._path):
                self._file.write(_text(asdict(entry)))
                self._file.flush()
                if isinstance(entry, Epoch):  # on the disk before its checkpoint is
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


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line) + "\n"
