"""A detector for a small computer: each encoder that needs PyTorch becomes a file of ONNX.

All else stays: banks, thresholds, whitening, front ends, features. What is written is a detector's
folder like any other, and stands only where both detectors were found to say the same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from nearfar.clips.clip import Clip
from nearfar.detector.detector import Detector, load
from nearfar.detector.edge.exported import PRECISIONS, ExportRecord
from nearfar.detector.edge.probes import Probe, made, normals, turned
from nearfar.detector.edge.verifying import Verification, compared, probed
from nearfar.detector.explanation.recordings import Normal, normals_of
from nearfar.detector.folder.index import INDEX, check_target, seal
from nearfar.detector.folder.replacing import check_exchange, check_keeping
from nearfar.detector.folder.siblings import check_single
from nearfar.detector.origin import check as check_origins
from nearfar.detector.origin import origins
from nearfar.embedder.contract import innermost, weights_of
from nearfar.embedder.onnx.exporting import as_onnx, encoders_in
from nearfar.errors import DatasetError, FormatError, SettingError
from nearfar.parts.valid import choice
from nearfar.runtime.runtime import Runtime
from nearfar.system.system import AnySystem, Ensemble, System
from nearfar.version import __version__


@dataclass(frozen=True, eq=False)
class Departure:
    """What an export came to.

    Args:
        detector: the exported one, as it is in its folder.
        verification: None where nobody asked for one.
        kept: where the detector that was in the folder is; None if there was none.
        encoders: how many became files of ONNX.

    >>> from nearfar.system.presets import logmel
    >>> Departure(Detector(logmel(), {}), verification=None, kept=None, encoders=0).kept is None
    True
    """

    detector: Detector
    verification: Verification | None
    kept: Path | None
    encoders: int


def export(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    runtime: Runtime | None = None,
    *,
    precision: str = "fp32",
    longest: float | None = None,
    clips: Sequence[Clip] | None = None,
    normals: Normal | None = None,
    verify: bool = True,
    types: Sequence[type] = (),
    weights: Sequence[str] = (),
    replace: bool = False,
) -> Departure:
    """Write a detector that needs no PyTorch, whole or not at all.

    Args:
        folder: of the detector.
        output: folder for the exported one; a detector there is kept beside it, as `fit` does.
        runtime: how to compute what is verified.
        precision: "fp32"; or "int8", smaller and quicker, and a little another encoder.
        longest: seconds that an encoder will take of a clip at most; None: 60, or as many as it
            was made for, if that is more.
        clips: new recordings to verify it with. Without them the bank's own normals are taken, as
            far as they are found, and without any made sounds.
        normals: where the bank's normal recordings are; else they are looked for around the
            detector. int8 is calibrated on them.
        verify: compare what both detectors say, and write nothing where they differ.
        types: classes of parts that are not ours.
        weights: where the encoders' weights are, if not where they were.
        replace: write over a detector of other machines.

    Raises:
        SettingError: the detector's own folder, another precision, int8 of a detector without an
            encoder, or packages that are missing.
        DatasetError: no recording of a normal clip for int8, or clips that do not fit.
        StorageError: `output` cannot be written, or has something else in it.
        FormatError: the exported detector does not say what the detector says, or `folder` is none.
        WeightsError: weights that are gone or differ.
    """
    full, place = Path(folder), Path(output)
    choice("precision", precision, PRECISIONS)
    if full.resolve() == place.resolve():
        raise SettingError(f"{place}: is the detector itself; choose another folder")
    check_single(full)
    there = check_target(place)  # first: minutes of work must not end in "cannot be written"
    before = load(full, types, weights)
    own = [weights_of(member.embedder) for member in before.system.members]
    keep = check_keeping(place, [full, *own, *weights], replace)
    if there:
        check_exchange(place, before.sections, replace)
    work = _Work(before, full, precision, normals_of(normals), longest)
    with tempfile.TemporaryDirectory(prefix="nearfar-") as hold:
        after = work.exported(Path(hold))
        found = None
        if verify:
            found = work.verified(after, clips, runtime)
            if not found.passed:
                raise _differs(place, found)
            after = _with_proof(after, found)
        kept = after.save_over(place, "copy", previous=keep)
    return Departure(load(place, types, late=True), found, kept, work.encoders)


@dataclass(frozen=True, eq=False)
class _Work:
    """One detector that is exported: what of it changes, and what it is verified with."""

    before: Detector
    folder: Path
    precision: str
    given: Sequence[Clip]
    longest: float | None = None  # s

    @property
    def encoders(self) -> int:
        """How many of its members have an encoder that needs PyTorch."""
        return sum(bool(encoders_in(m.embedder)) for m in self.before.system.members)

    def exported(self, hold: Path) -> Detector:
        """The detector with its encoders as files of ONNX in a folder."""
        if self.precision == "int8" and not self.encoders:
            raise SettingError(
                f"{self.folder}: has no encoder that int8 could make smaller; export it as fp32"
            )
        check_origins(self.before.system, self.before.origins)  # banks of these very encoders
        heard = self._calibration() if self.precision == "int8" else ()
        system, opset = _exported(self.before.system, hold, self.precision, heard, self.longest)
        said = ExportRecord(
            seal(self.folder), self.precision, opset, __version__,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        known = origins(system) if self.encoders else self.before.origins
        return replace(self.before, system=system, origins=known, exported=said)

    def verified(
        self, after: Detector, clips: Sequence[Clip] | None, runtime: Runtime | None
    ) -> Verification:
        """What both say of clips that were given, of normal ones, or of made sounds."""
        if clips is not None:
            if not len(clips):
                raise DatasetError("no clips to verify the export with; give some recordings")
            return compared(self.before, after, clips, runtime)
        ask = partial(probed, self.before, after, runtime=runtime)
        if probes := self._normals():
            return ask([turned(probe) for probe in probes], "normals")
        return ask(made(self.before.sections, self.before.system.needs), "made")

    def _calibration(self) -> Sequence[Probe]:
        if probes := self._normals():
            return probes
        raise DatasetError(
            f"{self.folder}: int8 is calibrated on recordings of the bank's normal clips, and none "
            "is found; say where they are with normals=…"
        )

    def _normals(self) -> list[Probe]:
        sections, order = self.before.sections, self.before.order
        needs = self.before.system.needs
        return normals(sections, order, needs, self.folder / INDEX, self.given)


def _exported(
    system: AnySystem, hold: Path, precision: str, heard: Sequence[Probe], longest: float | None
) -> tuple[AnySystem, int | None]:
    """The system with its encoders as files of ONNX, and their opset; None if it has none."""
    members: list[System] = []
    opset = None
    for n, member in enumerate(system.members):
        if not encoders_in(member.embedder):
            members.append(member)
            continue
        # One encoder behind two front ends is calibrated on what it hears behind each.
        sounds = [member.chain.hear(probe.audio[: member.needs]) for probe in heard]
        embedder: Any = as_onnx(
            member.embedder, hold / str(n), precision=precision, normals=sounds, longest=longest
        )
        opset = int(innermost(embedder).opened().facts["opset"])
        members.append(replace(member, embedder=embedder))
    if isinstance(system, Ensemble):
        return replace(system, members=tuple(members)), opset
    return members[0], opset


def _with_proof(after: Detector, found: Verification) -> Detector:
    return replace(after, exported=replace(found.exported, proof=found.proof))


def _differs(place: Path, found: Verification) -> FormatError:
    error = FormatError(
        f"{place}: not written, for it does not say what the detector says: {found.faults[0]}"
    )
    error.faults = found.faults
    return error
