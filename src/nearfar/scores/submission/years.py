"""Which machines the evaluation sets of past years have: a package that lacks one is told so."""

from __future__ import annotations

from collections.abc import Collection

# Of first-shot years alone: before 2023 machines of both sets are the same.
MACHINES = {
    2023: ("bandsaw", "grinder", "shaker", "ToyDrone", "ToyNscale", "ToyTank", "Vacuum"),
    2024: ("3DPrinter", "AirCompressor", "BrushlessMotor", "HairDryer", "HoveringDrone",
           "RoboticArm", "Scanner", "ToothBrush", "ToyCircuit"),
    2025: ("AutoTrash", "BandSealer", "CoffeeGrinder", "HomeCamera", "Polisher", "ScrewFeeder",
           "ToyPet", "ToyRCCar"),
    2026: ("BlowerDustCollector", "Sander", "SewingMachine", "ToothBrush", "ToyDrone"),
}  # fmt: skip


def lacking(machines: Collection[str]) -> tuple[int, tuple[str, ...]] | None:
    """The year whose evaluation set some machines are a part of, and those that it has besides.

    Returns:
        None where they are all of a year's, or not only a year's.

    >>> lacking(["Sander", "SewingMachine", "ToothBrush", "ToyDrone"])
    (2026, ('BlowerDustCollector',))
    >>> lacking(["pump"])
    """
    have = set(machines)
    found = [
        (year, tuple(m for m in there if m not in have))
        for year, there in MACHINES.items()
        # One machine alone may be of several years.
        if have < set(there) and 2 * len(have) >= len(there)
    ]
    return max(found, default=None)
