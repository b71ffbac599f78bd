"""Labels of a test split: by clips' own names, by a ground truth, or by nothing.

Of the task's development machines the names tell labels, of its evaluation machines a file does,
months later. Machines of all three kinds may lie in one data set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.clips import Clips
from nearfar.errors import DatasetError
from nearfar.scores.join import ScoredFile, join
from nearfar.scores.truth import Truth, read_truth, section_name
from nearfar.scores.verdict import Scores

if TYPE_CHECKING:
    from nearfar.clips import Clip

Key = tuple[str, str]  # machine, section as official files write it


@dataclass(frozen=True)
class Labels:
    """What is known of the test clips, by machine and section.

    >>> from nearfar.clips import Clip
    >>> labelled = Clip(Path("a.wav"), machine="fan", label="normal")
    >>> found = labels_of(Clips([labelled, Clip(Path("b.wav"), machine="X")]))
    >>> found.named, found.unknown
    ((('fan', '00'),), (('X', '00'),))
    """

    truth: Truth  # of all clips that have a label
    named: tuple[Key, ...]  # sections whose clips' names tell it
    brought: tuple[Key, ...] = ()  # sections that a ground truth labels
    unknown: tuple[Key, ...] = ()  # sections without labels

    @property
    def known(self) -> frozenset[Key]:
        """Sections that can be judged."""
        return frozenset((*self.named, *self.brought))

    @property
    def machines(self) -> tuple[str, ...]:
        """Machines that have a section without labels."""
        return tuple(dict.fromkeys(machine for machine, _ in self.unknown))

    def judged(self, scores: Scores) -> Scores:
        """The verdicts on clips that have a label."""
        return of_sections(scores, self.known)


def labels_of(test: Clips, truth: Path | None = None) -> Labels:
    """Find the labels of test clips.

    A section in the ground truth has its labels from there, whatever its clips are called.

    Args:
        test: the clips.
        truth: ground truth, in any form that `read_truth` reads; None: names alone tell.

    Raises:
        DatasetError: a section of which some clips have a label and some have none, or a ground
            truth of other clips.
        FormatError: a ground truth that cannot be read.
    """
    read = read_truth(truth) if truth is not None else Truth(())
    told = tuple(dict.fromkeys((row.machine, section_name(row.section)) for row in read.rows))
    sections: dict[Key, list[Clip]] = {}
    for clip in test:
        sections.setdefault(key_of(clip), []).append(clip)
    named: list[Key] = []
    unknown: list[Key] = []
    for key, clips in sections.items():
        if key in told:
            continue
        silent = [clip for clip in clips if clip.label is None]
        if silent and len(silent) < len(clips):
            raise DatasetError(
                f"{silent[0].path}: no label in its name, {len(clips) - len(silent)} others of "
                f"{key[0]} have one; give the ground truth with --truth FILE"
            )
        (unknown if silent else named).append(key)
    own = Truth.from_clips(clip for key in named for clip in sections[key])
    everything = Truth((*read.rows, *own.rows))
    if truth is not None:
        _check_fit(everything, [c for key in sections if key not in unknown for c in sections[key]])
    return Labels(everything, tuple(named), told, tuple(unknown))


def _check_fit(truth: Truth, clips: list[Clip]) -> None:
    """Refuse labels that are not those of the clips, in the words in which scores would be."""
    # Before anything is heard or fitted: joined by name, scores of 0 tell the same as real ones.
    join(
        [
            ScoredFile(c.machine, section_name(c.section), c.key, 0.0, where=str(c.path))
            for c in clips
        ],
        truth,
    )


def of_sections(scores: Scores, keys: Iterable[Key]) -> Scores:
    """The verdicts on clips of some sections, in the same order."""
    wanted = frozenset(keys)
    return Scores(v for v in scores if key_of(v.clip) in wanted)


def key_of(clip: Clip) -> Key:
    """Machine and section as official files write it."""
    return clip.machine, section_name(clip.section)


def refuse_unknown(labels: Labels, test: Clips) -> None:
    """Refuse clips without labels where all are to be judged.

    Raises:
        DatasetError: a section has none.
    """
    for clip in test:
        if key_of(clip) in labels.unknown:
            raise DatasetError(
                f"{clip.path}: no label in its name; give the ground truth with --truth FILE, or "
                "choose by balance, which needs no labels"
            )
