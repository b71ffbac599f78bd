"""Clips heard once for many: each of several systems takes the rows of its own chains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nearfar.embedding.chain import Chain
from nearfar.embedding.jobs import Heard
from nearfar.embedding.rows import embed, warn_left_out
from nearfar.runtime.runtime import Runtime

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.sound.audio import ChannelOrder


@dataclass(frozen=True, eq=False)
class Hearing:
    """What some clips gave to some chains.

    Args:
        chains: in the order of each clip's rows.
        heard: every clip that could be used, in the order given.
        left_out: place among the clips given → why the clip there could not be used, a line.

    >>> from nearfar.clips.clip import Clip
    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Far, Near
    >>> near, far = Chain(Near(), LogMel()), Chain(Far(), LogMel())
    >>> hearing = Hearing((near, far), ((Clip("a.wav"), Heard(("near's", "far's"), 10.0)),))
    >>> [what.rows for _, what in hearing.of([far])]
    [("far's",)]
    """

    chains: tuple[Chain, ...]
    heard: tuple[tuple[Clip, Heard], ...]  # a clip left out has no place here
    left_out: Mapping[int, str] = field(default_factory=dict)

    def of(self, chains: Iterable[Chain]) -> list[tuple[Clip, Heard]]:
        """The same clips with the rows of some of the chains, in their order."""
        places = [self.chains.index(chain) for chain in chains]
        if places == list(range(len(self.chains))):  # all that was heard: nothing to copy
            return list(self.heard)
        return [
            (clip, replace(what, rows=tuple(what.rows[place] for place in places)))
            for clip, what in self.heard
        ]


def hear(
    clips: Sequence[Clip],
    chains: Iterable[Chain],
    runtime: Runtime,
    *,
    order: ChannelOrder = "near-far",
    digest: bool = True,
    skip_bad: bool = False,
    tell: bool = True,
) -> Hearing:
    """Hear clips once for all chains; see `embed` for arguments and errors.

    Clips left out by `skip_bad` are named in a warning each, unless the caller says that it tells
    of them itself.
    """
    # By equality, not by identity: members of an ensemble often hear alike.
    distinct = tuple(dict.fromkeys(chains))
    heard, left_out = embed(clips, distinct, runtime, order=order, digest=digest, skip_bad=skip_bad)
    for place, line in left_out.items() if tell else ():
        warn_left_out(line, clips[place])
    pairs = zip(clips, heard, strict=True)
    kept = tuple((clip, what) for clip, what in pairs if what is not None)
    return Hearing(distinct, kept, left_out)
