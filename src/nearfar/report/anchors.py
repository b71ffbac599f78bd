"""What others reached on the same data, as data: numbers, and where each was published.

They stand in `anchors.json`, in per cent. A table shows them beside ours only where the clips are
those that they are about, as far as names, counts and channels can tell: beside other data they
would say something that is not so.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from nearfar.clips.clip import Clip, parse_name


@dataclass(frozen=True)
class Anchor:
    """A published system.

    >>> load().systems[0].system
    'baseline MSE'
    """

    system: str
    omega: float  # per cent, over all machines
    machines: Mapping[str, float]  # per cent, the harmonic mean of a machine's three figures
    source: str


@dataclass(frozen=True)
class Anchors:
    """All of one data set.

    >>> load().machines[0], load().cell
    ('ToyCar', 50)
    """

    title: str  # of the data set
    what: str  # the numbers are
    cell: int  # clips of each machine, domain and label in its test set
    systems: tuple[Anchor, ...]

    @property
    def machines(self) -> tuple[str, ...]:
        """The data set's machines, in the order of its own tables."""
        return tuple(self.systems[0].machines)


@cache
def load() -> Anchors:
    """Read what the package ships.

    >>> load().title
    'DCASE 2026 Task 2, development set'
    """
    text = files("nearfar.report").joinpath("anchors.json").read_text(encoding="utf-8")
    data = json.loads(text)
    return Anchors(
        data["title"], data["what"], data["cell"], tuple(Anchor(**one) for one in data["systems"])
    )


def are_published(clips: Sequence[Clip], channels: int, simulated: str) -> frozenset[str]:
    """Machines whose clips are, as far as one can tell, those that published numbers are about.

    Machines of the same names are in the data of other years, which have one channel, and in
    simulated data, which say so; a plant may have a fan, too, but not with clips of these names
    and counts.

    Args:
        clips: labelled test clips.
        channels: that each of them has.
        simulated: what the data say of themselves; "" for recordings.
    """
    if simulated or channels < 2:
        return frozenset()
    known = load()
    whole = {
        (d, label): known.cell for d in ("source", "target") for label in ("normal", "anomaly")
    }
    return frozenset(
        machine
        for machine in known.machines
        if (mine := [clip for clip in clips if clip.machine == machine])
        and all(_is_official(clip) for clip in mine)
        and Counter((clip.domain, clip.label) for clip in mine) == whole
    )


def _is_official(clip: Clip) -> bool:
    name = parse_name(clip.path.name)
    whole = clip.stop is None and clip.far is None and clip.section == "00"
    return whole and name is not None and name.split == "test"
