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


@dataclass(frozen=True)
class DataFacts:
    """The development data as the report counts them; clips are per machine.

    >>> load().data.machines[0], load().data.proxy_classes
    ('ToyCar', 43)
    """

    machines: tuple[str, ...]
    train_source_clips: int
    train_target_clips: int
    test_clips_per_machine_domain_and_label: int
    sample_rate_hz: int
    proxy_classes: int  # one more than the data have: docs/decisions.md
    source: str
    note: str


@dataclass(frozen=True)
class Configuration:
    """One row of Table 1: a step, and how each system takes it.

    >>> load().table1[0].systems["S1"]
    'coherence mask'
    """

    step: str
    systems: Mapping[str, str]  # by S1 … S4


@dataclass(frozen=True)
class Results:
    """Table 2, in per cent.

    >>> load().table2.machines["fan"]["pAUC"]["S1"]
    58.68
    """

    machines: Mapping[str, Mapping[str, Mapping[str, float]]]  # machine → metric → system
    omega: Mapping[str, float]  # by system


@dataclass(frozen=True)
class Component:
    """One row of Table 3.

    >>> load().table3.steps[0].omega
    56.27
    """

    key: str  # of this table only
    configuration: str  # as the table calls it
    omega: float  # per cent
    gain: float | None  # points of Ω over the row above


@dataclass(frozen=True)
class Components:
    """Table 3: System 1, a component at a time.

    >>> load().table3.total_gain
    8.14
    """

    steps: tuple[Component, ...]
    total_gain: float  # points of Ω


@dataclass(frozen=True)
class Statement:
    """A number, or a statement without one, of the report's text.

    >>> load().claim("cosface").relation
    'equal'
    """

    key: str
    what: str  # in words
    value: float | None  # None where the report gives no number
    digits: int  # printed behind the point
    unit: str
    relation: Literal["equal", "at most", "no meaningful improvement"]
    source: str


@dataclass(frozen=True)
class StereoFigure:
    """What the report says about the two channels.

    `quantity` and `unit` are those of `steps.stereo`. With `kind` "mean" the value is
    one machine's; else it is the lowest or highest of all machines' means, or lies above them all.

    >>> figure = load().stereo[0]
    >>> figure.quantity, figure.kind, figure.unit
    ('power_ratio', 'mean', 'dB')
    """

    quantity: str
    machine: str | None  # None: all of them
    kind: Literal["mean", "lowest", "highest", "below"]
    value: float
    digits: int  # printed behind the point, in this unit
    unit: str
    source: str


@dataclass(frozen=True)
class Reported:
    """The whole report.

    >>> len(load().table1), len(load().table2.omega), len(load().table3.steps)
    (6, 4, 3)
    """

    title: str
    authors: tuple[str, ...]
    data: DataFacts
    table1: tuple[Configuration, ...]
    table2: Results
    table3: Components
    claims: tuple[Statement, ...]
    stereo: tuple[StereoFigure, ...]

    def claim(self, key: str) -> Statement:
        """The claim of that key; a `KeyError` if there is none."""
        return {claim.key: claim for claim in self.claims}[key]


@cache
def load() -> Reported:
    """Read what the package ships.

    >>> load().table2.omega["S1"]
    64.41
    """
    text = files("nearfar.reproduce").joinpath("reported.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    facts, table2, table3 = data["data"], data["table2"], data["table3"]
    return Reported(
        title=data["title"],
        authors=tuple(data["authors"]),
        data=DataFacts(**{**facts, "machines": tuple(facts["machines"])}),
        table1=tuple(Configuration(row.pop("step"), row) for row in data["table1"]["rows"]),
        table2=Results(table2["machines"], table2["omega"]),
        table3=Components(tuple(Component(**r) for r in table3["rows"]), table3["total_gain"]),
        claims=tuple(Statement(**row) for row in data["claims"]),
        stereo=tuple(StereoFigure(**row) for row in data["stereo"]),
    )
