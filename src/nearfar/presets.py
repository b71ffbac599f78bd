"""The systems of the report's Table 1 that need no weights, and the floor everything must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from nearfar.bank import KNN
from nearfar.dif import DIF
from nearfar.embedder import LogMel
from nearfar.enrich import PseudoTarget, ResidualAugmentation
from nearfar.frontend import Near, Stereo
from nearfar.system import Ensemble, System
from nearfar.whiten import ZCA


def s4() -> System:
    """System 4: domain invariant features only; no weights, no training (report §2.1.2, §2.3)."""
    return System(
        frontend=Stereo(),
        embedder=DIF(),
        whitening=ZCA(),
        enrichment=(ResidualAugmentation(), PseudoTarget()),
        rule=KNN(weights=(1.0,), metric="euclidean"),
    )


def logmel() -> System:
    """The floor: mean log-mel spectrum of the near channel, cosine nearest neighbour."""
    return System(frontend=Near(), embedder=LogMel(), rule=KNN(weights=(1.0,), metric="cosine"))


PRESETS: Mapping[str, Callable[[], System | Ensemble]] = MappingProxyType(
    {"s4": s4, "logmel": logmel}
)
