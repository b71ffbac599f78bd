"""Which clips may be learned from, which class each belongs to, which of them lie together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip, parse_name
from nearfar.clips.collection import Clips
from nearfar.errors import DatasetError, SettingError

# 2024-11-04, 20241104 or 2024_11_04, as recorders name a day's folder.
_DAY = re.compile(r"(19|20)\d\d([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])")


def check_training(clips: Clips | Sequence[Clip], doing: str = "fit") -> None:
    """Refuse what nothing may be fitted or trained on: no clips, test clips, anomalies (law 4).

    Args:
        clips: to fit or train on.
        doing: which of the two, for messages.

    Raises:
        DatasetError: says which clip.
    """
    # A folder given for clips is the commonest mistake, and a text is a sequence, too.
    if isinstance(clips, str | Path) or not isinstance(clips, Sequence):
        given = repr(clips) if isinstance(clips, str | Path) else type(clips).__name__
        raise DatasetError(
            f"{doing} takes clips, not {given}; give Clips.open(folder, split='train')"
        )
    if not len(clips):
        raise DatasetError(f"no clips to {doing} on; give a folder with WAV or FLAC recordings")
    for clip in clips:
        if not isinstance(clip, Clip):
            raise DatasetError(f"{doing} takes clips, not {clip!r}; give Clips.open(folder)")
        # The machine is the key by which a detector finds its section, and part of file names.
        if not clip.machine or not clip.machine.isprintable():
            raise DatasetError(
                f"{clip.name}: a machine called {clip.machine!r}; name it in letters"
            )
        if clip.label == "anomaly":
            raise DatasetError(
                f"{clip.name}: labelled anomalous; {doing} on normal clips only, as in "
                "Clips.open(folder, split='train')"
            )
        if clip.split == "test":
            raise DatasetError(f"{clip.name}: a test clip; {doing} on the train split only")


def faults(clips: Sequence[Clip]) -> list[str]:
    """What listing found wrong, a line for each clip that cannot be used, in their order."""
    return [clip.fault for clip in clips if clip.fault]


def refuse_faults(clips: Sequence[Clip]) -> None:
    """Stop where clips have faults and nobody said that those may be left out.

    Raises:
        DatasetError: one line; the first fault whole, the names of a few more, how many there are.
    """
    bad = [clip for clip in clips if clip.fault]
    if not bad:
        return
    others = ", ".join(clip.path.name for clip in bad[1:4])
    more = f" and {len(bad) - 4} more" if len(bad) > 4 else ""
    rest = f" (and likewise {others}{more})" if others else ""
    # A message has at most 500 characters: of long names the count is left.
    text = f"{len(bad)} of {len(clips)} files cannot be used: {bad[0].fault}{rest}"
    if len(text) > 500:
        text = f"{len(bad)} of {len(clips)} files cannot be used: {bad[0].fault}"[:500]
    error = DatasetError(text)
    error.faults = tuple(str(DatasetError(clip.fault)) for clip in bad if len(bad) > 1)
    raise error


def proxy_classes(
    clips: Clips, *, rule: Literal["train", "report"] = "train"
) -> dict[Clip, tuple[str, str, str]]:
    """The class of each clip for metric learning: (machine, section, attributes).

    A section without attributes has its two domains as classes (an unknown domain is source).

    Args:
        clips: any; which of them get a class is up to the rule.
        rule: "train": normal training clips, case-folded: 42 classes on the 2026 development data.
            "report": the names of test clips as well, case-sensitive. Only that gives the report's
            43, of which the last is `pro_y`, a misspelt `pro_Y` that no training clip has.

    Raises:
        SettingError: an unknown rule.
    """
    if rule == "train":
        used = [c for c in clips if c.split != "test" and c.label != "anomaly"]
    elif rule == "report":  # evaluation clips are nameless: nothing to learn from
        used = [c for c in clips if c.split != "test" or c.label is not None]
    else:
        raise SettingError(f"rule {rule!r}; it is 'train' or 'report'")
    # One kind of class for a whole section, attributes where any clip of it has some (§2.2).
    told = {(c.machine, c.section) for c in used if c.attributes}
    classes: dict[Clip, tuple[str, str, str]] = {}
    for c in used:
        own = c.attributes if (c.machine, c.section) in told else c.domain or "source"
        classes[c] = (c.machine, c.section, own.casefold() if rule == "train" else own)
    return classes


def session_of(clip: Clip) -> str | None:
    """What a clip was recorded in one go with: its day, or the long recording it is a part of.

    Returns:
        The day, of the clip's time or of a folder named like a date; else the file of a part;
        None for a file of its own, and for one with a name of the DCASE form.

    >>> session_of(Clip(Path("zoom/2024-11-04/ZOOM0001.WAV")))
    '2024-11-04'
    >>> session_of(Clip(Path("hour.wav"), start=10.0, stop=20.0)), session_of(Clip(Path("a.wav")))
    ('hour.wav', None)
    """
    if parse_name(clip.path.name) is not None:  # its data set's folds are published ones
        return None if _whole(clip) else str(clip.path)
    # When clips carry no time the folder's name is all that is left of the day.
    if clip.time is not None:
        return clip.time.date().isoformat()
    folder = clip.path.parent
    if folder.name.casefold() in ("near", "far"):  # halves of a pair lie one folder deeper
        folder = folder.parent
    if day := _DAY.fullmatch(folder.name):
        return "-".join((folder.name[:4], day[3], day[4]))
    return None if _whole(clip) else str(clip.path)


def _whole(clip: Clip) -> bool:
    return clip.start == 0 and clip.stop is None


def recording_blocks(clips: Sequence[Clip], folds: int) -> NDArray[np.int64]:
    """Which clips must share a fold: neighbouring parts of one session sound alike.

    Args:
        clips: (n,).
        folds: how many folds there will be.

    Returns:
        (n,) block numbers. A file that is one clip, of no known day, is a block. A session
        (`session_of`) is one block; one of more than half of the clips makes as many blocks of
        consecutive parts as there are folds.
    """
    sessions = [session_of(clip) for clip in clips]
    named = sorted({name for name in sessions if name is not None})
    blocks: NDArray[np.int64] = np.empty(len(clips), dtype=np.int64)
    singles = [i for i, name in enumerate(sessions) if name is None]
    blocks[singles] = np.arange(len(singles))
    used = len(singles)
    for session in named:
        parts = [i for i, name in enumerate(sessions) if name == session]
        # Files without a time are in the order of their names, as recorders number them.
        parts.sort(key=lambda i: (str(clips[i].time or ""), str(clips[i].path), clips[i].start))
        # Neighbours in two folds judge each other: self-scores and thresholds too low. A lone
        # session must be cut all the same: without it too little is left to be held against.
        pieces = folds if 2 * len(parts) > len(clips) else 1
        pieces_here = min(pieces, len(parts))  # a recording of three parts has no four blocks
        blocks[parts] = used + np.arange(len(parts)) * pieces_here // len(parts)
        used += pieces_here
    return blocks
