"""Normal recordings to be heard beside a clip: listed once, and again when a folder has changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from nearfar.clips.clip import Clip
from nearfar.detector.explanation.recordings import normals_of
from nearfar.errors import NearfarError

Known = tuple[tuple[str, int], ...]  # folders, and when each was changed, ns


class NormalSounds:
    """What lies in folders of normal recordings; asked from any thread.

    >>> NormalSounds()([Path("no/such/folder")])
    []
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[Path, tuple[Known, tuple[Clip, ...]]] = {}

    def __call__(self, folders: Sequence[Path]) -> list[Clip]:
        """All clips in them; of a folder that is gone, or has none, none."""
        with self._lock:
            return [clip for folder in folders for clip in self._of(folder)]

    def _of(self, folder: Path) -> tuple[Clip, ...]:
        known, clips = self._found.get(folder, ((), ()))
        if not known or any(_changed(below) != at for below, at in known):
            known = _folders(folder)  # first: what comes while it is listed is found next time
            clips = _listed(folder)
            self._found[folder] = known, clips
        return clips


def _listed(folder: Path) -> tuple[Clip, ...]:
    try:
        return tuple(normals_of(folder))
    except NearfarError:  # they are for listening: without them a clip is explained all the same
        return ()


def _folders(folder: Path) -> Known:
    """The folder and all below it."""
    return tuple((below, _changed(below)) for below, _, _ in os.walk(folder))


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return -1
