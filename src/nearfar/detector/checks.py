"""What stops a fit, and what a person should know of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.collection import by_section
from nearfar.detector.member import Member
from nearfar.detector.normals import FEWEST
from nearfar.detector.section import DOMAINS
from nearfar.errors import DatasetError, Once, SettingError, warn
from nearfar.health.suspects import Suspect, lines
from nearfar.scoring.bank import Index
from nearfar.scoring.calibrate import Percentile, Threshold
from nearfar.scoring.enrich import FromAudio
from nearfar.scoring.parted import parts_domains, unparted
from nearfar.system.system import Ensemble, System
from nearfar.text import called, counted, in_rows, named

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.detector.detector import Detector
    from nearfar.embedding.jobs import Heard

MONO_LIKE = 10.0  # dB near over far, from which most residual rows sound like mono recordings


def check_systems(systems: Sequence[object]) -> None:
    """Refuse what is no system, and none at all."""
    if not systems:
        raise SettingError("no systems to fit; give at least one")
    for system in systems:
        if not isinstance(system, System | Ensemble):
            raise SettingError(
                f"fit takes a system first, not {_shown(system)}: fit(nf.s4(), clips)"
            )


def _shown(given: object) -> str:
    """What was given for a system, in a word or two."""
    if isinstance(given, FunctionType):  # nf.s4 for nf.s4()
        return f"the function {given.__name__} without its brackets"
    return repr(given) if isinstance(given, str) else type(given).__name__


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
    system: System | Ensemble, machine: str, members: Sequence[Member], once: Once,
    rate: float | None = None,
) -> None:  # fmt: skip
    """What a person should know of a fit that worked.

    Args:
        system: fitted.
        machine: on whose clips.
        members: of one section.
        once: through which warnings go.
        rate: the false-alarm rate that will judge; None: the system's.
    """
    for recipe, member in zip(system.members, members, strict=True):
        facts: Mapping[str, float] = member.facts
        # The report's own caveat (§2.3); nan of one domain alone is not above anything.
        if recipe.enrichment and facts["shift"] > facts["spread"]:
            once.warn(
                (machine, "shift"),
                f"{machine}: the domains lie {facts['shift']:.1f} apart, sources spread only "
                f"{facts['spread']:.1f} (whitened units): pseudo-target rows may cover anomalies",
            )
        if parts_domains(recipe.rule):
            _warn_of_missing(machine, recipe, member, once)
    clips, rate = len(members[0].self_scores), system.false_alarm_rate if rate is None else rate
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


def too_few_for(rate: float, clips: int, clip_seconds: float) -> str:
    """Why so many normal clips cannot keep a false-alarm rate; "" where they can.

    Args:
        rate: asked for, 0–1.
        clips: different ones.
        clip_seconds: how long one is, s.

    >>> too_few_for(0.01, 120, 10.0), too_few_for(0.01, 19, 10.0)[:51]
    ('', '1 % needs at least 99 normal clips, there are 19: a')
    """
    # The value of a threshold says nothing of how many clips would be above it.
    drawn = Threshold(0.0, rate, clips)
    return "" if drawn.reachable else drawn.explain(clip_seconds)


def warn_of_folds(
    machine: str, recipe: System, folds: Index, sessions: Mapping[str, float], path: str,
    once: Once,
) -> None:  # fmt: skip
    """Say where more folds were asked for than there are days or recordings to hold out.

    Args:
        machine: whose clips they are.
        recipe: one member.
        folds: (n,) the fold of each clip.
        sessions: facts of the days and recordings; empty where none are known.
        path: leads to the member in --set.
        once: through which warnings go.
    """
    made = len(np.unique(folds))
    # Nobody asked for the default, and with a clip a fold there is nothing more to have.
    if sessions and recipe.folds != System.folds and made < min(recipe.folds, len(folds)):
        once.warn(
            (machine, "folds"),
            f"{machine}: --set {path}folds={recipe.folds} gives {counted(made, 'fold')}, for clips "
            "of one day or recording are held out together; record on more days",
        )


def _warn_of_missing(machine: str, recipe: System, member: Member, once: Once) -> None:
    """A domain that is too small to be a yardstick of its own."""
    domain = unparted(recipe.rule, member.origin, member.domain)
    if domain:
        count, k = int(member.facts[domain]), recipe.rule.neighbours
        needed = "2 of each domain" if k == 1 else f"more for k = {k}"
        once.warn(
            (machine, "domains"),
            f"{machine}: {count or 'no'} {domain} clip{'s' * (count != 1)}, PerDomain needs "
            f"{needed}: all clips are taken for one domain",
        )


def warn_of_levels(
    machine: str, recipe: System, sizes: Sequence[int], levels: Sequence[float], path: str,
    once: Once,
) -> None:  # fmt: skip
    """Say where residual rows lose the far channel.

    Args:
        machine: whose clips they are.
        recipe: one member.
        sizes: residual rows of each target clip, for each enrichment.
        levels: near over far of each target clip, dB.
        path: leads to the member in --set.
        once: through which warnings go.
    """
    if not levels or not np.median(levels) > MONO_LIKE:  # nan of one channel is not above
        return
    for enrichment, size in zip(recipe.enrichment, sizes, strict=True):
        if size and isinstance(enrichment, FromAudio) and not enrichment.match_levels:
            once.warn(
                (machine, "mono-like"),
                f"{machine}: near is {np.median(levels):.0f} dB louder than far, so the sounds "
                "that the fit makes up to have more target clips have hardly any far in them and "
                "help less; leave it if the microphones stand as they should, or mix both at equal "
                f"levels with --set {path}enrichment.ResidualAugmentation.match_levels=True",
            )


def warn_of_suspects(suspects: Sequence[Suspect], counts: Mapping[str, int], once: Once) -> None:
    """Name the clips that stand out, one line a machine and kind, at the end of a fit.

    Args:
        suspects: of all machines.
        counts: clips of each machine, as they were given.
        once: through which warnings go.
    """
    for matter, line in lines(suspects, counts).items():
        once.warn(matter, line)


def warn_of_deafness(detector: Detector, suspects: Sequence[Suspect], once: Once) -> None:
    """Say where clips that stand out draw the threshold: then hardly anything is above it.

    It is said from twice the highest score of the other clips.
    """
    out = {(s.clip.machine, s.clip.section, s.clip.name) for s in suspects if s.alone}
    if not out:  # most fits: no threshold is drawn for this alone
        return
    domains: tuple[str | None, ...] = tuple(DOMAINS) if detector.threshold_by_domain else (None,)
    for key, section in detector.sections.items():
        ours = np.array([(*key, clip.name) in out for clip in section.clips])
        for domain in domains if ours.any() else ():
            judges = section.judges
            if domain is not None:
                judges = judges & section.of_domain(domain)
            if (judges & ours).any() and (judges & ~ours).any():
                _warn_if_deaf(detector, key, domain, judges & ~ours, once)


def _warn_if_deaf(
    detector: Detector, key: tuple[str, str], domain: str | None, others: NDArray[np.bool_],
    once: Once,
) -> None:  # fmt: skip
    """One threshold, and the clips beside those that stand out of which it is drawn."""
    drawn = detector.threshold(*key, domain).value
    highest = detector.self_scores(*key)[others].max()
    # Of scores below 0, as a z-score has them, twice means nothing.
    if highest > 0 and drawn > 2 * highest:
        of = f" for {domain} clips" if domain else ""
        once.warn(
            (*key, domain or "", "deaf"),
            f"{called(*key)}: its threshold{of}, {drawn:.4g}, is the score of a clip that stands "
            f"out; no other{f' {domain}' if domain else ''} clip is above {highest:.4g}, so faults "
            "may stay below the threshold: fit with --exclude-suspects",
        )


def check_left(heard: Sequence[tuple[Clip, Heard]], bad: Collection[str]) -> None:
    """Refuse to leave out so many suspects that a section has too few clips, or none.

    Args:
        heard: all clips.
        bad: digests of those to be left out.

    Raises:
        DatasetError: names the sections in one line.
    """
    emptied = []
    for key, places in sorted(by_section(clip for clip, _ in heard).items()):
        sounds = {heard[place][1].digest for place in places}
        left = sounds.difference(bad)
        if len(left) < FEWEST:  # of none it would vanish from the detector
            emptied.append(f"{called(*key)} ({len(left)} of {len(sounds)} left)")
    if emptied:
        raise DatasetError(
            f"--exclude-suspects leaves too few clips of {named(emptied)}, need at least {FEWEST}; "
            "see which stand out with nearfar check, record them again, or fit without "
            "--exclude-suspects"
        )


def warn_left_out(clips: Sequence[Clip]) -> None:
    """Say which suspects a fit goes on without, all of them: one line a machine, or more."""
    for machine in sorted({clip.machine for clip in clips}):
        names = sorted(clip.file for clip in clips if clip.machine == machine)
        first, *others = in_rows(names, 350)
        warn(f"{machine}: fitted without {counted(len(names), 'suspect')}: {first}")
        for row in others:
            warn(f"{machine}: and without {row}")
