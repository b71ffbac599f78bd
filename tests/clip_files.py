"""Files that clips are found in, and how their faults are told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import soundfile

import conftest
from nearfar.clips import Clip
from nearfar.errors import DatasetError

refused = partial(conftest.refused, error=DatasetError)


def lay(root: Path, *names: str) -> Path:
    """Empty files: what a clip is does not depend on its sound."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def record(path: Path, seconds: float, channels: int = 2, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, (round(seconds * rate), channels)), rate)
    return path


def row(clip: Clip) -> tuple[str | None, ...]:
    return clip.section, clip.split, clip.domain, clip.label, clip.attributes
