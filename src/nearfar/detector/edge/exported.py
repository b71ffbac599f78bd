"""What an exported detector says of its export: of which detector, how, and what the proof found.

It stands in the index of its folder, under the index's own hash, and stays with the detector when
thresholds are drawn anew or clips are learnt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nearfar.errors import FormatError

PRECISIONS = ("fp32", "int8")
KEY = "exported"  # in the index


@dataclass(frozen=True)
class Proof:
    """What was found when both detectors judged the same sounds.

    Args:
        sounds: which: "given", "normals" (of the bank) or "made".
        clips: how many.
        equal: of these, how many were called the same, normal or anomalous.
        difference: the largest relative one of two scores.
        omega: Ω of the detector and of the exported one, 0–1; None where labels of both kinds are
            not there.

    >>> Proof("made", clips=8, equal=8, difference=2e-7).equal
    8
    """

    sounds: str
    clips: int
    equal: int
    difference: float
    omega: tuple[float, float] | None = None


@dataclass(frozen=True)
class ExportRecord:
    """An export, for whoever finds the folder.

    Args:
        source: the hash that the index of the detector ends with.
        precision: "fp32" or "int8".
        opset: of ONNX; None where the detector has no encoder, so that nothing was changed.
        nearfar: the version that exported it.
        time: when, ISO 8601.
        proof: None where nobody asked for one.

    >>> ExportRecord("9f86", "fp32", None, "1.0", "2026-11-30T12:00:00+00:00").proof is None
    True
    """

    source: str
    precision: str
    opset: int | None
    nearfar: str
    time: str
    proof: Proof | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the index."""
        data = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "proof"}
        proof = self.proof
        if proof is None:
            return {**data, "proof": None}
        # An infinite one, of a score that is no number, is none in JSON.
        told = proof.difference if math.isfinite(proof.difference) else None
        named = {f.name: getattr(proof, f.name) for f in fields(proof)}
        return {**data, "proof": named | {"difference": told}}


def exported_in(data: Mapping[str, Any]) -> ExportRecord | None:
    """What an index says of an export; None of a detector that is none.

    Raises:
        FormatError: not what `ExportRecord.as_dict` gave.

    >>> exported_in({"format": 1}) is None
    True
    """
    found = data.get(KEY)
    if found is None:
        return None
    try:
        opset, proof = found["opset"], found["proof"]
        made = ExportRecord(
            str(found["source"]), str(found["precision"]), None if opset is None else int(opset),
            str(found["nearfar"]), str(found["time"]), None if proof is None else _proof(proof),
        )  # fmt: skip
    except (TypeError, LookupError, ValueError, OverflowError):
        raise FormatError("its export is not described as nearfar does; export it again") from None
    if made.precision not in PRECISIONS:
        raise FormatError(f"exported in {made.precision!r}; it is {' or '.join(PRECISIONS)}")
    return made


def _proof(data: Any) -> Proof:
    omega, difference = data["omega"], data["difference"]
    return Proof(
        str(data["sounds"]), int(data["clips"]), int(data["equal"]),
        math.inf if difference is None else float(difference),
        None if omega is None else (float(omega[0]), float(omega[1])),
    )  # fmt: skip
