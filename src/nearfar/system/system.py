"""The one place where the parts meet: a System is a recipe, fitting it gives a Detector.

    Clips → front end → embedder → adaptation → whitening → memory bank → scoring rule
          → calibration → Scores

Everything here is frozen data; `repr(system)` can be run, `dataclasses.replace` makes a variant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from nearfar.embedder.contract import Embedder, bands_of, has_grid, has_residuals, innermost
from nearfar.embedding.chain import Chain
from nearfar.errors import SettingError
from nearfar.frontend import Frontend
from nearfar.parts.data import UNSAVED_DEFAULT
from nearfar.parts.own import check_contract
from nearfar.parts.valid import check_rate, choice, whole
from nearfar.scoring.adapt import Adaptation
from nearfar.scoring.calibrate import Calibration, Raw
from nearfar.scoring.enrich import Enrichment, FromAudio
from nearfar.scoring.parted import bands_of as rule_bands
from nearfar.scoring.rule import KNN, Rule
from nearfar.scoring.whiten import Whitener

Fusion = Literal["mean", "minimum"]
FUSIONS = ("mean", "minimum")


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

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Far
    >>> system = System(Far(), LogMel(n_mels=40), rule=KNN((1.0, -0.35)))
    >>> system.needs, system.calibration, system.folds
    (2, Raw(), 10)
    >>> System(Far(), LogMel(), folds=1)
    Traceback (most recent call last):
    nearfar.errors.SettingError: folds is 1; it is a whole number from 2 up
    """

    frontend: Frontend
    embedder: Embedder
    rule: Rule = KNN()  # noqa: RUF009 - frozen
    # By name only and unsaved while None: older calls and older folders stay what they were.
    adaptation: Adaptation | None = field(default=None, kw_only=True, metadata=UNSAVED_DEFAULT)
    whitening: Whitener | None = None  # after the adaptation
    enrichment: tuple[Enrichment, ...] = ()
    calibration: Calibration = Raw()  # noqa: RUF009 - frozen
    # With fewer clips than dimensions "loo" sends every new normal clip to percentile 1.
    self_scores: Literal["cross-fitted", "loo"] = "cross-fitted"
    folds: int = 10  # as many as there are clips at most
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
    def fusion(self) -> Fusion:
        """Of one score, whatever is said of several is that score."""
        return "mean"

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
        weights: of the members' scores; () weighs them equally. They are normalised to sum 1.
        false_alarm_rate: share of normal clips that may be called anomalous.
        fusion: "mean" is the weighted mean; "minimum" the least score, so that a clip is anomalous
            only where every member says so. It knows no weights, and wants scores that are
            calibrated alike.

    Raises:
        SettingError: no members, or weights that do not fit them.

    >>> from nearfar.embedder.logmel import LogMel
    >>> from nearfar.frontend import Far, Near
    >>> both = Ensemble((System(Near(), LogMel()), System(Far(), LogMel())))
    >>> both.needs, both.weights
    (2, (0.5, 0.5))
    """

    members: tuple[System, ...]
    weights: tuple[float, ...] = ()
    false_alarm_rate: float = 0.1  # of normal clips, 0–1; those of the members play no part
    # By name only and unsaved while "mean": older calls and folders stay what they were.
    fusion: Fusion = field(default="mean", kw_only=True, metadata=UNSAVED_DEFAULT)

    def __post_init__(self) -> None:
        if not isinstance(self.members, tuple) or not self.members:
            raise SettingError(f"Ensemble.members is {self.members!r}; give a tuple of systems")
        for member in self.members:
            if not isinstance(member, System):
                raise SettingError(f"Ensemble.members has {member!r}; each must be a System")
        if not self.weights:  # written out, so that repr and the detector's file say what holds
            object.__setattr__(self, "weights", (1.0 / len(self.members),) * len(self.members))
        fine = isinstance(self.weights, tuple) and all(
            isinstance(w, int | float) and np.isfinite(w) and w >= 0 for w in self.weights
        )
        if not fine or len(self.weights) != len(self.members) or not sum(self.weights) > 0:
            raise SettingError(
                f"Ensemble.weights is {self.weights!r}; give one number ≥ 0 for each of "
                f"{len(self.members)} members"
            )
        choice("Ensemble.fusion", self.fusion, FUSIONS)
        if self.fusion == "minimum" and min(self.weights) < max(self.weights):
            raise SettingError(
                f"Ensemble.weights is {self.weights!r}; a minimum knows no weights, give () or "
                'equal ones, or fusion="mean"'
            )
        check_rate(self.false_alarm_rate)

    @property
    def needs(self) -> int:
        """Channels that a clip must have."""
        return max(m.needs for m in self.members)  # each clip is read once, for all of them


def _check_made(system: System) -> None:
    """Refuse a class for a part: it passes for its protocol and would fail in mid-fit."""
    for name in ("frontend", "embedder", "rule", "adaptation", "whitening", "calibration"):
        part = getattr(system, name)
        if isinstance(part, type):
            raise SettingError(
                f"System.{name} is the class {part.__name__}; write {part.__name__}()"
            )


def _check_parts(system: System) -> None:
    _check_made(system)
    check_contract(
        "frontend", system.frontend, "one such as Stereo()", "needs", "channels", "fingerprint"
    )
    check_contract(
        "embedder", system.embedder, "one such as DIF()", "channels", "dim", "fingerprint"
    )
    check_contract("rule", system.rule, "one such as KNN()", "metric", "neighbours")
    adaptation = system.adaptation
    if adaptation is not None and not isinstance(adaptation, Adaptation):
        raise SettingError(
            f"System.adaptation is {adaptation!r}; give MeanShift(), UnitLength(), "
            "Standardise() or None"
        )
    if system.whitening is not None and not isinstance(system.whitening, Whitener):
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
    _check_bands(system)
    for enrichment in system.enrichment:
        if not isinstance(enrichment, Enrichment) or isinstance(enrichment, type):
            raise SettingError(f"System.enrichment has {enrichment!r}; it cannot make rows")
        # Found now, not at the first clip, which may come after hours of embedding.
        if isinstance(enrichment, FromAudio) and not has_residuals(system.embedder):
            raise SettingError(
                f"{type(enrichment).__name__} needs an embedder with residuals, such as DIF(); "
                f"{type(system.embedder).__name__} has none"
            )


def _check_bands(system: System) -> None:
    """Refuse bands where a row has none, or where they would be mixed."""
    wanted = rule_bands(system.rule)
    if wanted == 1:
        return
    kept, embedder = bands_of(system.embedder), type(system.embedder).__name__
    if kept == 1:
        wrapped = has_grid(innermost(system.embedder))
        way = "pool its grid, embedder=Pooled" if wrapped else "give an embedder that does"
        raise SettingError(
            f"{type(system.rule).__name__} asks for {wanted} bands, {embedder} keeps none apart; "
            f"{way}, or another rule, such as KNN()"
        )
    if kept != wanted:
        raise SettingError(
            f"{type(system.rule).__name__} asks for {wanted} bands, {embedder} keeps {kept}; say "
            f"bands={kept}"
        )
    if system.whitening is not None:
        raise SettingError(
            f"{type(system.rule).__name__} keeps {wanted} bands apart, {system.whitening!r} mixes "
            "them; give whitening=None, or another rule"
        )


def _check_numbers(system: System) -> None:
    if system.self_scores not in ("cross-fitted", "loo"):
        raise SettingError(f"self_scores is {system.self_scores!r}; 'cross-fitted' or 'loo'")
    whole("folds", system.folds, 2)  # with one, nothing would be left to judge by
    whole("seed", system.seed, 0)
    check_rate(system.false_alarm_rate)


AnySystem = System | Ensemble
