"""Which clips may be learned from, which class each belongs to, which of them lie together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips
from nearfar.errors import DatasetError, SettingError


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
    raise DatasetError(text)


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


def recording_blocks(clips: Sequence[Clip], folds: int) -> NDArray[np.int64]:
    """Which clips must share a fold: neighbouring parts of one long recording sound alike.

    Args:
        clips: (n,).
        folds: how many folds there will be.

    Returns:
        (n,) block numbers. A file that is one clip is a block; the parts of a recording make as
        few blocks, each of consecutive parts, as let all recordings together fill the folds.
    """
    # Neighbours in two folds would judge each other: self-scores and thresholds too low.
    whole = [clip.start == 0 and clip.stop is None for clip in clips]
    recordings = sorted({str(c.path) for c, w in zip(clips, whole, strict=True) if not w})
    # Rounded up: with fewer blocks than folds some folds would be empty.
    pieces = -(-folds // len(recordings)) if recordings else 1
    blocks: NDArray[np.int64] = np.empty(len(clips), dtype=np.int64)
    singles = np.flatnonzero(whole)
    blocks[singles] = np.arange(len(singles))
    used = len(singles)
    for recording in recordings:
        parts = [i for i, c in enumerate(clips) if not whole[i] and str(c.path) == recording]
        parts.sort(key=lambda i: clips[i].start)
        pieces_here = min(pieces, len(parts))  # a recording of three parts has no four blocks
        blocks[parts] = used + np.arange(len(parts)) * pieces_here // len(parts)
        used += pieces_here
    return blocks
