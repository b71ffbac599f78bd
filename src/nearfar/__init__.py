"""nearfar hears when a machine starts to sound wrong, from one microphone near it and one far.

    import nearfar as nf

    detector = nf.fit(nf.s4(), nf.Clips.open("normal", machine="pump7"))
    for verdict in detector.score(nf.Clips.open("today")):
        print(verdict.clip.name, verdict.score, verdict.anomalous, verdict.nearest)

Nouns are data, verbs are functions. Names are loaded at first use: `import nearfar` alone loads
neither numpy nor scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nearfar.errors import did_you_mean
from nearfar.parts.data import TYPES

# For type checkers and editors, which do not run `__getattr__`; a test keeps it equal to `_HOME`.
if TYPE_CHECKING:
    from nearfar.clips.clip import Clip as Clip
    from nearfar.clips.collection import Clips as Clips
    from nearfar.detector.detector import Detector as Detector
    from nearfar.detector.detector import load as load
    from nearfar.detector.fitting import fit as fit
    from nearfar.embedder.beats import BEATs as BEATs
    from nearfar.embedder.behind import FarSubtracted as FarSubtracted
    from nearfar.embedder.concatenated import Concatenated as Concatenated
    from nearfar.embedder.crops import Crops as Crops
    from nearfar.embedder.dif import DIF as DIF
    from nearfar.embedder.eat import EAT as EAT
    from nearfar.embedder.envelope import ENV as ENV
    from nearfar.embedder.logmel import LogMel as LogMel
    from nearfar.embedder.ltas import LTAS as LTAS
    from nearfar.embedder.onnx import OnnxEncoder as OnnxEncoder
    from nearfar.embedder.pooling import Bands as Bands
    from nearfar.embedder.pooling import Mean as Mean
    from nearfar.embedder.pooling import Pooled as Pooled
    from nearfar.embedder.pooling import RelativeDeviation as RelativeDeviation
    from nearfar.embedder.yamnet import YAMNet as YAMNet
    from nearfar.errors import NearfarError as NearfarError
    from nearfar.errors import NearfarWarning as NearfarWarning
    from nearfar.frontend import CoherenceMask as CoherenceMask
    from nearfar.frontend import Far as Far
    from nearfar.frontend import FarCancel as FarCancel
    from nearfar.frontend import Near as Near
    from nearfar.frontend import Stereo as Stereo
    from nearfar.metrics.comparison import compare as compare
    from nearfar.metrics.evaluation import Evaluation as Evaluation
    from nearfar.metrics.official import evaluate as evaluate
    from nearfar.runtime.runtime import Runtime as Runtime
    from nearfar.scores.verdict import Scores as Scores
    from nearfar.scores.verdict import Verdict as Verdict
    from nearfar.scoring.adapt import MeanShift as MeanShift
    from nearfar.scoring.adapt import Standardise as Standardise
    from nearfar.scoring.adapt import UnitLength as UnitLength
    from nearfar.scoring.calibrate import Percentile as Percentile
    from nearfar.scoring.calibrate import Raw as Raw
    from nearfar.scoring.calibrate import ZScore as ZScore
    from nearfar.scoring.enrich import PseudoTarget as PseudoTarget
    from nearfar.scoring.enrich import ResidualAugmentation as ResidualAugmentation
    from nearfar.scoring.local import LocalDensity as LocalDensity
    from nearfar.scoring.local import VarMin as VarMin
    from nearfar.scoring.parted import PerBand as PerBand
    from nearfar.scoring.parted import PerDomain as PerDomain
    from nearfar.scoring.rule import KNN as KNN
    from nearfar.scoring.whiten import ZCA as ZCA
    from nearfar.system.presets import logmel as logmel
    from nearfar.system.presets import s1 as s1
    from nearfar.system.presets import s2 as s2
    from nearfar.system.presets import s3 as s3
    from nearfar.system.presets import s4 as s4
    from nearfar.system.presets import s5 as s5
    from nearfar.system.system import Ensemble as Ensemble
    from nearfar.system.system import System as System
    from nearfar.training.run import finetune as finetune
    from nearfar.training.settings import FineTuning as FineTuning
    from nearfar.version import __version__ as __version__

_HOME = {
    # What a system's repr prints: its parts, and System and Ensemble themselves.
    **TYPES,
    # What you hold.
    "Clip": "nearfar.clips.clip",
    "Clips": "nearfar.clips.collection",
    "Detector": "nearfar.detector.detector",
    "Evaluation": "nearfar.metrics.evaluation",
    "FineTuning": "nearfar.training.settings",
    "NearfarError": "nearfar.errors",
    "NearfarWarning": "nearfar.errors",
    "Runtime": "nearfar.runtime.runtime",
    "Scores": "nearfar.scores.verdict",
    "Verdict": "nearfar.scores.verdict",
    # The systems of the report's Table 1, and the floor.
    "logmel": "nearfar.system.presets",
    "s1": "nearfar.system.presets",
    "s2": "nearfar.system.presets",
    "s3": "nearfar.system.presets",
    "s4": "nearfar.system.presets",
    # Beyond it.
    "s5": "nearfar.system.presets",
    # What you do.
    "compare": "nearfar.metrics.comparison",
    "evaluate": "nearfar.metrics.official",
    "finetune": "nearfar.training.run",
    "fit": "nearfar.detector.fitting",
    "load": "nearfar.detector.detector",
    "__version__": "nearfar.version",
}

# Handed on by earlier versions: few who use nearfar need them.
_MOVED = {
    "MemoryBank": "nearfar.scoring.bank",
    "Truth": "nearfar.scores.truth",
    "pair": "nearfar.sound.audio",
    "proxy_classes": "nearfar.clips",
    "read": "nearfar.sound.audio",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        there = f"it is {_MOVED[name]}.{name}" if name in _MOVED else did_you_mean(name, _HOME)
        raise AttributeError(f"module 'nearfar' has no attribute {name!r}; {there}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # found at once from now on, without this function
    return value


def __dir__() -> list[str]:
    return list(__all__)
