"""The one place where the parts meet: a System is a recipe, fitting it gives a Detector.

    Clips → front end → embedder → adaptation → whitening → memory bank → scoring rule
          → calibration → Scores

Everything here is frozen data; `repr(system)` can be run, `dataclasses.replace` makes a variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.adapt import Adaptation
from nearfar.audio import ChannelOrder, to_order
from nearfar.bank import KNN, SOURCE, TARGET, Rule
from nearfar.calibrate import Calibration, Raw, check_rate
from nearfar.chain import Chain
from nearfar.checks import check_section, check_training, warn, warn_of_fit
from nearfar.detector import Detector
from nearfar.embedder import Embedder, is_embedder
from nearfar.encoders import origins
from nearfar.enrich import Enrichment, Pool
from nearfar.errors import DatasetError, SettingError
from nearfar.fitting import (
    Table,
    assign_folds,
    fit_member,
    pool_sizes,
    recording_blocks,
)
from nearfar.frontend import Frontend
from nearfar.hear import Heard, hear, one_thread, residual_rows
from nearfar.recipe import UNSAVED_DEFAULT
from nearfar.section import Section, TrainingClip
from nearfar.store import Runtime
from nearfar.trained import check_frontend, fresh_clips, machine_facts, warn_untrained
from nearfar.whiten import ZCA

if TYPE_CHECKING:
    from nearfar.clips import Clip, Clips

MONO_LIKE = 10.0  # dB near over far, from which most residual rows sound like mono recordings


@dataclass(frozen=True)
class System:
    """A recipe for hearing anomalies; plain data, saved with every detector.

    Args:
        frontend: audio → audio.
        embedder: audio → one row of numbers.
        rule: how distances to the bank become a score.
        adaptation: what moves the embeddings of two domains together, before whitening; None
            leaves them where they are.
        whitening: None leaves the embedding space as it is.
        enrichment: what adds rows for the target domain.
        calibration: what makes scores of different systems comparable.
        self_scores: "cross-fitted" holds each clip out of everything that is fitted; "loo" only
            takes the clip's rows out of the bank (the report's literal reading).
        folds: of the cross-fitting.
        false_alarm_rate: share of normal clips that may be called anomalous.
        seed: of folds and residual rows.

    Raises:
        SettingError: parts that do not fit together, or an impossible value.
    """

    frontend: Frontend
    embedder: Embedder
    rule: Rule = KNN()  # noqa: RUF009 - frozen
    # By name only and unsaved while None: older calls and older folders stay what they were.
    adaptation: Adaptation | None = field(default=None, kw_only=True, metadata=UNSAVED_DEFAULT)
    whitening: ZCA | None = None
    enrichment: tuple[Enrichment, ...] = ()
    calibration: Calibration = Raw()  # noqa: RUF009 - frozen
    self_scores: Literal["cross-fitted", "loo"] = "cross-fitted"
    folds: int = 10
    false_alarm_rate: float = 0.1  # of normal clips, 0–1
    seed: int = 0

    def __post_init__(self) -> None:
        _check_parts(self)
        _check_numbers(self)

    @property
    def members(self) -> tuple[System, ...]:
        """A system is an ensemble of one."""
        return (self,)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each member."""
        return (1.0,)

    @property
    def needs(self) -> int:
        """Channels that a clip must have."""
        return self.frontend.needs

    @property
    def chain(self) -> Chain:
        """What turns a clip into a row."""
        return Chain(self.frontend, self.embedder)


@dataclass(frozen=True)
class Ensemble:
    """Systems whose calibrated scores are averaged (Systems 2 and 3, report §2.4).

    Args:
        members: fitted on the same clips.
        weights: of the members' scores; None weighs them equally. They are normalised to sum 1.
        false_alarm_rate: share of normal clips that may be called anomalous.

    Raises:
        SettingError: no members, or weights that do not fit them.
    """

    members: tuple[System, ...]
    weights: tuple[float, ...] = ()
    false_alarm_rate: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.members, tuple) or not self.members:
            raise SettingError(f"Ensemble.members is {self.members!r}; give a tuple of systems")
        for member in self.members:
            if not isinstance(member, System):
                raise SettingError(f"Ensemble.members has {member!r}; each must be a System")
        if not self.weights:
            object.__setattr__(self, "weights", (1.0 / len(self.members),) * len(self.members))
        fine = isinstance(self.weights, tuple) and all(
            isinstance(w, int | float) and np.isfinite(w) and w >= 0 for w in self.weights
        )
        if not fine or len(self.weights) != len(self.members) or not sum(self.weights) > 0:
            raise SettingError(
                f"Ensemble.weights is {self.weights!r}; give one number ≥ 0 for each of "
                f"{len(self.members)} members"
            )
        check_rate(self.false_alarm_rate)

    @property
    def needs(self) -> int:
        """Channels that a clip must have."""
        return max(m.needs for m in self.members)


def fit(
    system: System | Ensemble,
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
    import scipy.linalg  # noqa: F401 - its BLAS must be there when threads are limited

    runtime = runtime or Runtime()
    to_order(np.zeros((2, 1), np.float32), order)  # refuse a wrong order before any work
    check_training(clips)
    if not any_frontend:
        for member in system.members:
            check_frontend(member.frontend, member.embedder, order)
    warn_untrained(system)
    chains = tuple(dict.fromkeys(m.chain for m in system.members))
    heard, skipped = hear(clips, chains, runtime, order=order, skip_bad=skip_bad)
    for line in skipped:
        warn(f"left out: {line}")
    for machine in clips.machines:
        if not any(h and c.machine == machine for c, h in zip(clips, heard, strict=True)):
            raise DatasetError(f"{machine}: none of its clips can be used; record them again")
    groups: dict[tuple[str, str], list[tuple[Clip, Heard]]] = {}
    for clip, what in zip(clips, heard, strict=True):
        if what is not None:
            groups.setdefault((clip.machine, clip.section), []).append((clip, what))
    sections = {}
    for n, (key, group) in enumerate(sorted(groups.items()), 1):
        sections[key] = _fit_section(system, chains, key[0], group, runtime, order)
        if runtime.progress is not None:
            runtime.progress("fitting", n, len(groups))
    return Detector(system, sections, order, system.false_alarm_rate, origins(system))


def _fit_section(
    system: System | Ensemble,
    chains: tuple[Chain, ...],
    machine: str,
    group: Sequence[tuple[Clip, Heard]],
    runtime: Runtime,
    order: ChannelOrder,
) -> Section:
    everything, group = group, _distinct(group)
    origin = np.arange(len(group))
    domain = np.array([TARGET if c.domain == "target" else SOURCE for c, _ in group], dtype=np.int8)
    check_section(system, machine, everything, group, domain)
    lr_corr = np.array([what.lr_corr for _, what in group])
    tables = [
        Table(np.stack([what.rows[i] for _, what in group]), origin, domain, lr_corr)
        for i in range(len(chains))
    ]
    members = []
    for i, member in enumerate(system.members):
        path = f"members.{i}." if len(system.members) > 1 else ""
        table = tables[chains.index(member.chain)]
        blocks = recording_blocks([clip for clip, _ in group], member.folds)
        folds = assign_folds(blocks, domain, member.folds, member.seed)
        pools = _pools(member, machine, group, table, folds, runtime, order, path)
        with one_thread():
            fitted = fit_member(member, table, pools, folds)
        heard_machine = machine_facts(member.embedder, machine)
        members.append(replace(fitted, facts={**fitted.facts, **heard_machine}))
    warn_of_fit(system, machine, members)
    return Section(
        tuple(members),
        tuple(TrainingClip(c.name, what.digest) for c, what in group),
        _level_range([what.level for _, what in group]),
        float(np.median([what.seconds for _, what in group])),
        fresh_clips(system, machine, [what.near for _, what in group]),
    )


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
    table: Table,
    folds: NDArray[np.int64],
    runtime: Runtime,
    order: ChannelOrder,
    path: str,
) -> list[Pool]:
    """Residual rows of the target clips, for each enrichment; `path` leads to it in --set."""
    pools: list[Pool] = []
    for enrichment, size in zip(system.enrichment, pool_sizes(system, table, folds), strict=True):
        if not size:
            pools.append({})
            continue
        part: Any = enrichment  # only a part with a pool has `draw` and `match_levels`
        targets = {int(o): i for i, o in enumerate(table.origin) if table.domain[i] == TARGET}
        requests = [
            (group[i][0], group[i][1].digest, part.draw(system.seed, group[i][1].digest, size))
            for i in targets.values()
        ]
        rows = residual_rows(
            requests, system.chain, runtime, match_levels=part.match_levels, order=order
        )
        levels = [group[i][1].level for i in targets.values()]
        if not part.match_levels and np.median(levels) > MONO_LIKE:
            warn(
                f"{machine}: near is {np.median(levels):.0f} dB above far, so most residual rows "
                f"sound like mono recordings; --set {path}enrichment.ResidualAugmentation."
                "match_levels=True mixes at equal levels"
            )
        pools.append(dict(zip(targets, rows, strict=True)))
    return pools


def _level_range(levels: Sequence[float]) -> tuple[float, float] | None:
    heard = [level for level in levels if np.isfinite(level)]
    return (min(heard), max(heard)) if heard else None


def _check_parts(system: System) -> None:
    if not isinstance(system.frontend, Frontend):
        raise SettingError(f"System.frontend is {system.frontend!r}; give one such as Stereo()")
    if not is_embedder(system.embedder):
        raise SettingError(f"System.embedder is {system.embedder!r}; give one such as DIF()")
    if not isinstance(system.rule, Rule):
        raise SettingError(f"System.rule is {system.rule!r}; give one such as KNN()")
    adaptation = system.adaptation
    kind = isinstance(adaptation, Adaptation) and not isinstance(adaptation, type)
    if adaptation is not None and not kind:
        raise SettingError(
            f"System.adaptation is {adaptation!r}; give MeanShift(), UnitLength(), "
            "Standardise() or None"
        )
    if system.whitening is not None and not hasattr(system.whitening, "fit"):
        raise SettingError(f"System.whitening is {system.whitening!r}; give ZCA() or None")
    if not isinstance(system.calibration, Calibration):
        raise SettingError(f"System.calibration is {system.calibration!r}; give one such as Raw()")
    if not isinstance(system.enrichment, tuple):
        raise SettingError(f"System.enrichment is {system.enrichment!r}; give a tuple of parts")
    if system.frontend.channels != system.embedder.channels:
        raise SettingError(
            f"{system.frontend!r} gives {system.frontend.channels} channels, "
            f"{type(system.embedder).__name__} needs {system.embedder.channels}"
        )
    for enrichment in system.enrichment:
        if not isinstance(enrichment, Enrichment):
            raise SettingError(f"System.enrichment has {enrichment!r}; it cannot make rows")
        if hasattr(enrichment, "draw") and not hasattr(system.embedder, "residuals"):
            raise SettingError(
                f"{type(enrichment).__name__} needs an embedder with residuals, such as DIF(); "
                f"{type(system.embedder).__name__} has none"
            )


def _check_numbers(system: System) -> None:
    if system.self_scores not in ("cross-fitted", "loo"):
        raise SettingError(f"self_scores is {system.self_scores!r}; 'cross-fitted' or 'loo'")
    for name, least in (("folds", 2), ("seed", 0)):
        value = getattr(system, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise SettingError(f"{name} is {value!r}; it is a whole number from {least} up")
    check_rate(system.false_alarm_rate)
