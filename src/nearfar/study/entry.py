"""A detector in the words that a challenge's meta file asks for."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from nearfar.embedder.contract import files_of, innermost, training_of, weights_of
from nearfar.embedder.tensorfile import header
from nearfar.errors import WeightsError
from nearfar.sound.audio import SAMPLE_RATE
from nearfar.system.system import Ensemble
from nearfar.text import named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nearfar.detector.detector import Detector
    from nearfar.system.system import System

# Class → words; a part of somebody's own is called by its class.
_FRONT = {
    "Near": "near channel", "Far": "far channel", "Stereo": "both channels",
    "CoherenceMask": "spectral mask by the coherence of the two channels",
    "FarCancel": "far channel cancelled from the near channel",
}  # fmt: skip
_FEATURES = {
    "LogMel": "log-mel energies", "EAT": "log-mel energies", "BEATs": "log-mel energies",
    "YAMNet": "log-mel energies", "DIF": "domain invariant features of both channels",
    "ENV": "features of the envelope", "LTAS": "long-term average spectrum",
}  # fmt: skip
_BANK = {
    "ResidualAugmentation": "residual augmentation of the bank",
    "PseudoTarget": "pseudo-target rows in the bank",
}  # fmt: skip
_RULES = {
    "KNN": "k-nearest neighbours", "VarMin": "k-nearest neighbours, least variance",
    "LocalDensity": "k-nearest neighbours by local density",
}  # fmt: skip


def known_of(detector: Detector) -> dict[str, Any]:
    """What is known of a detector, as a meta file has it; None where nothing applies.

    Raises:
        WeightsError: an encoder's weights that are gone: their parameters are counted.
    """
    system = detector.system
    members = list(system.members)
    alone = not isinstance(system, Ensemble)
    # The part that holds weights may be wrapped: crops of an encoder are one encoder.
    encoders = [e for e in (innermost(m.embedder) for m in members) if weights_of(e) is not None]
    trained = [t for t in (training_of(m.embedder) for m in members) if t is not None]
    return {
        "system": {
            "description": {
                "input_sampling_rate": f"{SAMPLE_RATE // 1000}kHz",
                "data_augmentation": _joined(
                    _word(_BANK, part) for m in members for part in m.enrichment
                ),
                "front_end": _joined(_word(_FRONT, m.frontend) for m in members),
                "acoustic_features": _joined(_features(m.embedder) for m in members),
                "embeddings": _joined(type(e).__name__ for e in encoders),
                "machine_learning_method": _joined(map(_method, members)),
                "aggregation_method": None if alone else _fusion(system),
                "domain_adaptation_method": _joined(
                    type(m.adaptation).__name__ for m in members if m.adaptation is not None
                ),
                # What serves it is for the authors to say: no part is named so.
                "domain_generalization_method": None,
                "ensemble_method_subsystem_count": None if alone else len(members),
                "decision_making": _decisions(detector),
                "attribute_usage": "classes of the training" if trained else None,
                "external_data_usage": "pre-trained model" if encoders else None,
                "development_data_usage": "normal training clips of "
                + ", ".join(detector.machines),
            },
            "complexity": {"total_parameters": _parameters(members)},
        }
    }


def _joined(words: Iterable[str]) -> str | None:
    """Each once, as one text; None of none."""
    return ", ".join(dict.fromkeys(words)) or None


def _word(words: dict[str, str], part: object) -> str:
    name = type(part).__name__
    return words.get(name, name)


def _features(embedder: Any) -> str:
    inner = innermost(embedder)
    name = type(inner).__name__
    if name == "Concatenated":
        return ", ".join(_word(_FEATURES, part) for part in inner.parts)
    return _word(_FEATURES, inner)


def _method(member: System) -> str:
    rule: Any = member.rule
    if type(rule).__name__ in ("PerBand", "PerDomain"):
        rule = rule.rule  # what each of its banks is asked by
    k = rule.neighbours
    text = f"{_word(_RULES, rule)} (k = {k}, {rule.metric})"
    whitening = member.whitening
    return text if whitening is None else f"{type(whitening).__name__} whitening, {text}"


def _fusion(system: Any) -> str:
    shares = ", ".join(f"{weight:.2f}" for weight in system.weights)
    if system.fusion != "mean":
        return f"{system.fusion} of the members' scores"
    return f"weighted mean of the members' scores ({shares})"


def _decisions(detector: Detector) -> str:
    each = "machine and domain" if detector.threshold_by_domain else "machine"
    share = 100 * (1 - detector.false_alarm_rate)
    return f"{share:g} % quantile of held-out scores of normal training clips, for each {each}"


def _parameters(members: list[System]) -> int:
    """Numbers in the weights of all encoders, each file once."""
    # Members may share an encoder. Banks are data, not parameters: nothing in them was trained.
    files = {
        path.resolve()
        for member in members
        for name, path in files_of(member.embedder).items()
        if name.endswith(".safetensors")
    }
    # Before it is counted: a file that is gone would count for nothing.
    lacking = [str(path) for path in sorted(files) if not path.is_file()]
    if lacking:
        raise WeightsError(f"{named(lacking)}: no such file; give the detector its weights again")
    return sum(
        prod(tensor.shape) for path in files for tensor in header(path).tensors.values()
    )  # fmt: skip
