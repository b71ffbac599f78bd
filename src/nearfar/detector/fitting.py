"""Normal clips → a detector: one memory bank for each machine, section and member."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips, by_section
from nearfar.clips.training import check_training
from nearfar.detector.checks import (
    check_left,
    check_systems,
    warn_left_out,
    warn_of_deafness,
    warn_of_suspects,
)
from nearfar.detector.detector import Detector
from nearfar.detector.fits import Fits, SectionJob, do_section, fit_section
from nearfar.detector.normals import Key, Normals
from nearfar.detector.origin import origins
from nearfar.detector.section import Section
from nearfar.detector.standouts import sounds_of, too_few
from nearfar.detector.trained import check_frontend, warn_untrained
from nearfar.embedding.chain import Chain
from nearfar.embedding.hearing import Hearing, hear
from nearfar.embedding.waves import hear_in_waves, in_waves
from nearfar.errors import DatasetError, hold_warnings
from nearfar.health.copies import Sound
from nearfar.health.suspects import Suspect
from nearfar.parts.valid import check_rate
from nearfar.runtime.executors import executor_of
from nearfar.runtime.runtime import Runtime, runtime_of
from nearfar.sound.audio import ChannelOrder, check_order
from nearfar.system.system import AnySystem

# Machines of a wave from which on each is fitted where clips are heard, and not here one by one: a
# fit takes some 20 ms, and worker processes a second to start.
SPLIT = 64


def fit(
    system: AnySystem,
    clips: Clips | Sequence[Clip] = (),
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
    exclude_suspects: bool = False,
    false_alarm_rate: float | None = None,
    threshold_by_domain: bool = False,
) -> Detector:
    """Fit a system on normal clips: one memory bank for each machine and section.

    Args:
        system: the recipe.
        clips: normal recordings; unlabelled ones are taken for normal.
        runtime: how to compute; None in this process, without a cache.
        order: which channel of a file is the near microphone; saved with the detector.
        skip_bad: leave out clips that cannot be used, with a warning that lists them.
        any_frontend: take a trained encoder behind another front end than it was trained with.
        exclude_suspects: fit without the clips that stand out from their machine's, with a warning
            that lists them.
        false_alarm_rate: share of normal clips that may be called anomalous; None: the system's.
        threshold_by_domain: judge clips of each domain by a threshold of its own normal clips.

    Returns:
        A detector. Clips that stand out are named in warnings, one a machine and kind.

    Raises:
        AudioError: a clip that cannot be used.
        SettingError: a trained encoder behind another front end than it was trained with, or a
            rate that is none.
        DatasetError: no clips, too few, also without those that stand out, test clips or anomalies
            among them (law 4).
    """
    fits = fits_of(
        (system,), runtime, order=order, false_alarm_rate=false_alarm_rate,
        threshold_by_domain=threshold_by_domain,
    )  # fmt: skip
    care = FitCare(skip_bad, any_frontend, exclude_suspects)
    return finished(system, dict(fit_sections(fits, clips, care)), fits)


@dataclass(frozen=True)
class FitCare:
    """What a fit does about clips and encoders that it would rather not have.

    >>> FitCare().skip_bad
    False
    """

    skip_bad: bool = False
    any_frontend: bool = False
    exclude_suspects: bool = False


def fits_of(
    systems: Sequence[AnySystem],
    runtime: Runtime | None,
    *,
    order: ChannelOrder,
    false_alarm_rate: float | None,
    threshold_by_domain: bool,
) -> Fits:
    """How systems are to be fitted, as `fit` is told it; refuses what is no system and no rate."""
    check_systems(systems)
    if false_alarm_rate is not None:
        check_rate(false_alarm_rate)
    return Fits(systems, runtime_of(runtime), order, false_alarm_rate, threshold_by_domain)


def fit_sections(fits: Fits, clips: Sequence[Clip], care: FitCare) -> Iterator[tuple[Key, Section]]:
    """Sections of the first system, fitted in their order; of what was heard, a wave is kept.

    A wave is as many machines as have some thousand clips: of a fleet no more is in memory.

    Args:
        fits: how.
        clips: as in `fit`, which says what is raised too.
        care: about bad ones.
    """
    clips = _checked(fits, clips, care.any_frontend)
    fits.once.begin()
    groups = [[clips[i] for i in places] for _, places in sorted(by_section(clips).items())]
    waves = in_waves(clips, groups, fits.runtime)
    hearings = hear_in_waves(
        waves, clips, _chains(fits), fits.runtime, order=fits.order, skip_bad=care.skip_bad
    )
    done = 0
    for n, hearing in enumerate(hearings, 1):
        later = {(clip.machine, clip.section) for wave in waves[n:] for clip in wave}
        _count(fits, hearing, {clip.machine for clip in waves[n - 1]} - {m for m, _ in later})
        if care.exclude_suspects:
            hearing = _without_suspects(hearing, fits)
        sections = _sections(hearing)
        fitted = _each_fitted(sections, fits)
        for normals in sections:
            done += 1
            yield normals.key, next(fitted)
            fits.let_go(0, normals.key)
            if fits.runtime.progress is not None:
                todo = len(sections) - sections.index(normals) - 1 + len(later)
                fits.runtime.progress("fitting", done, done + todo)
        fitted.close()
        del hearing, sections, fitted  # before the next wave is heard


def _each_fitted(sections: Sequence[Normals], fits: Fits) -> Generator[Section, None, None]:
    """Each section of the first system, in their order; many are fitted side by side."""
    system = fits.systems[0]
    if len(sections) < SPLIT:
        for normals in sections:
            yield fit_section(system, normals, fits)
        return
    within = Runtime(cache=fits.runtime.cache)
    jobs = (
        SectionJob(system, normals, fits.order, fits.false_alarm_rate, within)
        for normals in sections
    )
    with closing(executor_of(fits.runtime).run(do_section, jobs)) as done:
        for section, found in done:
            fits.suspects += found
            yield section


def finished(system: AnySystem, sections: Mapping[Key, Section], fits: Fits) -> Detector:
    """The detector of sections that were fitted, and what all of them together give rise to."""
    warn_of_suspects(fits.suspects, fits.counts, fits.once)
    detector = Detector(system, sections, fits.order, fits.rate(system), origins(system))
    if fits.by_domain:
        detector = detector.with_threshold_by_domain()
    # Last: which threshold will judge is known only now. Of the others no bank is read.
    odd = {(one.clip.machine, one.clip.section) for one in fits.suspects}
    for key in [key for key in sections if key in odd]:
        one = replace(detector, sections={key: sections[key]})
        warn_of_deafness(one, fits.suspects, fits.once)
    return detector


@dataclass(frozen=True)
class LookedOver:
    """What a look at training clips found.

    >>> LookedOver((), (), {"fan": 13, "pump": 12}).heard
    25
    """

    suspects: tuple[Suspect, ...]
    unjudged: tuple[str, ...]  # lines of sections with too few clips to judge by score
    counts: Mapping[str, int]  # clips of each machine, those left out not among them
    sounds: tuple[Sound, ...] = ()  # what was heard, copies too; no samples

    @property
    def heard(self) -> int:
        """How many clips were judged."""
        return sum(self.counts.values())


def suspects(
    system: AnySystem,
    clips: Clips,
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
) -> tuple[Suspect, ...]:
    """What a fit would name, and nothing else: clips that stand out from their machine's.

    Args and errors are those of `fit`.
    """
    return look_over(system, clips, runtime, order=order, skip_bad=skip_bad).suspects


def look_over(
    system: AnySystem,
    clips: Clips,
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
) -> LookedOver:
    """`suspects`, and what they were found among."""
    fits = Fits((system,), runtime_of(runtime), order)
    hearing = _heard(fits, clips, skip_bad, any_frontend=True)
    found, few = _suspects(hearing, fits)
    return LookedOver(tuple(found), tuple(few), fits.counts, tuple(sounds_of(hearing.heard)))


def fit_many(
    systems: Sequence[AnySystem],
    clips: Clips | Sequence[Clip],
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
    exclude_suspects: bool = False,
    false_alarm_rate: float | None = None,
    threshold_by_domain: bool = False,
) -> Iterator[Detector]:
    """Fit systems one after the other on the same clips, which are heard once.

    Members that are equal are the same fit. Only what a later system still needs is kept, so a
    detector that the caller lets go of is gone. What many systems would warn of, the first says.
    Where one system needs two channels, clips are told apart by both for all of them.

    Args:
        systems: at least one.
        clips: as in `fit`, and the rest too.

    Returns:
        A detector for each system, in their order; each is fitted when it is asked for.

    Raises:
        As `fit`, for any of the systems, before the first detector; only what a fit itself finds,
        such as more neighbours than clips, when its system has its turn.
    """
    fits = fits_of(
        systems, runtime, order=order, false_alarm_rate=false_alarm_rate,
        threshold_by_domain=threshold_by_domain,
    )  # fmt: skip
    hearing = _heard(fits, clips, skip_bad, any_frontend)
    if exclude_suspects:
        hearing = _without_suspects(hearing, fits)
    # No generator itself, which would check nothing before the first detector is asked for.
    return _detectors(hearing, fits)


def _checked(fits: Fits, clips: Sequence[Clip], any_frontend: bool) -> Clips:
    """Everything that is checked before a clip is heard."""
    import scipy.linalg  # noqa: F401 - its BLAS must be there when threads are limited

    check_order(fits.order)  # refuse a wrong order before any work
    check_training(clips)
    _check_encoders(fits, any_frontend)
    return clips if isinstance(clips, Clips) else Clips(clips)


def _heard(fits: Fits, clips: Sequence[Clip], skip_bad: bool, any_frontend: bool) -> Hearing:
    """All clips, checked and heard once."""
    clips = _checked(fits, clips, any_frontend)
    hearing = hear(clips, _chains(fits), fits.runtime, order=fits.order, skip_bad=skip_bad)
    _count(fits, hearing, clips.machines)
    return hearing


def _chains(fits: Fits) -> list[Chain]:
    # One pass for the chains of all systems: reading and embedding cost far more than fitting.
    return [member.chain for system in fits.systems for member in system.members]


def _count(fits: Fits, hearing: Hearing, machines: Iterable[str]) -> None:
    """Count what was heard, and refuse those of these machines of which nothing was."""
    # Of those that were heard: what stands out is told as so many of what could be judged.
    fits.counts.update(clip.machine for clip, _ in hearing.heard)
    for machine in sorted(machines):
        if not fits.counts[machine]:  # a detector that does not know it would seem complete
            raise DatasetError(f"{machine}: none of its clips can be used; record them again")


def _suspects(hearing: Hearing, fits: Fits) -> tuple[list[Suspect], list[str]]:
    """Those that the first system's fit would name, in silence, and what it could not judge."""
    quiet = Fits(fits.systems[:1], fits.runtime, fits.order)
    with hold_warnings():  # the fit itself will say all of it
        few = [
            line for detector in _detectors(hearing, quiet) for line in too_few(detector.sections)
        ]
    return quiet.suspects, few


def _without_suspects(hearing: Hearing, fits: Fits) -> Hearing:
    """What was heard but for the clips that stand out, and copies of these."""
    found = {suspect.clip for suspect in _suspects(hearing, fits)[0] if suspect.alone}
    bad = {what.digest for clip, what in hearing.heard if clip in found}
    check_left(hearing.heard, bad)
    warn_left_out([clip for clip, what in hearing.heard if what.digest in bad])
    kept = tuple(pair for pair in hearing.heard if pair[1].digest not in bad)
    return replace(hearing, heard=kept)


def _check_encoders(fits: Fits, any_frontend: bool) -> None:
    for system in fits.systems:
        if not any_frontend:
            for member in system.members:
                # Two chosen channels are near and far: to an encoder that is its own order.
                order = fits.order if isinstance(fits.order, str) else "near-far"
                check_frontend(member.frontend, member.embedder, order)
        fits.once.begin()
        warn_untrained(system, fits.once)


def _sections(hearing: Hearing) -> list[Normals]:
    groups = sorted(by_section(clip for clip, _ in hearing.heard).items())
    return [
        Normals(key, [hearing.heard[place] for place in places], hearing.chains)
        for key, places in groups
    ]


def _detectors(hearing: Hearing, fits: Fits) -> Iterator[Detector]:
    sections = _sections(hearing)
    for n, system in enumerate(fits.systems):
        fits.once.begin()
        # Given no name here, which would keep its banks while the next one is fitted.
        yield _fit_system(n, system, sections, fits)


def _fit_system(n: int, system: AnySystem, sections: Sequence[Normals], fits: Fits) -> Detector:
    """The n-th system, on all sections."""
    progress, total = fits.runtime.progress, len(sections) * len(fits.systems)
    fitted = {}
    fits.suspects.clear()
    for done, normals in enumerate(sections, n * len(sections) + 1):
        fitted[normals.key] = fit_section(system, normals, fits)
        if progress is not None:
            progress("fitting", done, total)
    fits.let_go(n)
    return finished(system, fitted, fits)
