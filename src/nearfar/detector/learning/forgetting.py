"""Clips out of a detector, by their names: no recording is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.clips.clip import Clip
from nearfar.detector import keys
from nearfar.detector.learning.growth import grow, parts
from nearfar.detector.learning.teaching import check_teachable
from nearfar.detector.normals import FEWEST, Key
from nearfar.detector.section import Section, TrainingClip
from nearfar.errors import DatasetError, NearfarError, did_you_mean
from nearfar.sound.audio import ChannelOrder, digest_of
from nearfar.text import called, named

if TYPE_CHECKING:
    from nearfar.system.system import Ensemble, System

DIGEST = re.compile(r"[0-9a-f]{12,64}")  # enough of a sha256 to name one clip


def forget(
    system: System | Ensemble, sections: Mapping[Key, Section], names: Sequence[str],
    machine: str | None, section: str | None,
) -> dict[Key, tuple[Section, list[TrainingClip]]]:  # fmt: skip
    """Take clips out of a detector.

    Args:
        system: of the detector.
        sections: of it.
        names: as `found` takes them.
        machine, section: look only at these.

    Returns:
        Of each machine and section that has lost clips, what is left, and the clips that went.

    Raises:
        DatasetError: no names, a name of no clip or of several, or too few clips would be left.
    """
    if isinstance(names, str | Path):
        names = [str(names)]
    if not names:
        raise DatasetError(
            "no clips to forget; name them as verdicts do, or as nearfar learn DET --log shows them"
        )
    places = {
        key: one
        for key, one in sections.items()
        if machine in (None, key[0]) and section in (None, key[1])
    }
    if not places:  # which of the two is unknown, and what there is
        keys.checked(sections, machine or next(iter(sections))[0], section or "00")
    out: dict[Key, dict[str, TrainingClip]] = {}
    for name in names:
        for key, clip in found(places, str(name)):
            out.setdefault(key, {})[clip.digest] = clip
    return {
        key: (_shrunk(system, key, sections[key], list(gone)), list(gone.values()))
        for key, gone in sorted(out.items())
    }


def found(sections: Mapping[Key, Section], name: str) -> list[tuple[Key, TrainingClip]]:
    """The clips that a name means.

    Args:
        sections: of a detector.
        name: a clip's as a verdict has it, the end of one, a path, the folder that clips lay in, a
            pattern such as `monday/*`, or 12 digits or more of the sha256 of its audio. Of clips
            that are called alike, a file of that name that is there says which by its sound.

    Raises:
        DatasetError: of no clip; or of several that are called alike, or lie in two machines.
    """
    known = [(key, clip) for key, section in sections.items() for clip in section.clips]
    if DIGEST.fullmatch(name) and (one := [p for p in known if p[1].digest.startswith(name)]):
        return _only(one, name)
    paths = _names_of(Path(name))
    # From the whole name to ever less of it: what is said in full means one clip.
    for wanted in dict.fromkeys((name, *paths)):
        if same := [pair for pair in known if pair[1].name == wanted]:
            return _only(same, name)
    if same := [pair for pair in known if pair[1].name.endswith(f"/{name}")]:
        return _only(same, name)
    lies = _in_folder(name) if os.path.isdir(name) else lambda one: _matches(one, name)
    many = [pair for pair in known if lies(pair[1].name)]
    if not many:
        every = {clip.name for _, clip in known}
        # Hundreds of names are no help: those of the same file name, or those that look alike.
        file = name.rsplit("/", 1)[-1]
        near = sorted(every, key=lambda one: (one.rsplit("/", 1)[-1] != file, one))
        guess = did_you_mean(name, every).split("? It has: ")[0]
        tail = guess + "?" if guess.startswith("did you mean") else f"it has: {named(near)}"
        raise DatasetError(f"{name!r}: no such clip in the detector; {tail}")
    return many


def _only(same: list[tuple[Key, TrainingClip]], name: str) -> list[tuple[Key, TrainingClip]]:
    """One clip, or an error that tells how to say which."""
    if len(same) > 1 and (heard := digests_of(Path(name))):
        same = [pair for pair in same if pair[1].digest in heard] or same
    owners = sorted({key for key, _ in same})
    if len(owners) > 1:
        raise DatasetError(
            f"{name!r}: is in {named([called(*key) for key in owners])}; say which with "
            "--machine NAME"
        )
    if len(same) > 1:
        told = [f"{clip.name} {clip.digest[:12]}" for _, clip in same]
        raise DatasetError(
            f"{name!r}: {len(same)} clips end so ({named(told)}); say more of the name, or these "
            "digits for it"
        )
    return same


def digests_of(path: Path) -> set[str]:
    """sha256 of the sound of a file, as any detector may have heard it; none where it is none."""
    found: set[str] = set()
    if not os.path.isfile(path):  # a Path raises where nobody may look
        return found
    orders: tuple[ChannelOrder, ...] = ("near-far", "far-near")
    for order in orders:
        try:
            audio = Clip(path).read(order)
        except NearfarError:  # it names a clip all the same, perhaps
            continue
        found |= {digest_of(audio), digest_of(audio[:1])}
    return found


def _matches(name: str, wanted: str) -> bool:
    """Is a clip's name of that pattern, or does it have that folder in it?"""
    inside = wanted.strip("/")
    if any(c in wanted for c in "*?[") and (
        fnmatchcase(name, wanted) or fnmatchcase(name, f"*/{wanted}")
    ):
        return True
    # Folders may have such letters in their names, too.
    return bool(inside) and f"/{inside}/" in f"/{name.rpartition('/')[0]}/"


def _in_folder(wanted: str) -> Callable[[str], bool]:
    """Is a clip of that name, or a part of one, in a folder that is there?"""
    # As it is on the disk now; the folder may have lost files since, which are then to be named.
    # What nobody may look into has no clips that could be meant.
    files = [Path(above, name) for above, _, names in os.walk(wanted) for name in names]
    names = {name for path in files for name in _names_of(path)}
    return lambda name: name in names or name.rpartition("@")[0] in names


def _names_of(path: Path) -> list[str]:
    """What a clip of a file may be called: it has what was typed of the last three parts."""
    full = Path(os.path.abspath(path))
    return [Clip(full).name, Clip(path).name, "/".join(full.parts[-2:])]


def _shrunk(
    system: System | Ensemble, key: Key, section: Section, digests: Sequence[str]
) -> Section:
    gone = set(digests)
    left = len(section.clips) - len(gone)
    if left < FEWEST:
        raise DatasetError(
            f"{called(*key)}: forgetting {len(gone)} of {len(section.clips)} clips leaves {left}, "
            f"need at least {FEWEST}; learn others first, or fit again"
        )
    fitted, learnt, forgotten = parts(section, system)
    own = {clip.digest for clip in fitted.clips}
    # Theirs stay in the fit's bank file, unseen, so that they can come back.
    forgotten = tuple(sorted({*forgotten, *(gone & own)}))
    if len(forgotten) == len(own):
        raise DatasetError(
            f"{called(*key)}: that forgets all clips that it was fitted on, and whitening and "
            "threshold are theirs; fit again on the others"
        )
    if forgotten:  # else the fit's own self-scores are as they were
        check_teachable(key[0], fitted)
    places = [i for i, clip in enumerate(learnt.clips) if clip.digest not in gone]
    return grow(system, fitted, learnt.chosen(places), forgotten)
