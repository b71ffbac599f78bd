"""Several data sets as one to train on, without machines that are to stay new. No torch here."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nearfar.clips import Clips, proxy_classes
from nearfar.errors import DatasetError, SettingError, warn
from nearfar.text import counted

SHOWN = 160  # characters of names in a line, which has 500 at most


def set_names(places: Sequence[str | Path]) -> list[str]:
    """What to call data sets: as much of the end of each path as tells all apart.

    >>> set_names(["2026/dev/raw", "2026/eval/raw"])
    ['dev/raw', 'eval/raw']
    """
    parts = [Path(place).absolute().parts for place in places]
    for length in range(1, max(map(len, parts), default=0)):
        names = ["/".join(some[-length:]) for some in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return ["/".join(some) for some in parts]


def together(sets: Mapping[str, Clips], apart: bool = False) -> Clips:
    """The clips of several data sets, by their names; one that is in two of them counts once.

    A machine that several sets have by one name is one machine, as it is to every other command:
    clips of equal section and attributes are of one class. Where a section is in two sets a warning
    says so; if it is another machine's there, `apart` tells classes apart by the name of the set.

    Args:
        sets: name → its clips.
        apart: are machines of one name in two sets two machines?

    >>> from nearfar.clips import Clip
    >>> fan = Clips([Clip(Path("fan/a.wav"), machine="fan")])
    >>> together({"dev": fan, "eval": fan}) == fan
    True
    """
    own, taken = dict[str, Clips](), set[object]()
    for name, clips in sets.items():
        own[name] = Clips(clip for clip in clips if clip not in taken)
        taken.update(own[name])
    places: dict[tuple[str, str], list[str]] = {}
    for name, clips in own.items():
        for section in clips.by_section():  # of (machine, section)
            places.setdefault(section, []).append(name)
    shared = {section: where for section, where in places.items() if len(where) > 1}
    if shared and not apart:
        _tell(shared)
    elif shared:
        own = {name: _named(clips, name, shared) for name, clips in own.items()}
    return Clips(clip for clips in own.values() for clip in clips)


def chosen(
    clips: Clips | Mapping[str, Clips], exclude: Sequence[str] = (), apart: bool = False
) -> Clips:
    """What to train on: of one or several data sets, without some machines.

    Raises:
        SettingError: `apart` where there is one set only.
        DatasetError: see `check_excluded`.
    """
    sets = dict(clips) if isinstance(clips, Mapping) else {"": clips}
    if apart and len(sets) < 2:
        raise SettingError("--apart tells data sets apart, and here is one only; leave it away")
    if not exclude and len(sets) == 1:
        return next(iter(sets.values()))
    check_excluded(exclude, {machine for some in sets.values() for machine in some.machines})
    # First: who is left out clashes with nobody.
    left = {
        name: Clips(clip for clip in some if clip.machine not in exclude)
        for name, some in sets.items()
    }
    return together(left, apart)


def check_excluded(names: Sequence[str], machines: Collection[str]) -> None:
    """Refuse to leave out who is not there, or everybody.

    Args:
        names: of machines to leave out.
        machines: that are there.

    Raises:
        DatasetError: no such machine, or none is left.
    """
    known, unknown = sorted(machines), [name for name in names if name not in machines]
    if unknown:  # a misspelt one would be trained on
        close = difflib.get_close_matches(unknown[0], known, n=1)
        guess = f"did you mean {close[0]!r}? " if close else ""
        raise DatasetError(
            f"no machine {_listed(unknown)!r} to exclude; {guess}there are {_listed(known)}"
        )
    if known and set(known) <= set(names):
        raise DatasetError(f"all of {_listed(known)} are excluded; exclude fewer")


def _tell(shared: Mapping[tuple[str, str], Sequence[str]]) -> None:
    """Say which machines are taken for one."""
    where = list(dict.fromkeys(name for names in shared.values() for name in names))
    machines = list(dict.fromkeys(machine for machine, _ in shared))
    one = len(machines) == 1
    warn(
        f"{_listed(machines)}: in {counted(len(where), 'data set')}, {_listed(where)}; "
        f"taken for one machine{'' if one else ' each'}, clips of "
        f"equal attributes for one class: say --apart if {'it is' if one else 'they are'} not"
    )


def _named(clips: Clips, name: str, shared: Mapping[tuple[str, str], object]) -> Clips:
    """Clips whose attributes say their class and the set that they are of."""
    of_clip = proxy_classes(clips)
    return Clips(
        replace(clip, attributes=f"{of_clip[clip][2]} in {name}")
        if (clip.machine, clip.section) in shared and clip in of_clip
        else clip
        for clip in clips
    )


def _listed(names: Sequence[str]) -> str:
    """As many of the names as a line has room for, one at least."""
    shown = next((n for n in range(len(names), 1, -1) if len(", ".join(names[:n])) <= SHOWN), 1)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
