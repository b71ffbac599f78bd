"""Where a training writes, and what it does not write over. No torch here."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nearfar.errors import SettingError, StorageError
from nearfar.training.log import is_begun, is_log

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Files:
    """Where a training writes.

    >>> Files.beside("s1.safetensors").log.name
    's1.jsonl'
    """

    out: Path  # the trained encoder
    checkpoint: Path  # where the training stands; gone when it is finished
    log: Path  # one JSON object a line

    @classmethod
    def beside(cls, out: str | os.PathLike[str]) -> Files:
        """The files of a result.

        Raises:
            SettingError: not a .safetensors file.
            StorageError: its folder is not there, or cannot be written to.
        """
        path = Path(out)
        if path.suffix != SUFFIX:
            raise SettingError(f"{path}: the result is one file; call it {path.stem}{SUFFIX}")
        if not os.access(path.parent, os.W_OK) or path.is_dir():
            why = "is a folder" if path.is_dir() else f"{path.parent} cannot be written to"
            raise StorageError(f"{path}: {why}; choose another place")
        return cls(path, path.with_suffix(f".checkpoint{SUFFIX}"), path.with_suffix(".jsonl"))

    def tidy(self) -> None:
        """Remove what a killed training left half-written: gigabytes, with a large encoder."""
        for name in (self.checkpoint.name, self.out.name):
            for part in self.out.parent.iterdir():
                # `atomic_file` cuts longer names off: such a part may be another training's.
                if len(name) <= 40 and part.name.startswith(f".{name}."):
                    with suppress(OSError):
                        part.unlink()

    def refuse_existing(self, resume: bool) -> None:
        """Overwrite nothing; going on, only a log is, and what else is there is judged later.

        Raises:
            StorageError: what is there.
        """
        if resume:
            if not is_log(self.log):  # somebody's own notes, perhaps
                raise StorageError(
                    f"{self.log}: is there already, and no log of a training; choose another name "
                    "for the result, or move it away"
                )
            return
        if self.out.exists():
            raise StorageError(f"{self.out}: is there already; choose another name, or delete it")
        if self.checkpoint.exists():
            raise StorageError(
                f"{self.checkpoint}: a training that was stopped; --resume goes on with it, or "
                "delete it to begin anew"
            )
        # Killed before its first checkpoint a training has nothing that a new one could spoil.
        if self.log.exists() and not is_begun(self.log):
            first = ", --resume to go on with a training" if is_log(self.log) else ""
            raise StorageError(
                f"{self.log}: is there already, and the log would replace it; choose another name "
                f"for the result, or delete it{first}"
            )
