"""The systems of the report's Table 1, what goes beyond it, and the floor everything must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from nearfar.embedder.concatenated import Concatenated
from nearfar.embedder.crops import Crops
from nearfar.embedder.dif import DIF
from nearfar.embedder.eat.architecture import POSITIONS, Architecture
from nearfar.embedder.encoders import encoder_of, trained_behind
from nearfar.embedder.envelope import ENV
from nearfar.embedder.logmel import LogMel
from nearfar.embedder.ltas import LTAS
from nearfar.embedder.pooling import Pooled, RelativeDeviation
from nearfar.errors import SettingError
from nearfar.frontend import CoherenceMask, FarCancel, Near, Stereo
from nearfar.scoring.calibrate import Percentile, ZScore
from nearfar.scoring.enrich import PseudoTarget, ResidualAugmentation
from nearfar.scoring.local import LocalDensity, VarMin
from nearfar.scoring.parted import PerBand
from nearfar.scoring.rule import KNN
from nearfar.scoring.whiten import ZCA
from nearfar.system.system import Ensemble, System

PUBLISHED = "worstchan/EAT-large_epoch20_pretrain"  # on the hub; the report names no file
LARGE = Architecture(1024, 24, 16, 4096)  # EAT-large: width, blocks, heads, hidden width
UNTRAINED = (POSITIONS, "running_mean", "running_var")  # how the names of fixed tensors end
DENSITY = (1.0, -0.35, -0.05)  # of d₁, d₂, d₃ (report Eq. 4)


def s1(weights: str) -> System:
    """System 1: coherence mask, EAT fine-tuned with ArcFace, cosine k = 1 (report §2.1–2.4).

    Ten temporal crops are averaged, in the bank and as queries. `nearfar finetune` makes the
    weights; nothing may calibrate or draw thresholds on clips that the encoder was trained on.

    >>> s1("s1.safetensors").frontend
    CoherenceMask(sharpness=5.0, coherence_weight=0.7, floor=0.2, smoothing=0.9, coherence='clip')
    """
    return System(
        frontend=CoherenceMask(),
        embedder=Crops(encoder_of(weights)),
        # No whitening: the training made the space, rows of length 1 (Eq. 3).
        rule=KNN(weights=(1.0,), metric="cosine"),
    )


def s2(*weights: str) -> Ensemble:
    """System 2: four seeds of System 1, each z-scored by its leave-one-out self-scores (§2.4).

    >>> seeds = s2("a", "b", "c", "d")
    >>> seeds.weights, {(m.calibration, m.self_scores) for m in seeds.members}
    ((0.25, 0.25, 0.25, 0.25), {(ZScore(clips='all'), 'loo')})
    """
    # The report's words: leave-one-out scores of the training set. The encoders have heard it; four
    # of one kind are bent alike by that.
    scaled = ZScore(clips="all")
    return Ensemble(tuple(replace(s1(w), calibration=scaled, self_scores="loo") for w in weights))


def s4() -> System:
    """System 4: domain invariant features only; no weights, no training (report §2.1.2, §2.3).

    >>> system = s4()
    >>> system.embedder.dim, system.rule
    (120, KNN(weights=(1.0,), metric='euclidean'))
    """
    return System(
        frontend=Stereo(),
        embedder=DIF(),
        whitening=ZCA(),  # Euclidean distance becomes Mahalanobis distance, §2.3
        enrichment=(ResidualAugmentation(), PseudoTarget()),  # for DIF only, as the report says
        rule=KNN(weights=(1.0,), metric="euclidean"),
    )


def s3(weights: str) -> Ensemble:
    """System 3: DIF and frozen EAT, percentiles of both, 0.60 to 0.40 (report §2.4).

    >>> system = s3("eat")
    >>> system.weights, [type(member.embedder).__name__ for member in system.members]
    ((0.6, 0.4), ['DIF', 'EAT'])
    """
    return Ensemble((s3_dif(), s3_eat(weights)), weights=(0.60, 0.40))


def s3_dif() -> System:
    """The DIF path of System 3: System 4's bank, weighted k = 3 (report §3.3: "DIF alone").

    >>> s3_dif().enrichment == s4().enrichment, s3_dif().rule.neighbours
    (True, 3)
    """
    return replace(s4(), rule=KNN(weights=DENSITY, metric="euclidean"), calibration=Percentile())


def s3_eat(weights: str) -> System:
    """The EAT path of System 3: near channel, frozen, mean over patches ("EAT alone").

    >>> system = s3_eat("eat")
    >>> system.frontend, system.whitening, system.enrichment, system.calibration
    (Near(), ZCA(shrinkage=0.01), (), Percentile(tail='flat', clips='fresh'))
    """
    return System(
        frontend=Near(),
        embedder=encoder_of(weights),  # whatever encoder the weights are
        whitening=ZCA(),
        rule=KNN(weights=DENSITY, metric="euclidean"),
        calibration=Percentile(),
    )


def s5_dif() -> System:
    """System 5 without weights: named features of three kinds, and System 4's back end.

    What both microphones tell (DIF), how the near sound beats (ENV), its colour (LTAS). Evidence
    for each part of System 5 is in docs/system5.md.

    >>> s5_dif().embedder.dim, s5_dif().enrichment
    (296, (PseudoTarget(),))
    """
    # No residual rows: they change what DIF hears of far, and nothing of ENV and LTAS.
    return replace(
        s4(), embedder=Concatenated((DIF(), ENV(), LTAS())), enrichment=(PseudoTarget(),)
    )


def s5_small(weights: str) -> Ensemble:
    """System 5 for a plant without a GPU: s5-dif beside a small encoder's bands, as YAMNet's.

    >>> bands = s5_small("a folder").members[1]
    >>> bands.embedder.pooling, bands.rule.rule
    (RelativeDeviation(power=4.0), LocalDensity(k=1, form='ratio', metric='cosine'))
    """
    encoder = encoder_of(weights)
    bands = System(
        frontend=trained_behind(weights) or Near(),
        embedder=Pooled(encoder, RelativeDeviation(power=4.0)),
        rule=PerBand(
            LocalDensity(k=1, form="ratio", metric="cosine"), bands=int(encoder.grid_bands)
        ),
    )
    return _scaled_alike(s5_dif(), bands)


def s5(weights: str) -> Ensemble:
    """System 5: an encoder's bands with far cancelled, a global view of near, and s5-dif.

    A trained encoder hears all through the front end that it was trained behind.

    >>> bands, whole, features = s5("a folder").members
    >>> type(bands.frontend).__name__, bands.embedder.pooling, bands.rule.rule
    ('FarCancel', RelativeDeviation(power=8.0), VarMin(k=4, metric='cosine'))
    >>> whole.frontend, whole.rule
    (Near(), KNN(weights=(1.0,), metric='cosine'))
    """
    encoder, own = encoder_of(weights), trained_behind(weights)
    bands = System(
        frontend=own or FarCancel(),
        embedder=Pooled(encoder, RelativeDeviation(power=8.0)),
        rule=PerBand(VarMin(k=4, metric="cosine"), bands=int(encoder.grid_bands)),
    )
    # Bands cost one machine what all frequencies together tell; so both are heard.
    whole = System(frontend=own or Near(), embedder=encoder, rule=KNN((1.0,), "cosine"))
    return _scaled_alike(bands, whole, s5_dif())


def _scaled_alike(*members: System) -> Ensemble:
    """The mean of z-scores by held-out normals alone: no test clip ever scales another."""
    return Ensemble(tuple(replace(member, calibration=ZScore()) for member in members))


def logmel() -> System:
    """The floor: mean log-mel spectrum of the near channel, cosine nearest neighbour.

    >>> logmel().embedder, logmel().rule
    (LogMel(n_mels=128, n_fft=1024, hop=512), KNN(weights=(1.0,), metric='cosine'))
    """
    return System(frontend=Near(), embedder=LogMel(), rule=KNN(weights=(1.0,), metric="cosine"))


@dataclass(frozen=True)
class Preset:
    """A system by name.

    Args:
        make: gives it, from as many places of weights as it needs.
        encoders: how many those are.
        trained: does `nearfar finetune` make them?
        meant: for which weights it is, behind "--weights with".

    >>> PRESETS["s4"]("s4", []) == s4()
    True
    >>> f"{PRESETS['s1'].parameters / 1e6:.0f} million trained parameters"
    '304 million trained parameters'
    """

    make: Callable[..., System | Ensemble]
    encoders: int = 0  # whose weights it takes, each a place
    trained: bool = False
    meant: str = f"a folder, or with a hub id such as {PUBLISHED} (1.2 GB)"

    @property
    def parameters(self) -> int:
        """Trained parameters with EAT-large; the fixed position table is none."""
        shapes = LARGE.projected().shapes()  # with the pooling and head that finetune adds
        one = sum(math.prod(s) for n, s in shapes.items() if not n.endswith(UNTRAINED))
        return one * self.encoders if self.trained else 0

    def __call__(self, name: str, weights: Sequence[str]) -> System | Ensemble:
        """The system with its weights.

        Raises:
            SettingError: too few or too many weights.
        """
        if len(weights) == self.encoders:
            return self.make(*weights)
        if not self.encoders:  # taken in silence, a person would believe that they count
            raise SettingError(f"{name} needs no weights; leave --weights out")
        if self.trained:
            raise SettingError(
                f"{name} needs the trained weights of {self.encoders} "
                f"encoder{'s' * (self.encoders > 1)}, {len(weights)} given; make them with "
                "nearfar finetune DATA --weights EAT_DIR -o s1.safetensors, then say --weights"
            )
        raise SettingError(
            f"{name} needs the weights of {self.encoders} encoder{'s' * (self.encoders > 1)}, "
            f"{len(weights)} given; say --weights with {self.meant}"
        )


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        # With hyphens, as on the command line; the functions cannot have them.
        "s1": Preset(s1, encoders=1, trained=True),
        "s2": Preset(s2, encoders=4, trained=True),
        "s3": Preset(s3, encoders=1),
        "s3-dif": Preset(s3_dif),
        "s3-eat": Preset(s3_eat, encoders=1),
        "s4": Preset(s4),
        "s5": Preset(s5, encoders=1),
        "s5-small": Preset(
            s5_small, encoders=1, meant="what nearfar weights convert makes of yamnet_256_f32.h5"
        ),
        "s5-dif": Preset(s5_dif),
        "logmel": Preset(logmel),
    }
)
