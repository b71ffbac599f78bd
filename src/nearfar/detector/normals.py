"""The normal clips of one machine: which of them count, in which order, and in which folds.

Folds come from what the near microphone heard. So a member holds out the same clips together in
every system that it is part of, whatever channels and front ends the other members take.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.training import clips_a_day, recording_blocks, session_sizes, sessions_of
from nearfar.detector.member import assign_folds
from nearfar.detector.section import A_DAY, DAYS, LARGEST, SESSIONS
from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard
from nearfar.scoring.bank import SOURCE, TARGET, Index

Key = tuple[str, str]  # machine, section
Pair = tuple[Clip, Heard]
FEWEST = 3  # different clips; with two, each would be judged by one


@dataclass(frozen=True, eq=False)
class Normals:
    """The normal clips of one machine and section, the same for all systems.

    Args:
        key: machine and section.
        everything: what was heard of each clip; copies too, to warn of.
        chains: in the order of each clip's rows.

    >>> from pathlib import Path
    >>> heard = [(Clip(Path(f"{d}.wav")), Heard((), 10.0, d, d)) for d in ("bb", "aa", "cc")]
    >>> normals = Normals(("fan", "00"), heard, ())
    >>> [what.digest for _, what in normals.group], sorted(normals.folds(10, seed=0).tolist())
    (['aa', 'bb', 'cc'], [0, 1, 2])
    """

    key: Key
    everything: Sequence[Pair]
    chains: tuple[Chain, ...]

    @cached_property
    def group(self) -> list[Pair]:
        """One clip for each audio (a target clip if any is), in an order of their own.

        What is fitted must depend neither on the order of files nor on copies of them.
        """
        # By digest, not by name: renamed or copied files give the same bank.
        return _distinct(self.everything, "digest")

    @cached_property
    def domain(self) -> NDArray[np.int8]:
        """(n,); a clip of unknown domain counts as source."""
        return _domains(self.group)

    @cached_property
    def sessions(self) -> dict[str, float]:
        """Facts of the sessions that the clips are of; none where no session is known."""
        clips = [clip for clip, _ in self.group]
        if not (sizes := session_sizes(clips)):
            return {}
        # The others are files of many parts.
        days = {s for s in sessions_of(clips) if s is not None} - {str(clip.path) for clip in clips}
        return {SESSIONS: float(len(sizes)), LARGEST: float(sizes[0]), DAYS: float(len(days)),
                **self._pace}  # fmt: skip

    @property
    def _pace(self) -> dict[str, float]:
        """How many clips a day they were recorded at, where that is known."""
        seconds = float(np.median([what.seconds for _, what in self.group]))
        pace = clips_a_day([clip for clip, _ in self.group], seconds)
        return {A_DAY: pace} if np.isfinite(pace) else {}

    def folds(self, count: int, seed: int) -> Index:
        """Deal the clips into folds, each domain evenly, parts of one recording together.

        Clips of one near channel are in one fold, for to a member that hears it alone they are one
        clip. The deal is theirs, so it is the same whichever channels were heard.

        Args:
            count: at most this many folds.
            seed: of the shuffle.

        Returns:
            (n,) fold numbers from 0, of `group`.
        """
        near = _distinct(self.everything, "near")
        if len(near) < FEWEST:  # a near microphone that hears nothing tells no clips apart
            blocks = recording_blocks([clip for clip, _ in self.group], count)
            return assign_folds(blocks, self.domain, count, seed)
        blocks = recording_blocks([clip for clip, _ in near], count)
        dealt = assign_folds(blocks, _domains(near), count, seed)
        of = {what.near: fold for (_, what), fold in zip(near, dealt, strict=True)}
        return np.array([of[what.near] for _, what in self.group], dtype=np.int64)


def _distinct(pairs: Iterable[Pair], by: Literal["digest", "near"]) -> list[Pair]:
    """One clip for each digest, a target clip if any has it, in the digests' order."""
    first: dict[str, Pair] = {}
    for pair in sorted(pairs, key=lambda pair: (pair[0].domain != "target", pair[0].name)):
        first.setdefault(pair[1].digest if by == "digest" else pair[1].near, pair)
    return [first[digest] for digest in sorted(first)]


def _domains(pairs: Iterable[Pair]) -> NDArray[np.int8]:
    return np.array([TARGET if c.domain == "target" else SOURCE for c, _ in pairs], dtype=np.int8)
