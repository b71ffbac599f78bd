"""What others published beyond the report, each part on and off, with and without DIF beside it.

The parts are those of an encoder whose output is a grid of time and frequency bands: how the grid
becomes a row, by which rule rows are compared, what the encoder gets to hear, and how two views are
fused. Where the literature is silent, docs/decisions.md says how a part is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nearfar.embedder.behind import FarSubtracted
from nearfar.embedder.contract import has_grid, training_of
from nearfar.embedder.encoders import encoder_of
from nearfar.embedder.pooling import Bands, GridPooling, Pooled, RelativeDeviation
from nearfar.errors import SettingError, warn
from nearfar.frontend import FarCancel, Near, Stereo
from nearfar.parts.data import from_data
from nearfar.scoring.calibrate import Raw, ZScore
from nearfar.scoring.local import LocalDensity, VarMin
from nearfar.scoring.parted import PerBand, PerDomain
from nearfar.scoring.rule import KNN, Rule
from nearfar.system.presets import s4
from nearfar.system.system import AnySystem, Ensemble, Fusion, System

PLAIN = "one vector"
TOGETHER = "bands, RDP(4), LDN"
BESIDE = "DIF and "  # how a row begins that has DIF beside it
# Each row's name, its system, and the name of the row it is compared with; "" is the first.
Rows = list[tuple[str, AnySystem, str]]


def plain(*weights: str) -> System:
    """What `ablate DATA beyond --weights W` starts from: near channel, one vector, cosine, k = 1.

    Weights that `finetune` made come with the front end that they were trained behind.

    Raises:
        SettingError: not the weights of one encoder.

    >>> plain("a folder that is not there").rule
    KNN(weights=(1.0,), metric='cosine')
    """
    if len(weights) != 1:
        raise SettingError(
            f"the claim 'beyond' is about one encoder, {len(weights)} weights given; say --weights "
            "with a folder of EAT's, BEATs' or YAMNet's, or choose a system of one with -s"
        )
    encoder = encoder_of(*weights)
    # Asked only of a file: weights still to be downloaded are published ones.
    training = training_of(encoder) if weights[0].endswith(".safetensors") else None
    heard: Any = Near() if training is None else from_data(training.frontend)
    # By z-scores no order changes, and an ensemble can take the same fit.
    return System(heard, encoder, rule=KNN(), calibration=ZScore())


def rows_of(system: AnySystem) -> Rows:
    """The system, its parts exchanged one by one and together, and all of it beside DIF.

    Raises:
        SettingError: not one encoder with a grid, compared row by row.
    """
    base = _checked(system)
    alone = _alone(base)
    both = _both(base, alone[TOGETHER])
    rows: Rows = [(name, one, "") for name, one in {**alone, **both}.items()]
    dif = _calibrated(s4())
    beside = {
        BESIDE + name: _fused((dif, one), "mean") for name, one in alone.items()
    }  # a person's calibration stays; all others are z-scores
    rows += [("DIF alone", dif, ""), (BESIDE + PLAIN, beside.pop(BESIDE + PLAIN), "")]
    rows += [(name, one, BESIDE + PLAIN) for name, one in beside.items()]
    least = _fused((dif, alone[TOGETHER]), "minimum")
    rows.append((f"minimum of DIF and {TOGETHER}", least, BESIDE + PLAIN))
    return rows


def _checked(system: AnySystem) -> System:
    if (
        not isinstance(system, System)
        or not has_grid(system.embedder)
        or not isinstance(system.rule, KNN)
        or system.whitening is not None
        or system.enrichment
    ):
        raise SettingError(
            "the claim 'beyond' is about a system of one encoder with a grid and KNN, not whitened "
            "and without extra rows; leave -s out and say --weights ENCODER_DIR"
        )
    return system


def _alone(base: System) -> dict[str, System]:
    """One encoder: the system itself first."""
    ear: Any = base.embedder
    knn, metric = base.rule, base.rule.metric

    def banded(pooling: GridPooling, rule: Rule) -> System:
        by_band = PerBand(rule, bands=ear.grid_bands)
        return replace(base, embedder=Pooled(ear, pooling), rule=by_band)

    def ruled(rule: Rule) -> System:
        return replace(base, rule=rule)

    ratio, varmin = LocalDensity(1, metric=metric), VarMin(4, metric)
    found = {
        PLAIN: base,
        "bands in one row": replace(base, embedder=Pooled(ear, Bands())),
        "bands": banded(Bands(), knn),
        "bands, RDP(4)": banded(RelativeDeviation(4), knn),
        "bands, RDP(8)": banded(RelativeDeviation(8), knn),
        "LDN": ruled(ratio),
        "LDN as a difference": ruled(LocalDensity(1, "difference", metric)),
        "VarMin(4)": ruled(varmin),
        "per domain": ruled(PerDomain(knn)),
        "bands, LDN": banded(Bands(), ratio),
        "bands, VarMin(4)": banded(Bands(), varmin),
        TOGETHER: banded(RelativeDeviation(4), ratio),
        "bands, RDP(8), LDN": banded(RelativeDeviation(8), ratio),
        "bands, RDP(8), VarMin(4)": banded(RelativeDeviation(8), varmin),
    }
    return found | _other_ears(base, found)


def _other_ears(base: System, found: Mapping[str, System]) -> dict[str, System]:
    """What hears the far channel too."""
    if training_of(base.embedder) is not None:
        # An encoder that was trained behind another front end would be no fair row.
        warn(
            "left out: the rows after FarCancel and with far subtracted; a trained encoder goes "
            "with the front end it was trained behind"
        )
        return {}
    subtracted = replace(base, frontend=Stereo(), embedder=FarSubtracted(base.embedder, 0.5))
    return {
        **{
            f"FarCancel, {name}": replace(found[name], frontend=FarCancel())
            for name in (PLAIN, TOGETHER, "bands, RDP(8), VarMin(4)")
        },
        "far subtracted": subtracted,
    }


def _both(base: System, bands: System) -> dict[str, AnySystem]:
    """A view of all bands together beside that of each, which costs some machines."""
    return {
        f"mean of {PLAIN} and {TOGETHER}": _fused((base, bands), "mean"),
        f"minimum of {PLAIN} and {TOGETHER}": _fused((base, bands), "minimum"),
    }


def _fused(members: tuple[System, ...], fusion: Fusion) -> Ensemble:
    return Ensemble(tuple(map(_calibrated, members)), fusion=fusion)


def _calibrated(member: System) -> System:
    """A member whose scores can be added to another's."""
    if not isinstance(member.calibration, Raw):
        return member
    return replace(member, calibration=ZScore())
