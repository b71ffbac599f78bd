"""Which machine and section a recording is for, of those that a detector knows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from nearfar.clips.clip import Clip
from nearfar.errors import DatasetError, did_you_mean

Known = Collection[tuple[str, str]]  # (machine, section), in the detector's order


def machines_of(known: Known) -> tuple[str, ...]:
    """The machines' names, each once."""
    return tuple(dict.fromkeys(machine for machine, _ in known))


def checked(known: Known, machine: str, section: str) -> tuple[str, str]:
    """The key, if there is such a section.

    Raises:
        DatasetError: a machine or section that is not known.
    """
    if (machine, section) in known:
        return machine, section
    machines = machines_of(known)
    if machine not in machines:
        raise DatasetError(
            f"unknown machine {machine!r}; {did_you_mean(machine, machines)}. "
            "Name it with --machine NAME"
        )
    sections = [s for m, s in known if m == machine]
    raise DatasetError(f"{machine} has no section {section!r}; {did_you_mean(section, sections)}")


def assigned(
    known: Known, machines: Sequence[str], clip: Clip, machine: str | None, section: str | None
) -> Clip:
    """The clip as the machine it is judged as, which must be known.

    The folder that plain recordings lie in need not be called like the machine, if the
    detector knows only one.

    Args:
        known: machines and sections.
        machines: the machines of these; each clip would else have them listed anew.
        clip: to be judged.
        machine, section: what was said instead of the clip's own.

    Raises:
        DatasetError: a machine or section that is not known; it names the clip.
    """
    # A clip with a split is of a data set, which says whose it is.
    if machine is None and clip.split is None and len(machines) == 1:
        machine = machines[0]
    if machine is not None or section is not None:
        clip = replace(clip, machine=machine or clip.machine, section=section or clip.section)
    try:
        checked(known, clip.machine, clip.section)
    except DatasetError as error:
        raise DatasetError(f"{clip.name}: {error}") from None
    return clip


def array_clip(known: Known, machine: str | None, section: str | None) -> Clip:
    """What stands for a recording in memory, which says nothing of itself.

    It is for the only section that fits what is asked.

    Raises:
        DatasetError: a machine or section that is not known, or several that fit.
    """
    keys = [k for k in known if machine in (None, k[0]) and section in (None, k[1])]
    if len(keys) != 1:
        machines = machines_of(known)
        name = machine or (machines[0] if len(machines) == 1 else "")
        if not name:
            raise DatasetError(f"which machine? machine= one of: {', '.join(machines)}")
        keys = [checked(known, name, section or "00")]
    return Clip(Path("array"), machine=keys[0][0], section=keys[0][1])
