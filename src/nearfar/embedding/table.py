"""Embeddings of clips as a table that other programs can read: an .npz file without pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import hear
from nearfar.errors import DatasetError
from nearfar.files import atomic_file
from nearfar.runtime.runtime import Runtime

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder.contract import Rows32
    from nearfar.sound.audio import ChannelOrder


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What an embedder made of some clips.

    Args:
        rows: (clips, dim) float32.
        clips: in the same order.
        chain: what made them.

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Near
    >>> Embeddings(np.zeros((0, 128), np.float32), (), Chain(Near(), LogMel())).rows.shape
    (0, 128)
    """

    rows: Rows32
    clips: tuple[Clip, ...]
    chain: Chain


def embeddings(
    clips: Sequence[Clip],
    chain: Chain,
    runtime: Runtime,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
) -> Embeddings:
    """Embed clips; nothing is fitted.

    Args:
        clips: any, of any split.
        chain: front end and embedder.
        runtime: how to compute.
        order: which channel of a file is near.
        skip_bad: leave out clips that cannot be used, with a warning for each.

    Raises:
        AudioError: a clip that cannot be used.
        DatasetError: none is left.
    """
    # A digest is for banks and trained encoders; here it would cost time and tell nobody anything.
    kept = hear(clips, (chain,), runtime, order=order, digest=False, skip_bad=skip_bad).heard
    if not kept:
        raise DatasetError(f"none of the {len(clips)} clips can be used; record them again")
    return Embeddings(
        np.stack([what.rows[0] for _, what in kept]), tuple(clip for clip, _ in kept), chain
    )


def is_table(path: Path) -> bool:
    """Is a file plainly a table that `write_npz` wrote?"""
    try:
        with zipfile.ZipFile(path) as file:
            return {"embeddings.npy", "made_by.npy"} <= set(file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def write_npz(path: Path, table: Embeddings) -> None:
    """Write embeddings, whole or not at all.

    The file has `embeddings` (clips, dim) float32, and texts of equal length: `path`, `machine`,
    `section`, `domain`, `split`, `label`, `attributes` ("" where unknown), `start` in seconds, and
    `made_by`, the front end and embedder with the hash of its weights. `numpy.load` reads it.

    Raises:
        StorageError: it cannot be written.
    """
    clips = table.clips
    # Fixed-width texts: an array of objects would be a pickle.
    texts = {
        name: np.array([getattr(clip, name) or "" for clip in clips], dtype=np.str_)
        for name in ("machine", "section", "domain", "split", "label", "attributes")
    }
    arrays: dict[str, Any] = {
        "embeddings": table.rows,
        # Forward slashes on every system, so that a table can be read on another one.
        "path": np.array([clip.path.as_posix() for clip in clips], dtype=np.str_),
        "start": np.array([clip.start for clip in clips], dtype=np.float64),  # s
        "made_by": np.array(table.chain.key, dtype=np.str_),
        **texts,
    }
    with atomic_file(path) as file:
        np.savez(file, **arrays)
