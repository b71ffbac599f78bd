"""What is kept of each clip and of how it was held out, as tensors, and back, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.traces import NUMBERS, Traces, Workings
from nearfar.errors import FormatError
from nearfar.scoring.bank import Index

DIGEST, SESSION = 32, 16  # bytes of a sha256, and of what tells sessions apart
Tensors = Mapping[str, NDArray[Any]]


def traces_data(traces: Traces, prefix: str = "clips.") -> dict[str, NDArray[Any]]:
    """For a bank's file; near channels that nobody hashed are zeros."""
    return {
        f"{prefix}near": _bytes(traces.near, DIGEST),
        f"{prefix}session": _bytes(traces.session, SESSION),
        f"{prefix}numbers": np.ascontiguousarray(traces.numbers, dtype=np.float64),
    }


def traces_in(tensors: Tensors, clips: int, prefix: str = "clips.") -> Traces | None:
    """Back from a bank's file; None from one that has none.

    Raises:
        FormatError: they do not fit the clips.
    """
    if f"{prefix}numbers" not in tensors:
        return None
    near, session = tensors[f"{prefix}near"], tensors[f"{prefix}session"]
    numbers = tensors[f"{prefix}numbers"]
    wanted = ((clips, DIGEST), (clips, SESSION), (clips, len(NUMBERS)))
    if (near.shape, session.shape, numbers.shape) != wanted or near.dtype != np.uint8:
        raise FormatError("what is kept of its clips does not fit them; fit again")
    return Traces(_texts(near), _texts(session), numbers.astype(np.float64))


def workings_data(workings: Workings) -> dict[str, NDArray[Any]]:
    """For a bank's file, by names that follow the member's number."""
    return {
        "folds": workings.folds.astype(np.int32),
        "made": workings.made.astype(np.int64),
        "spare": np.ascontiguousarray(workings.spare),
        "spare_of": workings.spare_of.astype(np.int64),
    }


def workings_in(tensors: Tensors, i: int, made: Index, dim: int, clips: int) -> Workings | None:
    """Back from a bank's file; None from one that has none.

    Args:
        tensors: of the file.
        i: the member's number.
        made: (rows,) origins of the made rows.
        dim: numbers a row.
        clips: how many.

    Raises:
        FormatError: they do not fit the bank.
    """
    if f"{i}.folds" not in tensors:
        return None
    folds = tensors[f"{i}.folds"].astype(np.int64)
    counts, spare, of = (tensors[f"{i}.{name}"] for name in ("made", "spare", "spare_of"))
    if (
        folds.shape != (clips,)
        or counts.ndim != 1
        or (counts < 0).any()
        or int(counts.sum()) != len(made)
        or spare.shape != (len(of), dim)
        or of.shape != (len(spare), 2)
        or not np.isfinite(spare).all()
    ):
        raise FormatError(f"member {i}: folds that do not fit its clips; fit again")
    return Workings(folds, counts, spare, of)


def _bytes(digests: tuple[str, ...], size: int) -> NDArray[np.uint8]:
    """(n, size), of hexadecimal texts; what is no such text is zeros, as an empty one."""
    # Of one width, as an array must have it.
    text = [digest.rjust(2 * size, "0")[-2 * size :] for digest in digests]
    return np.frombuffer(bytes.fromhex("".join(text)), np.uint8).reshape(len(digests), size).copy()


def _texts(rows: NDArray[np.uint8]) -> tuple[str, ...]:
    """Back; all zeros are an empty text."""
    return tuple(row.tobytes().hex() if row.any() else "" for row in rows)
