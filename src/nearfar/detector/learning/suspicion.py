"""Clips to be learnt that stand out from what a detector knows, by the judgement of `fit`.

Each is held against the clips known alone: twenty of another machine would else be a way to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.detector.member import NormalRows
from nearfar.detector.section import Section
from nearfar.detector.standouts import FEWEST, Fitted, few_known, newcomers_far
from nearfar.embedding.jobs import Heard
from nearfar.errors import AudioError, NearfarError, several
from nearfar.health.kinds import KINDS
from nearfar.health.suspects import Suspect, by_look
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import TARGET, Rows
from nearfar.scoring.rule import judged
from nearfar.sound.look import Look
from nearfar.text import called, counted

if TYPE_CHECKING:
    from nearfar.system.system import Ensemble, System

AT_A_TIME = 0.1  # of the clips known: so few new ones move no median
SAME = 0.2  # of the least self-score: another clip is farther, the same one again is nearer
UNLIKE = "sounds far from every normal clip known"


def suspects_among(
    system: System | Ensemble, section: Section, rows: Sequence[NDArray[np.float32]],
    pairs: Sequence[tuple[Clip, Heard]],
) -> list[Suspect]:  # fmt: skip
    """Those of some clips that a person should listen to before they are learnt.

    Args:
        system: of the detector.
        section: what it knows.
        rows: of each member, (n, dim), of the clips.
        pairs: (n,) clips, and what was heard of them.
    """
    found = [*_by_look(section, pairs), *_by_score(system, section, rows, pairs)]
    return sorted(found, key=lambda one: one.clip.name)


def unjudged(key: tuple[str, str], section: Section, domain: str) -> str:
    """What is not told of new clips of a domain, as too few are known; empty if all is.

    Args:
        key: machine and section.
        section: as it was before they were learnt.
        domain: theirs.
    """
    count = few_known(section, domain)
    if count is None:
        return ""
    # Beside so few, other clips are as near as copies: of eight simulated, up to six.
    copies = ", or to tell copies at another gain" if len(section.clips) < FEWEST else ""
    return (
        f"{called(*key)}: {counted(count, f'{domain} clip')} {'is' if count == 1 else 'are'} too "
        f"few to judge new ones by score{copies} ({FEWEST} are needed); listen to what is learnt"
    )


def refusal_of(suspects: Sequence[Suspect], clips: int) -> NearfarError:
    """One error for all of them, with the way out."""
    faults = [AudioError(f"{one.clip.name}: {told(one)}") for one in suspects]
    many = len({one.clip for one in suspects})
    ways = "listen, then say --accept-suspects to learn them, or --exclude-suspects to leave them"
    if len(faults) == 1:
        return AudioError(f"{faults[0]}; {ways}")
    return several(faults, f"{many} of {clips} clips stand out; {ways}")


def told(one: Suspect) -> str:
    """What is odd about a clip, in a line."""
    if one.kind == "score":
        return f"{UNLIKE} ({one.value} the usual score)"
    if one.kind == "copy":
        return f"all but the same sound as {one.value}, which is known"
    said = KINDS[one.kind].format(usual=one.usual)
    return f"{said} ({one.value})" if one.value else said


def _by_look(section: Section, pairs: Sequence[tuple[Clip, Heard]]) -> list[Suspect]:
    known = _known(section)
    if not known:
        return _by_range(section, pairs)
    places = [i for i, (_, what) in enumerate(pairs) if what.look is not None]
    # One after the other would do, and take minutes for a thousand.
    size = max(1, int(AT_A_TIME * len(known)))
    found: list[Suspect] = []
    for first in range(0, len(places), size):
        some = places[first : first + size]
        new = [(_stand_in(f"new/{i}", pairs[i][0].domain), _seen(pairs[i][1])) for i in some]
        for suspect in by_look([*known, *new]):
            folder, _, number = suspect.clip.path.stem.partition("-")
            if folder == "new" and suspect.alone:
                found.append(replace(suspect, clip=pairs[int(number)][0]))
    return found


def _known(section: Section) -> list[tuple[Clip, Look]]:
    """The clips that are known, as they looked; none where that was not kept."""
    if section.traces is None:
        return []
    target = section.of_domain("target")
    return [
        (_stand_in(f"known/{i}", "target" if target[i] else "source"), look)
        for i, look in enumerate(section.traces.looks())
    ]


def _stand_in(name: str, domain: str | None) -> Clip:
    # All in one folder: that new clips lie in one of their own explains nothing.
    return Clip(Path("clips") / f"{name.replace('/', '-')}.wav", domain=domain or "source")


def _seen(what: Heard) -> Look:
    return what.look if what.look is not None else Look(what.seconds, ())


def _by_range(section: Section, pairs: Sequence[tuple[Clip, Heard]]) -> list[Suspect]:
    """By what a detector of an older nearfar knows of its clips: their length and their ratios."""
    found = []
    for clip, what in pairs:
        if abs(what.seconds - section.seconds) > 0.05 * section.seconds:
            usual = f"{section.seconds:.3g} s"
            found.append(Suspect(clip, "length", f"{what.seconds:.3g} s", usual))
        if section.levels is not None and np.isfinite(what.level):
            low, high = section.levels
            if not low - 10.0 <= what.level <= high + 10.0:
                found.append(
                    Suspect(clip, "ratio", f"{what.level:+.1f} dB", f"{low:+.1f} to {high:+.1f} dB")
                )
    return found


def _by_score(
    system: System | Ensemble, section: Section, rows: Sequence[NDArray[np.float32]],
    pairs: Sequence[tuple[Clip, Heard]],
) -> list[Suspect]:  # fmt: skip
    n = len(section.clips)
    domain = np.array([TARGET if c.domain == "target" else 0 for c, _ in pairs], np.int8)
    members, scores = [], []
    with one_thread():
        for recipe, member, weight, new in zip(
            system.members, section.members, system.weights, rows, strict=True
        ):
            scores.append(judged(recipe.rule, member.scale(new), member.bank))
            # Nothing is fitted on these: the judgement asks for domains alone.
            both = NormalRows(
                np.concatenate([member.embeddings[:n], new]),
                np.arange(n + len(new)),
                np.concatenate([member.domain[:n], domain]),
                np.zeros(n + len(new)),
            )
            members.append(Fitted(recipe, member, both, np.zeros(0, np.int64), weight))
    clips = [clip for clip, _ in pairs]
    far = newcomers_far(clips, members, scores, section.fresh)
    return [*far, *_copies(clips, members, scores, section)]


def _copies(
    clips: Sequence[Clip], members: Sequence[Fitted], scores: Sequence[Rows], section: Section
) -> list[Suspect]:
    """Clips that are one of those known again, louder, quieter, or with a little noise.

    In the bank the two would judge each other: both self-scores next to nothing, and the threshold
    too low. To features that change with level they are no copies, and need not be.
    """
    if len(section.clips) < FEWEST:
        return []
    near = np.ones(len(clips), dtype=np.bool_)
    for one, said in zip(members, scores, strict=True):
        least = float(one.member.self_scores.min())
        near &= said < SAME * least if least > 0 else False
    found = []
    for i in np.flatnonzero(near).tolist():
        member, n = members[0].member, len(section.clips)
        z, bank = member.scale(members[0].table.embeddings[n + i : n + i + 1]), member.bank
        apart = ((bank.embeddings[:n] - z) ** 2).sum(axis=1)
        found.append(Suspect(clips[i], "copy", section.clips[int(apart.argmin())].name))
    return found
