"""Table 1: what the four systems are made of, read off the presets themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nearfar.embedder.crops import Crops
from nearfar.embedder.eat import EAT
from nearfar.frontend import CoherenceMask, Near, Stereo
from nearfar.reproduce.reported import SYSTEMS, Reported
from nearfar.reproduce.tables.table import Table
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.rule import KNN
from nearfar.system.presets import PRESETS, PUBLISHED
from nearfar.system.system import AnySystem, System
from nearfar.training.settings import FineTuning

STEPS = ("Preprocess", "Feature", "Training", "Augmentation", "Scoring", "Ensemble")
LOSSES = {"arcface": "ArcFace", "cosface": "CosFace", "elasticface": "ElasticFace",
          "magface": "MagFace"}  # fmt: skip
NAMES: dict[type, str] = {  # of parts that the report calls otherwise than their types
    CoherenceMask: "coherence mask", Stereo: "none (both channels)", Near: "none (near channel)",
    ResidualAugmentation: "residual augmentation", PseudoTarget: "pseudo-target",
}  # fmt: skip


def configurations(training: FineTuning, reported: Reported | None, seeds: int) -> Table:
    """The systems, the second made of some seeds, part by part; below each the report's, if any."""
    ours = {s: _column(s.lower(), training, seeds) for s in SYSTEMS}
    data: dict[str, Any] = {"ours": ours}
    if reported is not None:
        data["report"] = {row.step: dict(row.systems) for row in reported.table1}
    rows = []
    for step in STEPS:
        rows.append([step, *(ours[s][step] for s in SYSTEMS)])
        if reported is not None:
            rows.append(["– report", *(data["report"][step][s] for s in SYSTEMS)])
    return Table("table1", "Table 1: the systems", ["", *SYSTEMS], rows, (), data)


def _column(name: str, training: FineTuning, seeds: int) -> dict[str, str]:
    """One system."""
    preset = PRESETS[name]
    system = preset(name, [PUBLISHED] * preset.encoders)
    crops = "temporal crops" if preset.trained else "none"  # which a training cuts by itself
    return {
        "Preprocess": _joined(_named(m.frontend) for m in system.members),
        "Feature": _joined(_feature(m.embedder, preset.trained) for m in system.members),
        "Training": LOSSES[training.loss] if preset.trained else "none, 0 parameters",
        "Augmentation": _joined(_named(e) for m in system.members for e in m.enrichment) or crops,
        "Scoring": _joined(_scoring(m) for m in system.members),
        "Ensemble": _ensemble(system, preset.trained, seeds),
    }


def _named(part: object) -> str:
    return NAMES.get(type(part), type(part).__name__)


def _feature(embedder: Any, trained: bool) -> str:
    if isinstance(embedder, Crops):
        return f"{_feature(embedder.embedder, trained)}, {embedder.n} crops"
    if isinstance(embedder, EAT):
        return "EAT, fine-tuned" if trained else "EAT, frozen"
    return f"{type(embedder).__name__}, {embedder.dim}"


def _scoring(member: System) -> str:
    rule: Any = member.rule
    if not isinstance(rule, KNN):  # k alone would call any rule the nearest neighbour's
        return f"{rule.metric}, {rule!r}"
    weighted = len(rule.weights) > 1
    told = f" ({', '.join(f'{w:g}' for w in rule.weights)})".replace("-", "−") if weighted else ""
    return f"{'weighted ' if weighted else ''}{rule.metric}, k = {rule.neighbours}{told}"


def _ensemble(system: AnySystem, trained: bool, seeds: int) -> str:
    if len(system.members) == 1:
        return "single"
    kind = type(system.members[0].calibration).__name__
    if system.fusion != "mean":
        return f"{kind}, {system.fusion}"
    if trained:
        return f"{kind}, mean of {seeds} seeds" if seeds > 1 else f"{kind}, one seed"
    return f"{kind}, {' to '.join(f'{w:.2f}' for w in system.weights)}"


def _joined(names: Iterable[str]) -> str:
    """Each once."""
    return " + ".join(dict.fromkeys(names))
