"""Detectors as commands take them: read late, with the thresholds and for the machine asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.errors import warn
from nearfar.system.named import types_of

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector

KEPT = 16 << 20  # bytes of banks: some hundred machines', and no more for 2,000


def open_detector(
    folder: Path,
    part: list[str] | None,
    weights: Sequence[str] | None,
    false_alarm_rate: float | None,
    machine: str | None,
) -> Detector:
    """Read a detector to judge recordings with; what belongs to a machine when it is asked about.

    Raises:
        FormatError, WeightsError: as `nearfar.load`.
        DatasetError: a machine that it does not know.
        SettingError: no such rate.
    """
    from nearfar.detector.detector import load

    fitted = load(folder, types_of(part), weights or (), late=True, most=KEPT)
    if false_alarm_rate is not None:
        fitted = fitted.with_false_alarm_rate(false_alarm_rate)
    if machine is not None and machine not in fitted.machines:
        fitted.threshold(machine)  # says which there are, before any folder is opened
    return fitted


def with_domains(
    fitted: Detector, by_domain: bool | None, machine: str | None, heard: Sequence[str]
) -> Detector:
    """The detector with thresholds by domain, or one for all; as it is where nobody says.

    Args:
        fitted: the detector.
        by_domain: what was asked for.
        machine: whose clips all are, as was said.
        heard: machines of the clips; of others no bank is read, and nothing said.
    """
    if by_domain is None:
        return fitted
    asked = fitted.machines if len(fitted.machines) == 1 else heard
    return fitted.with_threshold_by_domain(
        by_domain, machines=tuple(asked) if machine is None else (machine,)
    )


def with_license(fitted: Detector, said: str) -> Detector:
    """The detector with the licence of its recordings; as it is where nothing is said."""
    return replace(fitted, data_license=said) if said else fitted


def warn_of_strangers(strange: Mapping[str, tuple[int, int]], kept: Path | None) -> None:
    """Say of machines that nearly all of their clips are none to the detector that was there."""
    where = f" (kept as {kept})" if kept else ""
    for name, (alarms, judged) in strange.items():
        warn(
            f"{name}: {alarms} of {judged} of its clips are anomalous to the detector that was "
            f"there{where}; is it the same machine, recorded alike?"
        )
