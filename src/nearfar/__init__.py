"""nearfar hears when a machine starts to sound wrong, from one microphone near it and one far.

    import nearfar as nf

    detector = nf.fit(nf.s4(), nf.Clips.open("normal", machine="pump7"))
    for verdict in detector.score(nf.Clips.open("today")):
        print(verdict.clip.name, verdict.score, verdict.anomalous, verdict.nearest)

Names are loaded at first use: `import nearfar` alone loads neither numpy nor scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfar.adapt import MeanShift, Standardise, UnitLength
    from nearfar.audio import pair, read
    from nearfar.bank import KNN, MemoryBank
    from nearfar.calibrate import Percentile, Raw, ZScore
    from nearfar.clips import Clip, Clips, proxy_classes
    from nearfar.crops import Crops
    from nearfar.detector import Detector, load
    from nearfar.dif import DIF
    from nearfar.eat import EAT
    from nearfar.embedder import LogMel
    from nearfar.enrich import PseudoTarget, ResidualAugmentation
    from nearfar.errors import NearfarError, NearfarWarning
    from nearfar.evaluation import Evaluation
    from nearfar.frontend import CoherenceMask, Far, FarCancel, Near, Stereo
    from nearfar.metrics import compare, evaluate
    from nearfar.presets import logmel, s1, s2, s3, s4
    from nearfar.scores import Scores, Verdict
    from nearfar.store import Runtime
    from nearfar.system import Ensemble, System, fit
    from nearfar.truth import Truth
    from nearfar.version import __version__
    from nearfar.whiten import ZCA

_HOME = {
    "Clip": "clips",
    "Clips": "clips",
    "CoherenceMask": "frontend",
    "Crops": "crops",
    "DIF": "dif",
    "Detector": "detector",
    "EAT": "eat",
    "Ensemble": "system",
    "Evaluation": "evaluation",
    "Far": "frontend",
    "FarCancel": "frontend",
    "KNN": "bank",
    "LogMel": "embedder",
    "MeanShift": "adapt",
    "MemoryBank": "bank",
    "Near": "frontend",
    "NearfarError": "errors",
    "NearfarWarning": "errors",
    "Percentile": "calibrate",
    "PseudoTarget": "enrich",
    "Raw": "calibrate",
    "ResidualAugmentation": "enrich",
    "Runtime": "store",
    "Scores": "scores",
    "Standardise": "adapt",
    "Stereo": "frontend",
    "System": "system",
    "Truth": "truth",
    "UnitLength": "adapt",
    "Verdict": "scores",
    "ZCA": "whiten",
    "ZScore": "calibrate",
    "__version__": "version",
    "compare": "metrics",
    "evaluate": "metrics",
    "fit": "system",
    "load": "detector",
    "logmel": "presets",
    "pair": "audio",
    "proxy_classes": "clips",
    "read": "audio",
    "s1": "presets",
    "s2": "presets",
    "s3": "presets",
    "s4": "presets",
}

__all__ = [
    "DIF",
    "EAT",
    "KNN",
    "ZCA",
    "Clip",
    "Clips",
    "CoherenceMask",
    "Crops",
    "Detector",
    "Ensemble",
    "Evaluation",
    "Far",
    "FarCancel",
    "LogMel",
    "MeanShift",
    "MemoryBank",
    "Near",
    "NearfarError",
    "NearfarWarning",
    "Percentile",
    "PseudoTarget",
    "Raw",
    "ResidualAugmentation",
    "Runtime",
    "Scores",
    "Standardise",
    "Stereo",
    "System",
    "Truth",
    "UnitLength",
    "Verdict",
    "ZScore",
    "__version__",
    "compare",
    "evaluate",
    "fit",
    "load",
    "logmel",
    "pair",
    "proxy_classes",
    "read",
    "s1",
    "s2",
    "s3",
    "s4",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'nearfar' has no attribute {name!r}")
    value = getattr(import_module(f"nearfar.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
