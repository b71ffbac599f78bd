"""What a detector was given: clips, a recording in memory, or what is mistaken for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeGuard

from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, SettingError


def are_clips(given: object, sr: float | None) -> TypeGuard[Sequence[Clip]]:
    """Are these clips? If not they are for NumPy, with their sample rate.

    Args:
        given: clips, or anything like an array.
        sr: sample rate in Hz; of an array alone.

    Raises:
        DatasetError: paths, one clip, a number, nothing.
        SettingError: `sr` missing or out of place.

    >>> are_clips([Clip(Path("a.wav"))], None), are_clips([], None), are_clips([[0.1]], 16_000)
    (True, True, False)
    """
    paths = isinstance(given, list | tuple) and any(isinstance(c, str | Path) for c in given)
    if paths or isinstance(given, str | Path | Clip):  # the commonest mistake
        called = "paths" if paths else "one clip" if isinstance(given, Clip) else repr(str(given))
        raise DatasetError(f"score takes clips, not {called}; give Clips.open(folder), or [clip]")
    # An empty list is clips: a folder without any is scored to no verdicts.
    if isinstance(given, Sequence) and all(isinstance(c, Clip) for c in given):
        if sr is not None:
            raise SettingError("sr is for arrays; files say their own sample rate")
        return True
    if given is None or isinstance(given, int | float):
        raise DatasetError(f"score takes clips, not {given!r}; give Clips.open(folder)")
    if sr is None:
        raise SettingError("an array needs its sample rate: score(audio, sr=48000)")
    return False


def is_clip(given: object, sr: float | None) -> TypeGuard[Clip]:
    """Is this one clip? If not it is for NumPy, with its sample rate.

    Args:
        given: a clip, or anything like an array.
        sr: sample rate in Hz; of an array alone.

    Raises:
        DatasetError: a path, several clips, a number, nothing.
        SettingError: `sr` missing or out of place.

    >>> is_clip(Clip(Path("a.wav")), None), is_clip([[0.1]], 16_000)
    (True, False)
    """
    if isinstance(given, Clip):
        if sr is not None:
            raise SettingError("sr is for arrays; files say their own sample rate")
        return True
    several = isinstance(given, Sequence) and any(isinstance(c, str | Path | Clip) for c in given)
    if given is None or several or isinstance(given, str | Path | int | float):
        raise DatasetError(
            f"explain takes one clip, not {given!r}"[:200] + "; give Clips.open(path)[0]"
        )
    if sr is None:
        raise SettingError("an array needs its sample rate: explain(audio, sr=48000)")
    return False
