"""What stops a fit, and what a person should know of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nearfar.detector.member import Member
from nearfar.errors import DatasetError, Once, warn
from nearfar.health.suspects import Suspect, lines
from nearfar.scoring.calibrate import Percentile
from nearfar.text import counted, in_rows

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedding.jobs import Heard
    from nearfar.system.system import Ensemble, System

FEWEST = 3  # different clips; with two, each would be judged by one


def check_section(
    machine: str,
    everything: Sequence[tuple[Clip, Heard]],
    group: Sequence[tuple[Clip, Heard]],
    once: Once,
) -> None:
    """Refuse too few clips of a machine; warn of copies."""
    copies = len(everything) - len(group)
    if len(group) < FEWEST:  # different ones: copies share a fold and cannot judge each other
        tail = f" ({copies} of them copies of others)" if copies else ""
        raise DatasetError(
            f"{machine}: {len(everything)} clip{'s' * (len(everything) != 1)}{tail}, need at least "
            f"{FEWEST} different ones; record more, or cut long recordings with --clip-seconds"
        )
    kept = {what.digest: clip.name for clip, what in group}  # which stands for its copies
    again = [(c.name, kept[w.digest]) for c, w in everything if c.name != kept[w.digest]]
    if again:
        more = f" ({len(again)} such copies in all)" if len(again) > 1 else ""
        once.warn(
            (machine, "copies"),
            f"{again[0][0]}: the same audio as {again[0][1]}; they count as one{more}",
        )


def warn_of_fit(
    system: System | Ensemble, machine: str, members: Sequence[Member], once: Once
) -> None:
    """What a person should know of a fit that worked."""
    for recipe, member in zip(system.members, members, strict=True):
        facts: Mapping[str, float] = member.facts
        # The report's own caveat (§2.3); nan of one domain alone is not above anything.
        if recipe.enrichment and facts["shift"] > facts["spread"]:
            once.warn(
                (machine, "shift"),
                f"{machine}: the domains lie {facts['shift']:.1f} apart, sources spread only "
                f"{facts['spread']:.1f} (whitened units): pseudo-target rows may cover anomalies",
            )
    clips, rate = len(members[0].self_scores), system.false_alarm_rate
    # A flat percentile ends at 1, and the loudest clip of few has it: nothing can be above.
    flat = [
        isinstance(m.calibration, Percentile) and m.calibration.tail == "flat"
        for m in system.members
    ]
    loudest = {int(np.argmax(m.self_scores)) for m in members}
    if all(flat) and clips * rate < 1 and len(loudest) == 1:  # one clip is at 1 in all of them
        once.warn(
            (machine, "flat"),
            f"{machine}: with {clips} clips and flat percentiles none can be above the threshold; "
            f"--set {'members.0.' * (len(flat) > 1)}calibration.tail=linear, or record more",
        )


def warn_of_suspects(suspects: Sequence[Suspect], clips: Sequence[Clip], once: Once) -> None:
    """Name the clips that stand out, one line a machine and kind, at the end of a fit."""
    for matter, line in lines(suspects, Counter(clip.machine for clip in clips)).items():
        once.warn(matter, line)


def warn_left_out(clips: Sequence[Clip]) -> None:
    """Say which suspects a fit goes on without, all of them: one line a machine, or more."""
    for machine in sorted({clip.machine for clip in clips}):
        names = sorted(clip.file for clip in clips if clip.machine == machine)
        first, *others = in_rows(names, 350)
        warn(f"{machine}: fitted without {counted(len(names), 'suspect')}: {first}")
        for row in others:
            warn(f"{machine}: and without {row}")
