"""The members of a system apart: what each is called, what it says, what it holds nearest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.explanation.explanation import Neighbour, Share
from nearfar.detector.member import Member
from nearfar.detector.section import DOMAINS, Judge, TrainingClip
from nearfar.embedder.concatenated import Concatenated
from nearfar.embedder.contract import innermost
from nearfar.embedding.jobs import Heard
from nearfar.scoring.bank import Index, Rows
from nearfar.scoring.parted import bands_of
from nearfar.scoring.rule import judged

if TYPE_CHECKING:
    from nearfar.system.system import System

# What parts of ours are to a person; others are called by their class.
_EMBEDDERS = {
    "DIF": "named features (DIF)", "LogMel": "mean log-mel spectrum", "EAT": "encoder (EAT)",
    "BEATs": "encoder (BEATs)", "YAMNet": "encoder (YAMNet)", "ENV": "modulation (ENV)",
    "LTAS": "long-term spectrum (LTAS)",
}  # fmt: skip
_FRONTENDS = {
    "Near": "of the near microphone",
    "Far": "of the far microphone",
    "Stereo": "of both microphones",
    "CoherenceMask": "of near through the coherence mask",
    "FarCancel": "of near with far cancelled",
}
_DOMAIN_NAMES = {number: name for name, number in DOMAINS.items()}


@dataclass(frozen=True, eq=False)
class Heeded:
    """What one member makes of one clip.

    Args:
        recipe, member: its system, and that fitted.
        name: for a person.
        row: (dim,) of the clip, as embedded.
        scaled: (dim,) adapted and whitened, as the bank's rows.
        distance: what its rule says.

    >>> from nearfar.system.presets import logmel
    >>> rows = np.eye(3, 128, dtype=np.float32)
    >>> member = Member(rows, np.arange(3), np.zeros(3, np.int8), None, np.ones(3))
    >>> heed(logmel(), member, "log-mel", rows[0]).nearest[0]
    array([0., 1., 1.])
    """

    recipe: System
    member: Member
    name: str
    row: NDArray[np.floating]
    scaled: Rows
    distance: float

    @cached_property  # several questions begin with it
    def nearest(self) -> tuple[Rows, Index]:
        """All rows of the bank: distances, rising, and places."""
        distances, rows = self.member.bank.neighbours(
            self.scaled[None], len(self.member.bank), self.recipe.rule.metric
        )
        return distances[0], rows[0]


def heed(recipe: System, member: Member, name: str, row: NDArray[np.floating]) -> Heeded:
    """What a member makes of a clip's row, (dim,)."""
    scaled = member.scale(row[None])
    distance = float(judged(recipe.rule, scaled, member.bank)[0])
    return Heeded(recipe, member, name, row, scaled[0], distance)


def heeded(judge: Judge, what: Heard) -> list[Heeded]:
    """What each member makes of what was heard of one clip."""
    places = [judge.chains.index(recipe.chain) for recipe in judge.members]
    names = names_of(judge.members)
    return [
        heed(recipe, member, name, what.rows[place])
        for recipe, member, name, place in zip(
            judge.members, judge.section.members, names, places, strict=True
        )
    ]


def names_of(members: Sequence[System]) -> list[str]:
    """What members are called, each differently.

    >>> from nearfar.system.presets import s2, s3
    >>> names_of(s3("eat").members)
    ['named features (DIF) of both microphones', 'encoder (EAT) of the near microphone']
    >>> names_of(s2("a", "b").members)[1]
    'encoder (EAT) of near through the coherence mask, 2 of 2'
    """
    # Members of one kind are seeds, or settings that no name could tell: they are counted.
    names = [_called(member) for member in members]
    many, seen, told = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        told.append(f"{name}, {seen[name]} of {many[name]}" if many[name] > 1 else name)
    return told


def _called(member: System) -> str:
    inner, frontend = innermost(member.embedder), type(member.frontend).__name__
    behind = _FRONTENDS.get(frontend, f"behind {frontend}")
    if isinstance(inner, Concatenated):
        parts = ", ".join(type(part).__name__ for part in inner.parts)
        return f"named features ({parts}) {behind}"
    name = _EMBEDDERS.get(type(inner).__name__, type(inner).__name__)
    in_bands = " in bands" if bands_of(member.rule) > 1 else ""
    return f"{name}{in_bands} {behind}"


def shares_of(judge: Judge, members: Sequence[Heeded]) -> tuple[Share, ...]:
    """What each member says, and its share of the score."""
    weights = [float(w) for w in judge.weights]
    scores = [
        float(calibrated(np.array([one.distance]))[0])
        for calibrated, one in zip(judge.calibrated, members, strict=True)
    ]
    if judge.fusion == "minimum":  # one member says all of it
        least = int(np.argmin(scores))
        weights = [float(i == least) for i in range(len(scores))]
    # What lies below a calibration's zero lowers the score: of its rise it has no share.
    raised = [max(w * s, 0.0) for w, s in zip(weights, scores, strict=True)]
    total = sum(raised)
    return tuple(
        Share(one.name, weight, one.distance, score, part / total if total > 0 else weight)
        for one, weight, score, part in zip(members, weights, scores, raised, strict=True)
    )


def neighbours_of(
    one: Heeded, clips: Sequence[TrainingClip], count: int
) -> list[tuple[TrainingClip, Neighbour]]:
    """The nearest normal clips, each by its nearest row.

    Args:
        one: the member that is asked.
        clips: of its section, in the order of its real rows.
        count: at most so many.
    """
    # All rows: of the nearest many may have been made of one clip.
    distances, rows = one.nearest
    member = one.member
    # Real rows come first, one a clip: the first with an origin is the clip's own.
    clip_of = {int(o): clip for o, clip in reversed([*zip(member.origin, clips, strict=False)])}
    found: dict[int, tuple[TrainingClip, Neighbour]] = {}
    for distance, row in zip(distances, rows, strict=True):
        origin = int(member.origin[row])
        if origin in found:
            continue
        clip = clip_of[origin]
        domain = _DOMAIN_NAMES[int(member.domain[row])]
        found[origin] = clip, Neighbour(clip.name, domain, float(distance), int(row) >= len(clips))
        if len(found) == count:
            break
    return list(found.values())
