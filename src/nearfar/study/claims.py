"""What is claimed about a system, by the report or after it, as systems to compare.

A claim turns a system into variants, of which the first is the reference; `ablate` fits, scores and
compares them. A variant is the system with one part replaced, so nothing else can differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from nearfar.embedder.contract import has_residuals
from nearfar.embedder.dif import DIF, TABLE, Feature
from nearfar.errors import SettingError, did_you_mean
from nearfar.scoring.adapt import Adaptation, MeanShift, Standardise, UnitLength
from nearfar.scoring.calibrate import Percentile, Raw
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.rule import KNN
from nearfar.study import beyond
from nearfar.system.system import AnySystem, Ensemble, System

Change = Callable[[System], System]  # of one member; one that it is not about stays as it is

STEP = 0.2  # share by which coefficients are moved
SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉"
_FEATURES = {feature.name: feature for feature in TABLE}


@dataclass(frozen=True)
class Variant:
    """A system, and what its row is called.

    >>> from nearfar.system.presets import s4
    >>> Variant("cosine", replace(s4(), rule=KNN())).system.rule.metric
    'cosine'
    """

    name: str
    system: AnySystem
    against: str = ""  # name of the row it is compared with; "": the first


@dataclass(frozen=True)
class Claim:
    """What is said, and the systems that show whether it holds, the reference first.

    `variants` raises SettingError for a system that the claim is not about. `start` makes the
    system of weights that the claim begins with where a person names none; without it that is
    System 4.

    >>> from nearfar.system.presets import s4
    >>> [variant.name for variant in find_claim("adaptation").variants(s4())]
    ['no adaptation', 'mean shift', 'unit length', 'z-score']
    """

    sentence: str
    variants: Callable[[AnySystem], list[Variant]]
    start: Callable[..., AnySystem] | None = None


# ---- the claims: system → variants -----------------------------------------------------------


def _coefficients(system: AnySystem) -> list[Variant]:
    most = max(len(_coefficients_of(m)) for m in system.members)
    if most < 2:  # all scores times a factor: no rank changes
        raise _not_for(
            "coefficients",
            "systems with more than one coefficient, such as System 3's KNN((1.0, -0.35, -0.05))",
        )
    # Each alone and all together, which must change nothing and so shows that nothing else did.
    places = {f"d{SUBSCRIPTS[j + 1] if j < 9 else j + 1}": {j} for j in range(most)}
    rows = [
        Variant(f"{name} {sign}{100 * STEP:.0f} %", _each(system, _scaled(moved, factor)))
        for name, moved in {**places, "all": set(range(most))}.items()
        for sign, factor in (("−", 1 - STEP), ("+", 1 + STEP))
    ]
    return [Variant("as it is", system), *rows]


def _coefficients_of(member: System) -> tuple[float, ...]:
    return member.rule.weights if isinstance(member.rule, KNN) else ()


def _scaled(places: set[int], factor: float) -> Change:
    def change(member: System) -> System:
        weights = _coefficients_of(member)
        # One coefficient is a unit; the second question is for the type checker.
        if len(weights) < 2 or not isinstance(member.rule, KNN):
            return member
        moved = tuple(w * factor if j in places else w for j, w in enumerate(weights))
        return replace(member, rule=replace(member.rule, weights=moved))

    return change


def _fusion(system: AnySystem) -> list[Variant]:
    if not isinstance(system, Ensemble) or len(system.members) != 2:
        raise _not_for("fusion", "ensembles of two members, such as System 3")
    first, second = _names(system)
    # Tenths from one member alone to the other alone, beside the system's own weights.
    share = system.weights[0] / sum(system.weights)
    rows = [Variant(f"as it is: {share:.2f} {first}, {1 - share:.2f} {second}", system)]
    for tenth in range(11):
        weights = (tenth / 10, (10 - tenth) / 10)
        name = f"{weights[0]:.1f} {first}, {weights[1]:.1f} {second}"
        rows.append(Variant(name, replace(system, weights=weights)))
    return rows


def _enrichment(system: AnySystem) -> list[Variant]:
    if not any(_enriched(member) for member in system.members):
        raise _not_for(
            "enrichment",
            "systems with DIF and ResidualAugmentation or PseudoTarget, such as Systems 3 and 4",
        )
    combinations = {
        "residual and pseudo-target": (True, True),
        "residual augmentation only": (True, False),
        "pseudo-target only": (False, True),
        "neither": (False, False),
    }
    rows = {name: _each(system, _with_parts(*on)) for name, on in combinations.items()}
    return _around(system, rows)


def _enriched(member: System) -> bool:
    parts = [e for e in member.enrichment if isinstance(e, ResidualAugmentation | PseudoTarget)]
    # Without residuals one of the two could not be put in where it is missing.
    return bool(parts) and has_residuals(member.embedder)


def _with_parts(residual: bool, pseudo: bool) -> Change:
    wanted: dict[type, bool] = {ResidualAugmentation: residual, PseudoTarget: pseudo}

    def change(member: System) -> System:
        if not _enriched(member):
            return member
        # A person's own enrichment is no part of the claim and stays.
        kept = tuple(e for e in member.enrichment if wanted.get(type(e), True))
        there = {type(e) for e in kept}
        # What is there keeps its settings; what was not has the report's.
        new = tuple(kind() for kind, on in wanted.items() if on and kind not in there)
        return replace(member, enrichment=(*kept, *new))

    return change


def _channels(system: AnySystem) -> list[Variant]:
    features = _features_of("channels", system)
    kinds = dict.fromkeys(feature.channel for feature in features)
    if len(kinds) < 2:
        raise _not_for("channels", "systems whose DIF has near and stereo features")
    counts = {kind: sum(f.channel == kind for f in features) for kind in kinds}
    both = " and ".join(f"{count} {kind}" for kind, count in counts.items())
    return [
        Variant(f"both: {both} features", system),
        *(
            _of_features(f"{count} {kind} features alone", system, "channel", {kind})
            for kind, count in counts.items()
        ),
    ]


def _families(system: AnySystem) -> list[Variant]:
    features = _features_of("families", system)
    families = dict.fromkeys(feature.family for feature in features)
    if len(families) < 2:
        raise _not_for("families", "systems whose DIF has features of more than one family")
    rows = [Variant(f"all {len(features)} features", system)]
    for family in families:
        count = sum(feature.family == family for feature in features)
        rest = set(families) - {family}
        rows.append(_of_features(f"without {family} ({count})", system, "family", rest))
    return rows


def _features_of(claim: str, system: AnySystem) -> list[Feature]:
    """The features that the system's DIF members use, in the order of the table."""
    parts = [m.embedder for m in system.members if isinstance(m.embedder, DIF)]
    if not parts:
        raise _not_for(claim, "systems with DIF, such as Systems 3 and 4")
    used = {name for part in parts for name in part.names}
    return [feature for feature in TABLE if feature.name in used]


def _of_features(name: str, system: AnySystem, what: str, wanted: set[str]) -> Variant:
    """The system with only those features of DIF whose channel or family is wanted."""
    mono = False  # is any member left without stereo features?

    def change(member: System) -> System:
        nonlocal mono
        if not isinstance(member.embedder, DIF):
            return member
        names = member.embedder.names
        left = DIF(tuple(n for n in names if getattr(_FEATURES[n], what) in wanted))
        # Residual rows differ from their clip in stereo features only: without, they are copies.
        drop = ResidualAugmentation if not left.stereo.any() else ()
        kept = tuple(e for e in member.enrichment if not isinstance(e, drop))
        mono = mono or kept != member.enrichment
        return replace(member, embedder=left, enrichment=kept)

    changed = _each(system, change)
    return Variant(name + (", no residual augmentation" if mono else ""), changed)


def _adaptation(system: AnySystem) -> list[Variant]:
    parts = {
        "no adaptation": None,
        "mean shift": MeanShift(),
        "unit length": UnitLength(),
        "z-score": Standardise(),
    }

    # The formulas are ours (docs/decisions.md); DANN and MixStyle would need a training.
    def with_part(part: Adaptation | None) -> Change:
        return lambda member: replace(member, adaptation=part)

    return _around(system, {name: _each(system, with_part(part)) for name, part in parts.items()})


def _members(system: AnySystem) -> list[Variant]:
    if len(system.members) < 2:
        raise _not_for("members", "ensembles, such as System 3")
    rows = [Variant("ensemble", system)]
    for name, member in zip(_names(system), system.members, strict=True):
        # Members need not score as the system of their name does: System 4 has k = 1, DIF here 3.
        k = f" (k = {member.rule.neighbours})"
        rows.append(Variant(f"{name} alone{k}", member))
    return rows


def _self_scores(system: AnySystem) -> list[Variant]:
    if all(isinstance(member.calibration, Raw) for member in system.members):
        raise _not_for(
            "selfscores",
            "systems with a calibration, such as System 3's Percentile(); raw scores do not use "
            "self-scores, only thresholds do",
        )
    rows = {
        "cross-fitted": _each(system, lambda m: replace(m, self_scores="cross-fitted")),
        "leave-one-out, literal": _each(system, lambda m: replace(m, self_scores="loo")),
    }
    return _around(system, rows)


def _percentile(system: AnySystem) -> list[Variant]:
    if not any(isinstance(member.calibration, Percentile) for member in system.members):
        raise _not_for("percentile", "systems with Percentile() as calibration, such as System 3")

    def with_tail(tail: Any) -> Change:
        return lambda member: (
            replace(member, calibration=replace(member.calibration, tail=tail))
            if isinstance(member.calibration, Percentile)
            else member
        )

    rows = {f"{tail} tail": _each(system, with_tail(tail)) for tail in ("flat", "linear")}
    return _around(system, rows)


def _beyond(system: AnySystem) -> list[Variant]:
    return [Variant(*row) for row in beyond.rows_of(system)]


def _each(system: AnySystem, change: Change) -> AnySystem:
    """The system with every member changed."""
    if isinstance(system, System):
        return change(system)
    return replace(system, members=tuple(change(member) for member in system.members))


def _around(system: AnySystem, rows: Mapping[str, AnySystem]) -> list[Variant]:
    """Variants with the system itself first, under the name that fits it."""
    # The reference is the system as given, whichever of the rows that is.
    own = next((name for name, other in rows.items() if other == system), "as it is")
    others = [Variant(name, other) for name, other in rows.items() if other != system]
    return [Variant(own, system), *others]


def _names(system: AnySystem) -> list[str]:
    """What each member is called: its embedder, numbered where two have the same."""
    kinds = [type(member.embedder).__name__ for member in system.members]
    return [
        kind if kinds.count(kind) == 1 else f"{kind} {n}" for n, kind in enumerate(kinds, start=1)
    ]


def _not_for(claim: str, which: str) -> SettingError:
    return SettingError(f"the claim {claim!r} is about {which}; choose the system with -s")


# By the names that the command line takes, in the order of its help.
CLAIMS: Mapping[str, Claim] = MappingProxyType(
    {
        "coefficients": Claim(
            "the coefficients of the weighted rule may be moved without harm (report §2.4)",
            _coefficients,
        ),
        "fusion": Claim(
            "the first member weighs more because it withstands the change of domain better "
            "(report §2.4)",
            _fusion,
        ),
        "enrichment": Claim(
            "residual rows and the pseudo-target make up for the few target clips (report §2.3)",
            _enrichment,
        ),
        "channels": Claim(
            "a third of the features is stereo and sees what the near channel alone does not "
            "(report §3.4)",
            _channels,
        ),
        "families": Claim("each family of features has its part (report §2.1.2)", _families),
        "adaptation": Claim(
            "mean shift, unit length and z-score of embeddings give nothing (report §3.4)",
            _adaptation,
        ),
        "members": Claim("the members complement each other (report §3.3)", _members),
        "selfscores": Claim(
            "percentiles of leave-one-out self-scores make members comparable (report §2.4)",
            _self_scores,
        ),
        "percentile": Claim(
            "percentiles end at the largest self-score, with ties above it (report §2.4)",
            _percentile,
        ),
        "beyond": Claim(
            "bands, relative deviation, densities, both domains, the far channel and a second view "
            "each raise what one vector of a frozen encoder reaches (published after the report)",
            _beyond,
            start=beyond.plain,
        ),
    }
)


def find_claim(name: str) -> Claim:
    """A claim by its name.

    Raises:
        SettingError: there is none of that name.
    """
    if name not in CLAIMS:
        raise SettingError(f"no claim {name!r}; {did_you_mean(name, CLAIMS)}")
    return CLAIMS[name]
