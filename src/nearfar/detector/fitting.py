"""Normal clips → a detector: one memory bank for each machine, section and member."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips, by_section
from nearfar.clips.training import check_training
from nearfar.detector.checks import (
    check_left,
    check_section,
    check_systems,
    warn_left_out,
    warn_of_deafness,
    warn_of_fit,
    warn_of_folds,
    warn_of_levels,
    warn_of_suspects,
)
from nearfar.detector.detector import Detector
from nearfar.detector.member import Member, NormalRows, fit_member, pool_sizes
from nearfar.detector.normals import Key, Normals
from nearfar.detector.origin import origins
from nearfar.detector.section import Section, TrainingClip
from nearfar.detector.standouts import Fitted, sounds_of, suspects_of, too_few
from nearfar.detector.traces import traces_of
from nearfar.detector.trained import check_frontend, fresh_clips, machine_facts, warn_untrained
from nearfar.embedding.hearing import Hearing, hear
from nearfar.embedding.residual import residual_rows
from nearfar.errors import DatasetError, NearfarWarning, Once, SettingError
from nearfar.health.copies import Sound
from nearfar.health.shift import by_rereading
from nearfar.health.suspects import Suspect
from nearfar.parts.valid import check_rate
from nearfar.runtime.runtime import Runtime, runtime_of
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import TARGET, Index
from nearfar.scoring.enrich import FromAudio, Pool
from nearfar.sound.audio import ChannelOrder, check_order
from nearfar.system.system import AnySystem, System


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
    detectors = fit_many(
        (system,), clips, runtime, order=order, skip_bad=skip_bad, any_frontend=any_frontend,
        exclude_suspects=exclude_suspects, false_alarm_rate=false_alarm_rate,
        threshold_by_domain=threshold_by_domain,
    )  # fmt: skip
    return next(detectors)


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
    fits = _Fits((system,), runtime_of(runtime), order)
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
    check_systems(systems)
    if false_alarm_rate is not None:
        check_rate(false_alarm_rate)
    fits = _Fits(systems, runtime_of(runtime), order, false_alarm_rate, threshold_by_domain)
    hearing = _heard(fits, clips, skip_bad, any_frontend)
    if exclude_suspects:
        hearing = _without_suspects(hearing, fits)
    # No generator itself, which would check nothing before the first detector is asked for.
    return _detectors(hearing, fits)


def _heard(fits: _Fits, clips: Sequence[Clip], skip_bad: bool, any_frontend: bool) -> Hearing:
    """Everything that is checked before a fit, and all clips heard once."""
    import scipy.linalg  # noqa: F401 - its BLAS must be there when threads are limited

    check_order(fits.order)  # refuse a wrong order before any work
    check_training(clips)
    clips = clips if isinstance(clips, Clips) else Clips(clips)
    _check_encoders(fits, any_frontend)
    # One pass for the chains of all systems: reading and embedding cost far more than fitting.
    chains = [member.chain for system in fits.systems for member in system.members]
    hearing = hear(clips, chains, fits.runtime, order=fits.order, skip_bad=skip_bad)
    # Of those that were heard: what stands out is told as so many of what could be judged.
    fits.counts |= Counter(clip.machine for clip, _ in hearing.heard)
    for machine in clips.machines:
        if not fits.counts[machine]:  # a detector that does not know it would seem complete
            raise DatasetError(f"{machine}: none of its clips can be used; record them again")
    return hearing


def _suspects(hearing: Hearing, fits: _Fits) -> tuple[list[Suspect], list[str]]:
    """Those that the first system's fit would name, in silence, and what it could not judge."""
    quiet = _Fits(fits.systems[:1], fits.runtime, fits.order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NearfarWarning)  # the fit itself will say all of it
        few = [
            line for detector in _detectors(hearing, quiet) for line in too_few(detector.sections)
        ]
    return quiet.suspects, few


def _without_suspects(hearing: Hearing, fits: _Fits) -> Hearing:
    """What was heard but for the clips that stand out, and copies of these."""
    found = {suspect.clip for suspect in _suspects(hearing, fits)[0] if suspect.alone}
    bad = {what.digest for clip, what in hearing.heard if clip in found}
    check_left(hearing.heard, bad)
    warn_left_out([clip for clip, what in hearing.heard if what.digest in bad])
    kept = tuple(pair for pair in hearing.heard if pair[1].digest not in bad)
    return replace(hearing, heard=kept)


def _check_encoders(fits: _Fits, any_frontend: bool) -> None:
    for system in fits.systems:
        if not any_frontend:
            for member in system.members:
                # Two chosen channels are near and far: to an encoder that is its own order.
                order = fits.order if isinstance(fits.order, str) else "near-far"
                check_frontend(member.frontend, member.embedder, order)
        fits.once.begin()
        warn_untrained(system, fits.once)


@dataclass(eq=False)
class _Fits:
    """How members are fitted, and those that a later system has too."""

    systems: Sequence[AnySystem]
    runtime: Runtime
    order: ChannelOrder
    false_alarm_rate: float | None = None  # None: each system's own
    by_domain: bool = False
    once: Once = field(default_factory=Once)
    known: dict[System, dict[Key, Member]] = field(default_factory=dict)
    suspects: list[Suspect] = field(default_factory=list)  # of the system that is fitted now
    again: dict[Key, list[Suspect]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  # clips of each machine that were heard

    def rate(self, system: AnySystem) -> float:
        """The false-alarm rate that a system's detector will have."""
        return system.false_alarm_rate if self.false_alarm_rate is None else self.false_alarm_rate

    @cached_property
    def last(self) -> dict[System, int]:
        """The place of the last system that has a member."""
        return {m: n for n, system in enumerate(self.systems) for m in system.members}

    def member(self, draft: _Draft) -> Member:
        """The same fit for an equal recipe on the same clips, whichever system asks first."""
        known = self.known.setdefault(draft.member, {})
        if draft.normals.key not in known:
            known[draft.normals.key] = _fit_member(draft, self)
        return known[draft.normals.key]

    def reread(self, normals: Normals) -> list[Suspect]:
        """What a second look at some clips finds, which no system has a say in."""
        if normals.key not in self.again:
            self.again[normals.key] = by_rereading(sounds_of(normals.group), self.order)
        return self.again[normals.key]

    def let_go(self, n: int) -> None:
        """Forget what no system after the n-th has: 200 candidates' banks fit no memory."""
        self.known = {m: fitted for m, fitted in self.known.items() if self.last[m] > n}


@dataclass(frozen=True, eq=False)
class _Draft:
    """One member to be fitted on one machine and section; worked out no sooner than asked for."""

    member: System
    normals: Normals

    @cached_property
    def table(self) -> NormalRows:
        """One row for each different clip."""
        group, place = self.normals.group, self.normals.chains.index(self.member.chain)
        rows = np.stack([what.rows[place] for _, what in group])  # (n, dim)
        lr_corr = np.array([what.lr_corr for _, what in group])  # (n,), of §2.3
        return NormalRows(rows, np.arange(len(group)), self.normals.domain, lr_corr)

    @cached_property
    def folds(self) -> Index:
        """(n,); parts of one recording are held out together."""
        return self.normals.folds(self.member.folds, self.member.seed)

    @cached_property
    def sizes(self) -> list[int]:
        """Residual rows of each target clip, for each enrichment."""
        return pool_sizes(self.member, self.table, self.folds)

    @property
    def targets(self) -> list[int]:
        """Places of the target clips; as `Normals.group` is distinct they are origins too."""
        return np.flatnonzero(self.normals.domain == TARGET).tolist()


def _detectors(hearing: Hearing, fits: _Fits) -> Iterator[Detector]:
    groups = sorted(by_section(clip for clip, _ in hearing.heard).items())
    sections = [
        Normals(key, [hearing.heard[place] for place in places], hearing.chains)
        for key, places in groups
    ]
    for n, system in enumerate(fits.systems):
        fits.once.begin()
        # Given no name here, which would keep its banks while the next one is fitted.
        yield _fit_system(n, system, sections, fits)


def _fit_system(n: int, system: AnySystem, sections: Sequence[Normals], fits: _Fits) -> Detector:
    """The n-th system, on all sections."""
    progress, total = fits.runtime.progress, len(sections) * len(fits.systems)
    fitted = {}
    fits.suspects.clear()
    for done, normals in enumerate(sections, n * len(sections) + 1):
        fitted[normals.key] = _fit_section(system, normals, fits)
        if progress is not None:
            progress("fitting", done, total)
    fits.let_go(n)
    warn_of_suspects(fits.suspects, fits.counts, fits.once)
    detector = Detector(system, fitted, fits.order, fits.rate(system), origins(system))
    if fits.by_domain:
        detector = detector.with_threshold_by_domain()
    # Last: which threshold will judge is known only now.
    warn_of_deafness(detector, fits.suspects, fits.once)
    return detector


def _fit_section(system: AnySystem, normals: Normals, fits: _Fits) -> Section:
    group, (machine, _), once = normals.group, normals.key, fits.once
    check_section(machine, normals.everything, group, once)
    fitted = []
    for i, (member, weight) in enumerate(zip(system.members, system.weights, strict=True)):
        # Also of a member that is fitted already: an equal one needs its own --set.
        draft = _Draft(member, normals)
        path = f"members.{i}." if len(system.members) > 1 else ""
        levels = [group[k][1].level for k in draft.targets]
        warn_of_levels(machine, member, draft.sizes, levels, path, once)
        warn_of_folds(machine, member, draft.folds, normals.sessions, path, once)
        fitted.append(Fitted(member, fits.member(draft), draft.table, draft.folds, weight))
    members = [one.member for one in fitted]
    warn_of_fit(system, machine, members, once, fits.rate(system))
    fresh = fresh_clips(system, machine, [what.near for _, what in group], once)
    fits.suspects += suspects_of(group, fitted, fresh)
    fits.suspects += fits.reread(normals)
    return Section(
        tuple(members),
        tuple(TrainingClip(c.name, what.digest) for c, what in group),
        _level_range([what.level for _, what in group]),
        float(np.median([what.seconds for _, what in group])),  # one cut short does not count
        fresh,
        _level_range([what.look.levels[0] for _, what in group if what.look is not None]),
        traces_of(group),
    )


def _fit_member(draft: _Draft, fits: _Fits) -> Member:
    pools = _pools(draft, fits)
    with one_thread():  # the same bits whatever the number of cores
        fitted = fit_member(draft.member, draft.table, pools, draft.folds)
    heard_machine = machine_facts(draft.member.embedder, draft.normals.key[0])
    return replace(fitted, facts={**fitted.facts, **heard_machine, **draft.normals.sessions})


def _pools(draft: _Draft, fits: _Fits) -> list[Pool]:
    """Residual rows of the target clips, for each enrichment."""
    pools: list[Pool] = []
    member, targets = draft.member, draft.targets
    for enrichment, size in zip(member.enrichment, draft.sizes, strict=True):
        if not size:  # a tier of 0, no targets, or rows that need no audio
            pools.append({})
            continue
        if not isinstance(enrichment, FromAudio):
            raise SettingError(f"{enrichment!r} asks for residual rows, but draws none")
        clips = [draft.normals.group[i] for i in targets]
        requests = [
            (clip, what.digest, enrichment.draw(member.seed, what.digest, size))
            for clip, what in clips
        ]
        rows = residual_rows(
            requests, member.chain, fits.runtime, match_levels=enrichment.match_levels,
            order=fits.order,
        )  # fmt: skip
        pools.append(dict(zip(targets, rows, strict=True)))
    return pools


def _level_range(levels: Sequence[float]) -> tuple[float, float] | None:
    heard = [level for level in levels if np.isfinite(level)]  # not one channel, or a silent one
    return (min(heard), max(heard)) if heard else None
