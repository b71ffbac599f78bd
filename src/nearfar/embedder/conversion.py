"""The folder that a conversion writes, of any encoder: there whole or not at all. No torch here."""

from __future__ import annotations

import glob
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.embedder.tensorfile import Shape, header_bytes
from nearfar.embedder.weights import CONFIG, TENSORS
from nearfar.errors import StorageError, WeightsError
from nearfar.files import STALE, atomic_file, file_age, storage_errors, write_text


def check_folder(out: Path) -> None:
    """Refuse a folder that has something in it, before minutes are spent.

    Raises:
        StorageError: a file, or a folder that is not empty.
    """
    with storage_errors(out):
        if out.exists() and not out.is_dir():
            raise StorageError(f"{out}: is a file; choose a new folder")
        if out.exists() and any(out.iterdir()):
            raise StorageError(f"{out}: has files in it; choose a new folder")


def refuse_damaged(checkpoint: Path, name: str | None) -> None:
    """Refuse a checkpoint with a tensor whose numbers no encoder can have.

    Args:
        checkpoint: where it is from, for the message.
        name: of the tensor; None if all are sound.
    """
    if name is not None:
        raise WeightsError(
            f"{checkpoint}: tensor {name!r} has numbers that it cannot have; download it again, or "
            "take another checkpoint"
        )


def write_folder(
    checkpoint: Path,
    out: Path,
    config: Mapping[str, Any],
    shapes: Mapping[str, Shape],
    numbers: Callable[[str], NDArray[np.float32]],
    check: Callable[[Path], object],
) -> None:
    """A folder beside the place, checked, then renamed into it.

    Args:
        checkpoint: where the tensors are from, for messages.
        out: a folder that is not there, or is empty.
        config: of the encoder.
        shapes: of the tensors, by their names in the file.
        numbers: gives one of them by its name; asked once for each, one after the other.
        check: opens the folder, and raises what is wrong with it.

    Raises:
        WeightsError: numbers that are not finite, or what `check` raises.
        StorageError: the folder cannot be written.
    """
    with storage_errors(out):
        out = out.resolve()
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f".{glob.escape(out.name[:40])}.*"):
            if (left / CONFIG).is_file() and file_age(left) > STALE:  # its writer was killed
                shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name[:40]}.", dir=out.parent))
        try:
            write_text(part / CONFIG, json.dumps(config, indent=2) + "\n")
            _write_tensors(checkpoint, part / TENSORS, shapes, numbers)
            check(part)
            part.chmod(0o755)
            if out.exists():
                out.rmdir()  # it is empty; some systems do not rename over a folder
            part.rename(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def _write_tensors(
    checkpoint: Path,
    target: Path,
    shapes: Mapping[str, Shape],
    numbers: Callable[[str], NDArray[np.float32]],
) -> None:
    """One tensor after the other: a large encoder is never in memory twice."""
    with atomic_file(target) as file:
        file.write(header_bytes(shapes, "F32", {"format": "pt"}))
        for name in sorted(shapes):
            values = numbers(name)
            if not np.isfinite(values).all():
                raise WeightsError(
                    f"{checkpoint}: tensor {name!r} has numbers that are not finite; download it "
                    "again, or take another checkpoint"
                )
            file.write(values.astype("<f4", copy=False).tobytes())
