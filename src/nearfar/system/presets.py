"""The systems of the report's Table 1, and the floor everything must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat import EAT
from nearfar.embedder.eat.architecture import POSITIONS, Architecture
from nearfar.embedder.logmel import LogMel
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask, Near, Stereo
from nearfar.scoring.calibrate import Percentile, ZScore
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.rule import KNN
from nearfar.scoring.whiten import ZCA
from nearfar.system.system import Ensemble, System

PUBLISHED = "worstchan/EAT-large_epoch20_pretrain"  # on the hub; the report names no file
LARGE = Architecture(1024, 24, 16, 4096)
UNTRAINED = (POSITIONS, "running_mean", "running_var")
DENSITY = (1.0, -0.35, -0.05)  # of d₁, d₂, d₃ (report Eq. 4)


def s1(weights: str) -> System:
    """System 1: coherence mask, EAT fine-tuned with ArcFace, cosine k = 1 (report §2.1–2.4).

    Ten temporal crops are averaged, in the bank and as queries. `nearfar finetune` makes the
    weights; nothing may calibrate or draw thresholds on clips that the encoder was trained on.
    """
    return System(
        frontend=CoherenceMask(),
        embedder=Crops(EAT(weights)),
        rule=KNN(weights=(1.0,), metric="cosine"),
    )


def s2(*weights: str) -> Ensemble:
    """System 2: four seeds of System 1, each z-scored by its leave-one-out self-scores (§2.4)."""
    return Ensemble(tuple(replace(s1(w), calibration=ZScore(), self_scores="loo") for w in weights))


def s4() -> System:
    """System 4: domain invariant features only; no weights, no training (report §2.1.2, §2.3)."""
    return System(
        frontend=Stereo(),
        embedder=DIF(),
        whitening=ZCA(),
        enrichment=(ResidualAugmentation(), PseudoTarget()),
        rule=KNN(weights=(1.0,), metric="euclidean"),
    )


def s3(weights: str) -> Ensemble:
    """System 3: DIF and frozen EAT, percentiles of both, 0.60 to 0.40 (report §2.4)."""
    return Ensemble((s3_dif(), s3_eat(weights)), weights=(0.60, 0.40))


def s3_dif() -> System:
    """The DIF path of System 3: System 4's bank, weighted k = 3 (report §3.3: "DIF alone")."""
    return replace(s4(), rule=KNN(weights=DENSITY, metric="euclidean"), calibration=Percentile())


def s3_eat(weights: str) -> System:
    """The EAT path of System 3: near channel, frozen, mean over patches ("EAT alone")."""
    return System(
        frontend=Near(),
        embedder=EAT(weights),
        whitening=ZCA(),
        rule=KNN(weights=DENSITY, metric="euclidean"),
        calibration=Percentile(),
    )


def logmel() -> System:
    """The floor: mean log-mel spectrum of the near channel, cosine nearest neighbour."""
    return System(frontend=Near(), embedder=LogMel(), rule=KNN(weights=(1.0,), metric="cosine"))


@dataclass(frozen=True)
class Preset:
    """A system by name.

    Args:
        make: gives it, from as many places of weights as it needs.
        encoders: how many those are.
        trained: does `nearfar finetune` make them?
    """

    make: Callable[..., System | Ensemble]
    encoders: int = 0
    trained: bool = False

    @property
    def parameters(self) -> int:
        """Trained parameters with EAT-large; the fixed position table is none."""
        shapes = LARGE.projected().shapes()
        one = sum(math.prod(s) for n, s in shapes.items() if not n.endswith(UNTRAINED))
        return one * self.encoders if self.trained else 0

    def __call__(self, name: str, weights: Sequence[str]) -> System | Ensemble:
        """The system with its weights.

        Raises:
            SettingError: too few or too many weights.
        """
        if len(weights) == self.encoders:
            return self.make(*weights)
        if not self.encoders:
            raise SettingError(f"{name} needs no weights; leave --weights out")
        if self.trained:
            raise SettingError(
                f"{name} needs the trained weights of {self.encoders} "
                f"encoder{'s' * (self.encoders > 1)}, {len(weights)} given; make them with "
                "nearfar finetune DATA --weights EAT_DIR -o s1.safetensors, then say --weights"
            )
        raise SettingError(
            f"{name} needs the weights of {self.encoders} encoder{'s' * (self.encoders > 1)}, "
            f"{len(weights)} given; say --weights with a folder, or with a hub id such as "
            f"{PUBLISHED} (1.2 GB)"
        )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "s1": Preset(s1, encoders=1, trained=True),
        "s2": Preset(s2, encoders=4, trained=True),
        "s3": Preset(s3, encoders=1),
        "s3-dif": Preset(s3_dif),
        "s3-eat": Preset(s3_eat, encoders=1),
        "s4": Preset(s4),
        "logmel": Preset(logmel),
    }
)
