"""Normal clips → a detector: one memory bank for each machine, section and member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nearfar.clips.clip import Clip
from nearfar.clips.collection import Clips, by_section
from nearfar.clips.training import check_training, recording_blocks
from nearfar.detector.checks import check_section, warn_of_fit
from nearfar.detector.detector import Detector
from nearfar.detector.member import Member, NormalRows, assign_folds, fit_member
from nearfar.detector.origin import origins
from nearfar.detector.section import Section, TrainingClip
from nearfar.detector.trained import check_frontend, fresh_clips, machine_facts, warn_untrained
from nearfar.embedding.hearing import Hearing, hear
from nearfar.embedding.jobs import Heard
from nearfar.embedding.residual import residual_rows
from nearfar.errors import DatasetError, Once, SettingError
from nearfar.runtime.runtime import Runtime
from nearfar.runtime.threads import one_thread
from nearfar.scoring.bank import SOURCE, TARGET, Index
from nearfar.scoring.enrich import FromAudio, Pool
from nearfar.sound.audio import ChannelOrder, to_order
from nearfar.system.system import AnySystem, System

MONO_LIKE = 10.0  # dB near over far, from which most residual rows sound like mono recordings


def pool_sizes(system: System, table: NormalRows, folds: Index) -> list[int]:
    """Residual rows that any fold or the whole needs of each target clip, per enrichment."""
    parts = [table.where(folds != fold) for fold in np.unique(folds)]
    if system.self_scores == "loo":
        parts = []
    sizes = []
    for enrichment in system.enrichment:
        needs = [
            enrichment.pool_size(
                float(part.lr_corr.mean()),
                int((part.domain == SOURCE).sum()),
                len(np.unique(part.origin[part.domain == TARGET])),
            )
            for part in (table, *parts)
        ]
        sizes.append(max(needs))
    return sizes


def fit(
    system: AnySystem,
    clips: Clips,
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
) -> Detector:
    """Fit a system on normal clips: one memory bank for each machine and section.

    Args:
        system: the recipe.
        clips: normal recordings; unlabelled ones are taken for normal.
        runtime: how to compute; None in this process, without a cache.
        order: which channel of a file is the near microphone; saved with the detector.
        skip_bad: leave out clips that cannot be used, with a warning that lists them.
        any_frontend: take a trained encoder behind another front end than it was trained with.

    Returns:
        A detector.

    Raises:
        AudioError: a clip that cannot be used.
        SettingError: a trained encoder behind another front end than it was trained with.
        DatasetError: no clips, too few, test clips or anomalies among them (law 4).
    """
    detectors = fit_many(
        (system,), clips, runtime, order=order, skip_bad=skip_bad, any_frontend=any_frontend
    )
    return next(iter(detectors))


def fit_many(
    systems: Sequence[AnySystem],
    clips: Clips,
    runtime: Runtime | None = None,
    *,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
    any_frontend: bool = False,
) -> Iterator[Detector]:
    """Fit systems one after the other on the same clips, which are heard once.

    Members that are equal are the same fit. Only what a later system still needs is kept, so a
    detector that the caller lets go of is gone. What many systems would warn of, the first says.
    Where one system needs two channels, clips are told apart by both for all of them.

    Args:
        systems: at least one.
        clips: as in `fit`, and the rest too.

    Returns:
        A detector for each system, in their order.

    Raises:
        As `fit`; before the first detector, for what concerns any of them.
    """
    import scipy.linalg  # noqa: F401 - its BLAS must be there when threads are limited

    runtime, once = runtime or Runtime(), Once()
    to_order(np.zeros((2, 1), np.float32), order)  # refuse a wrong order before any work
    check_training(clips)
    for system in systems:
        if not any_frontend:
            for member in system.members:
                check_frontend(member.frontend, member.embedder, order)
        warn_untrained(system, once)
    chains = [member.chain for system in systems for member in system.members]
    hearing = hear(clips, chains, runtime, order=order, skip_bad=skip_bad)
    usable = {clip.machine for clip, _ in hearing.heard}
    for machine in clips.machines:
        if machine not in usable:
            raise DatasetError(f"{machine}: none of its clips can be used; record them again")
    return _fitted(systems, Material(hearing, runtime, order, once))


@dataclass
class Material:
    """What systems are fitted on, and what has been fitted of it so far.

    Args:
        hearing: the clips, heard for the chains of all systems.
        runtime: how to compute.
        order: which channel of a file is near.
        once: through which warnings go.
        members: fitted ones that a later system has too.
    """

    hearing: Hearing
    runtime: Runtime
    order: ChannelOrder
    once: Once
    members: dict[tuple[System, str, str], Member] = field(default_factory=dict)


def _fitted(systems: Sequence[AnySystem], material: Material) -> Iterator[Detector]:
    needs = Counter(member for system in systems for member in set(system.members))
    groups = sorted(by_section(clip for clip, _ in material.hearing.heard).items())
    progress, done = material.runtime.progress, 0
    for system in systems:
        needs -= Counter(set(system.members))  # what is left are the needs of later systems
        own = material.hearing.of(dict.fromkeys(member.chain for member in system.members))
        sections = {}
        for key, places in groups:
            group = [own[place] for place in places]
            sections[key] = _fit_section(system, key, group, material, needs)
            done += 1
            if progress is not None:
                progress("fitting", done, len(groups) * len(systems))
        yield Detector(system, sections, material.order, system.false_alarm_rate, origins(system))


def _fit_section(
    system: AnySystem,
    key: tuple[str, str],
    group: Sequence[tuple[Clip, Heard]],
    material: Material,
    needs: Counter[System],
) -> Section:
    everything, group, machine = group, _distinct(group), key[0]
    chains = tuple(dict.fromkeys(member.chain for member in system.members))
    origin = np.arange(len(group))
    domain = np.array([TARGET if c.domain == "target" else SOURCE for c, _ in group], dtype=np.int8)
    check_section(system, machine, everything, group, domain, material.once)
    lr_corr = np.array([what.lr_corr for _, what in group])
    members = []
    for i, member in enumerate(system.members):
        # A member fitted for another system is the same fit: equal recipe, equal clips.
        fitted = material.members.get((member, *key))
        if fitted is None:
            rows = np.stack([what.rows[chains.index(member.chain)] for _, what in group])
            path = f"members.{i}." if len(system.members) > 1 else ""
            table = NormalRows(rows, origin, domain, lr_corr)
            fitted = _fit_one(member, machine, group, table, material, path)
        if needs[member]:
            material.members[(member, *key)] = fitted
        else:
            material.members.pop((member, *key), None)
        members.append(fitted)
    warn_of_fit(system, machine, members, material.once)
    return Section(
        tuple(members),
        tuple(TrainingClip(c.name, what.digest) for c, what in group),
        _level_range([what.level for _, what in group]),
        float(np.median([what.seconds for _, what in group])),
        fresh_clips(system, machine, [what.near for _, what in group], material.once),
    )


def _fit_one(
    member: System,
    machine: str,
    group: Sequence[tuple[Clip, Heard]],
    table: NormalRows,
    material: Material,
    path: str,
) -> Member:
    """One member of one machine and section; `path` leads to it in --set."""
    blocks = recording_blocks([clip for clip, _ in group], member.folds)
    folds = assign_folds(blocks, table.domain, member.folds, member.seed)
    pools = _pools(member, machine, group, table, folds, material, path)
    with one_thread():
        fitted = fit_member(member, table, pools, folds)
    heard_machine = machine_facts(member.embedder, machine)
    return replace(fitted, facts={**fitted.facts, **heard_machine})


def _distinct(group: Sequence[tuple[Clip, Heard]]) -> list[tuple[Clip, Heard]]:
    """One clip for each audio (a target clip if any is), in an order of their own.

    What is fitted must depend neither on the order of files nor on copies of them.
    """
    ordered = sorted(group, key=lambda pair: (pair[0].domain != "target", pair[0].name))
    first: dict[str, tuple[Clip, Heard]] = {}
    for pair in ordered:
        first.setdefault(pair[1].digest, pair)
    return [first[digest] for digest in sorted(first)]


def _pools(
    system: System,
    machine: str,
    group: Sequence[tuple[Clip, Heard]],
    table: NormalRows,
    folds: NDArray[np.int64],
    material: Material,
    path: str,
) -> list[Pool]:
    """Residual rows of the target clips, for each enrichment; `path` leads to it in --set."""
    pools: list[Pool] = []
    for enrichment, size in zip(system.enrichment, pool_sizes(system, table, folds), strict=True):
        if not size:
            pools.append({})
            continue
        if not isinstance(enrichment, FromAudio):
            raise SettingError(f"{enrichment!r} asks for residual rows, but draws none")
        targets = {int(o): i for i, o in enumerate(table.origin) if table.domain[i] == TARGET}
        requests = [
            (
                group[i][0],
                group[i][1].digest,
                enrichment.draw(system.seed, group[i][1].digest, size),
            )
            for i in targets.values()
        ]
        rows = residual_rows(
            requests, system.chain, material.runtime, match_levels=enrichment.match_levels,
            order=material.order,
        )  # fmt: skip
        levels = [group[i][1].level for i in targets.values()]
        if not enrichment.match_levels and np.median(levels) > MONO_LIKE:
            material.once.warn(
                (machine, "mono-like", path),
                f"{machine}: near is {np.median(levels):.0f} dB above far, so most residual rows "
                f"sound like mono recordings; --set {path}enrichment.ResidualAugmentation."
                "match_levels=True mixes at equal levels",
            )
        pools.append(dict(zip(targets, rows, strict=True)))
    return pools


def _level_range(levels: Sequence[float]) -> tuple[float, float] | None:
    heard = [level for level in levels if np.isfinite(level)]
    return (min(heard), max(heard)) if heard else None
