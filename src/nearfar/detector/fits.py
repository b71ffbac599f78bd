"""How one machine and section is fitted: its members, and what a person should know of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from nearfar.detector.checks import check_section, warn_of_fit, warn_of_folds, warn_of_levels
from nearfar.detector.member import Member, NormalRows, fit_member, pool_sizes
from nearfar.detector.normals import Key, Normals
from nearfar.detector.section import Section, TrainingClip
from nearfar.detector.standouts import Fitted, sounds_of, suspects_of
from nearfar.detector.traces import traces_of
from nearfar.detector.trained import fresh_clips, machine_facts
from nearfar.embedding.residual import residual_rows
from nearfar.errors import Once, SettingError
from nearfar.health.shift import by_rereading
from nearfar.health.suspects import Suspect
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import TARGET, Index
from nearfar.scoring.enrich import FromAudio, Pool
from nearfar.sound.audio import ChannelOrder
from nearfar.system.system import AnySystem, System


@dataclass(eq=False)
class Fits:
    """How members are fitted, and those that a later system has too.

    >>> from nearfar.system.presets import logmel
    >>> Fits((logmel(),), Runtime(), "near-far").rate(logmel())
    0.1
    """

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

    def member(self, draft: Draft) -> Member:
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

    def let_go(self, n: int, key: Key | None = None) -> None:
        """Forget what no system after the n-th has: 200 candidates' banks fit no memory.

        Args:
            n: of the system that has been fitted.
            key: only on this machine and section, which no later one asks for; None: on all.
        """
        if key is not None:
            for fitted in self.known.values():
                fitted.pop(key, None)
            self.again.pop(key, None)
            return
        self.known = {m: fitted for m, fitted in self.known.items() if self.last[m] > n}


@dataclass(frozen=True, eq=False)
class Draft:
    """One member to be fitted on one machine and section; worked out no sooner than asked for.

    >>> from nearfar.system.presets import logmel
    >>> Draft(logmel(), Normals(("fan", "00"), (), ())).targets
    []
    """

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


def fit_section(system: AnySystem, normals: Normals, fits: Fits) -> Section:
    """One machine and section of a system; suspects go to `fits`, warnings through its `once`.

    Raises:
        DatasetError: too few different clips.
    """
    group, (machine, _), once = normals.group, normals.key, fits.once
    check_section(machine, normals.everything, group, once)
    fitted = []
    for i, (member, weight) in enumerate(zip(system.members, system.weights, strict=True)):
        # Also of a member that is fitted already: an equal one needs its own --set.
        draft = Draft(member, normals)
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


@dataclass(frozen=True, eq=False)
class SectionJob:
    """One machine and section for whoever fits it.

    >>> from nearfar.system.presets import logmel
    >>> SectionJob(logmel(), Normals(("fan", "00"), (), ()), "near-far", 0.1, Runtime()).rate
    0.1
    """

    system: AnySystem
    normals: Normals
    order: ChannelOrder
    rate: float | None  # of false alarms; None: the system's own
    runtime: Runtime


def do_section(job: SectionJob) -> tuple[Section, list[Suspect]]:
    """A section, and the clips of it that stand out; raises what `fit_section` does."""
    import scipy.linalg  # noqa: F401 - its BLAS must be there when threads are limited

    fits = Fits((job.system,), job.runtime, job.order, job.rate)
    return fit_section(job.system, job.normals, fits), fits.suspects


def _fit_member(draft: Draft, fits: Fits) -> Member:
    pools = _pools(draft, fits)
    with one_thread():  # the same bits whatever the number of cores
        fitted = fit_member(draft.member, draft.table, pools, draft.folds)
    heard_machine = machine_facts(draft.member.embedder, draft.normals.key[0])
    return replace(fitted, facts={**fitted.facts, **heard_machine, **draft.normals.sessions})


def _pools(draft: Draft, fits: Fits) -> list[Pool]:
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
