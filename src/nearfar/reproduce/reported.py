"""The numbers of the report, as data: what `nearfar reproduce` prints beside ours.

They stand in `reported.json`, each with the section or table of the report that it is from. AUCs
and Ω are in per cent, differences of them in points, as the report prints them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

SYSTEMS = ("S1", "S2", "S3", "S4")
METRICS = ("AUC(s)", "AUC(t)", "pAUC")

Relation = Literal["equal", "at most", "no meaningful improvement"]
Kind = Literal["mean", "lowest", "highest", "below"]


@dataclass(frozen=True)
class Data:
    """The development data as the report counts them; clips are per machine."""

    machines: tuple[str, ...]
    train_source_clips: int
    train_target_clips: int
    test_clips_per_machine_domain_and_label: int
    sample_rate_hz: int
    proxy_classes: int
    source: str
    note: str


@dataclass(frozen=True)
class Configuration:
    """One row of Table 1: a step, and how each system takes it."""

    step: str
    systems: Mapping[str, str]  # by S1 … S4
    source: str


@dataclass(frozen=True)
class Results:
    """Table 2, in per cent."""

    machines: Mapping[str, Mapping[str, Mapping[str, float]]]  # machine → metric → system
    omega: Mapping[str, float]  # by system
    digits: int  # printed behind the point
    source: str

    def values(self, system: str) -> tuple[float, ...]:
        """The three numbers of every machine, of one system."""
        return tuple(row[metric][system] for row in self.machines.values() for metric in METRICS)


@dataclass(frozen=True)
class Step:
    """One row of Table 3."""

    key: str
    configuration: str
    omega: float  # per cent
    gain: float | None  # points of Ω over the row above


@dataclass(frozen=True)
class Ablation:
    """Table 3: System 1, a component at a time."""

    steps: tuple[Step, ...]
    total_gain: float  # points of Ω
    digits: int
    source: str


@dataclass(frozen=True)
class Claim:
    """A number, or a statement without one, of the report's text."""

    key: str
    what: str
    value: float | None  # None where the report gives no number
    digits: int  # printed behind the point
    unit: str
    relation: Relation
    source: str


@dataclass(frozen=True)
class StereoFigure:
    """What the report says about the two channels.

    `quantity` and `unit` are those of `nearfar.reproduce.stereo`. With `kind` "mean" the value is
    one machine's; else it is the lowest or highest of all machines' means, or lies above them all.
    """

    quantity: str
    machine: str | None
    kind: Kind
    value: float
    digits: int  # printed behind the point, in this unit
    unit: str
    source: str


@dataclass(frozen=True)
class Reported:
    """The whole report."""

    title: str
    authors: tuple[str, ...]
    where: str
    data: Data
    table1: tuple[Configuration, ...]
    table2: Results
    table3: Ablation
    claims: tuple[Claim, ...]
    stereo: tuple[StereoFigure, ...]

    def claim(self, key: str) -> Claim:
        """The claim of that key.

        Raises:
            KeyError: there is none.
        """
        return {claim.key: claim for claim in self.claims}[key]


@cache
def load() -> Reported:
    """Read what the package ships.

    >>> load().table2.omega["S1"]
    64.41
    """
    text = files("nearfar.reproduce").joinpath("reported.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    counts = {k: v for k, v in data["data"].items() if k != "machines"}
    table1, table2, table3 = data["table1"], data["table2"], data["table3"]
    return Reported(
        title=data["title"],
        authors=tuple(data["authors"]),
        where=data["where"],
        data=Data(machines=tuple(data["data"]["machines"]), **counts),
        table1=tuple(
            Configuration(row["step"], {s: row[s] for s in SYSTEMS}, table1["source"])
            for row in table1["rows"]
        ),
        table2=Results(table2["machines"], table2["omega"], table2["digits"], table2["source"]),
        table3=Ablation(
            tuple(Step(**row) for row in table3["rows"]),
            table3["total_gain"],
            table3["digits"],
            table3["source"],
        ),
        claims=tuple(Claim(**row) for row in data["claims"]),
        stereo=tuple(StereoFigure(**row) for row in data["stereo"]),
    )
