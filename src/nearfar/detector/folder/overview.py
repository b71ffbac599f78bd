"""What the indexes of many detectors say, a row for each machine and section; no bank is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.detector.folder.index import INDEX, index_of
from nearfar.detector.folder.lessons import KEY as LEARNT
from nearfar.detector.folder.lessons import clips_in
from nearfar.detector.folder.siblings import detectors_within
from nearfar.errors import FormatError

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector

Reader = Callable[[Path], "Detector"]  # reads a detector, its banks late


@dataclass(frozen=True)
class FleetRow:
    """One machine and section of some detector.

    >>> FleetRow("plant/fan", "fan", "00", 40, 0.7, "2026-03-01", 0.1, "").as_dict()["clips"]
    40
    """

    detector: str  # its folder
    machine: str
    section: str
    clips: int  # that are known to be normal, learnt ones among them
    threshold: float
    fitted: str  # day on which its bank was written, UTC
    false_alarm_rate: float  # asked for, 0–1
    drift: str  # since the fit, in a line; "" where nothing was learnt or forgotten

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def detectors_in(folders: Iterable[Path]) -> list[Path]:
    """Detectors, given one by one or as folders of them; what a fit has replaced is none.

    Raises:
        FormatError: a folder that neither is a detector nor has any in it.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        inside = [folder]
        if folder.is_dir() and not (folder / INDEX).exists():
            inside = detectors_within(folder)
            if not inside:
                raise FormatError(
                    f"{folder}: neither a detector nor a folder of detectors; make one with "
                    "nearfar fit DATA -o DIR"
                )
        found |= dict.fromkeys(inside)
    return list(found)


def overview(folder: Path, reader: Reader) -> list[FleetRow]:
    """Rows of a detector, sorted by machine and section.

    Args:
        folder: the detector's.
        reader: is asked for it only where something was learnt since the fit, to tell the drift.

    Raises:
        FormatError: no detector, or a damaged one.
    """
    data = index_of(folder)
    try:
        rows = [_row(folder, data, entry, reader) for entry in data["sections"]]
    except (LookupError, TypeError, ValueError):
        raise FormatError(f"{folder / INDEX}: not as nearfar writes it; fit again") from None
    return sorted(rows, key=lambda row: (row.machine, row.section))


def _row(
    folder: Path, data: Mapping[str, Any], entry: Mapping[str, Any], reader: Reader
) -> FleetRow:
    machine, section = str(entry["machine"]), str(entry["section"])
    drift = reader(folder).drift(machine, section) if LEARNT in entry else None
    return FleetRow(
        str(folder), machine, section, clips_in(entry), float(entry["threshold"]),
        _written(folder / Path(entry["bank"]).name), float(data["false_alarm_rate"]),
        drift.told if drift else "",
    )  # fmt: skip


def _written(bank: Path) -> str:
    """The day a bank is from: an index is written again with each threshold, a bank only by a fit.

    Raises:
        FormatError: it is gone.
    """
    try:
        return datetime.fromtimestamp(bank.stat().st_mtime, UTC).date().isoformat()
    except OSError:
        raise FormatError(f"{bank}: cannot be read; the detector is damaged, fit again") from None
