"""How many clips the data sets of DCASE Task 2 have, year by year: what a whole copy must show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nearfar.clips.download.receipts import data_set_in

_FOLDER = re.compile(r"dcase(20\d\d)(?:t2)?", re.IGNORECASE)  # as the official layout has it, or we
Group = tuple[str, str | None, str | None]  # split, domain, label
_TRAIN: dict[Group, int] = {("train", "source", "normal"): 990, ("train", "target", "normal"): 10}
_TEST: dict[Group, int] = {
    ("test", d, b): 50 for d in ("source", "target") for b in ("normal", "anomaly")
}
_HIDDEN: dict[Group, int] = {("test", None, None): 200}
_SEVEN = ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve")


@dataclass(frozen=True)
class KnownSet:
    """One published part of a year's data, counts of each section.

    Counts that nobody here knows are not there: then they are not judged.

    >>> sets_of(2026)[0].name
    'the development set of 2026'
    """

    year: int
    part: str  # "development" or "evaluation"
    machines: tuple[str, ...]
    sections: tuple[str, ...]
    counts: Mapping[Group, int]  # of a section; (split, None, None) is all of a split

    @property
    def name(self) -> str:
        """As a line calls it."""
        return f"the {self.part} set of {self.year}"

    def expected(self, split: str) -> int | None:
        """Clips of a split that one section has; None if unknown."""
        known = [n for (of, _, _), n in self.counts.items() if of == split]
        whole = split == "test" or ("train", "source", "normal") in self.counts
        return sum(known) if known and whole else None


def _two(year: int, dev: str, other: str, sections: str = "00") -> list[KnownSet]:
    """A year of one section: the counts are those of 2026."""
    return [
        KnownSet(year, "development", tuple(dev.split()), (sections,), _TRAIN | _TEST),
        KnownSet(year, "evaluation", tuple(other.split()), (sections,), _TRAIN | _HIDDEN),
    ]


# Official baseline (its README, README_legacy, eval_data_list_20xx.csv); newest first.
SETS: tuple[KnownSet, ...] = (
    *_two(
        2026,
        "ToyCar ToyCarEmu bearingEmu fan gearboxEmu sliderEmu valveEmu",
        "BlowerDustCollector Sander SewingMachine ToothBrush ToyDrone",
    ),
    *_two(
        2025,
        " ".join(_SEVEN),
        "AutoTrash BandSealer CoffeeGrinder HomeCamera Polisher ScrewFeeder ToyPet ToyRCCar",
    ),
    *_two(
        2024,
        " ".join(_SEVEN),
        "3DPrinter AirCompressor BrushlessMotor HairDryer HoveringDrone RoboticArm Scanner "
        "ToothBrush ToyCircuit",
    ),
    *_two(2023, " ".join(_SEVEN), "Vacuum ToyTank ToyNscale ToyDrone bandsaw grinder shaker"),
    KnownSet(2022, "development", _SEVEN, ("00", "01", "02"), _TRAIN | _HIDDEN),
    KnownSet(2022, "evaluation", _SEVEN, ("03", "04", "05"), _TRAIN | _HIDDEN),
    # Of 2021 and 2020 only these numbers are known for sure; test clips vary by machine.
    KnownSet(
        2021, "development", ("ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve"),
        ("00", "01", "02"), {("train", "target", "normal"): 3},
    ),
    KnownSet(
        2021, "evaluation", ("ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve"),
        ("03", "04", "05"), {("train", "target", "normal"): 3},
    ),
)  # fmt: skip
YEARS = tuple(sorted({one.year for one in SETS}))


def sets_of(year: int) -> list[KnownSet]:
    """The parts of a year's data; none of a year that is not known."""
    return [one for one in SETS if one.year == year]


def year_in(folder: Path) -> int | None:
    """The year that a path of the official layout names, or what `nearfar download` left in it.

    >>> year_in(Path("/data/dcase2026t2/dev_data/raw")), year_in(Path("/data/dcase"))
    (2026, None)
    """
    fetched = map(data_set_in, (folder, *folder.parents[:3]))  # a machine's folder may be given
    names = [*folder.parts, *filter(None, fetched)]
    found = [match for part in names if (match := _FOLDER.fullmatch(part))]
    return int(found[-1][1]) if found else None


def recognised(clips: Mapping[tuple[str, str], Mapping[str, int]]) -> list[KnownSet]:
    """The published sets that machines' names and numbers of clips plainly are of.

    Args:
        clips: (machine, section) → split → how many clips.

    Returns:
        Parts of one year, the newest that fits; none where names alone fit: people call a fan a
        fan. A part fits by a section with its training clips, give or take a tenth.
    """
    by_year: dict[int, list[KnownSet]] = {}
    held: dict[str, set[str]] = {}  # machine → its sections
    for machine, section in clips:
        held.setdefault(machine, set()).add(section)
    for one in SETS:
        years = {section for other in sets_of(one.year) for section in other.sections}
        fits = any(
            machine in one.machines
            and section in one.sections
            and held[machine] <= years
            and _full(one, splits)
            for (machine, section), splits in clips.items()
        )
        if fits:
            by_year.setdefault(one.year, []).append(one)
    machines = {machine for machine, _ in clips}

    def known(year: int) -> int:
        return len(machines & {m for one in by_year[year] for m in one.machines})

    return by_year[max(by_year, key=lambda year: (known(year), year))] if by_year else []


def _full(one: KnownSet, splits: Mapping[str, int]) -> bool:
    """Are there about as many training clips, or without any of them test clips, as there must be?

    Other data sets have 200 test clips as well.
    """
    split = "train" if splits.get("train") else "test"
    whole = one.expected(split)
    return whole is not None and 0.9 <= splits.get(split, 0) / whole <= 1.1
