"""The stereo statistics as tables, and which reading comes nearest to what the report printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from nearfar.reproduce.reported import StereoFigure, load
from nearfar.reproduce.steps.stereo import (
    COHERENCES,
    LOGARITHMS,
    QUANTITIES,
    MachineStatistics,
    Quantity,
    Statistics,
)
from nearfar.reproduce.tables.table import DASH, Column, Table

_CLIPS = (
    "Means over each machine's normal training clips; the report does not say which clips its "
    "numbers are of."
)
_LACKING = "not all of the report's machines have numbers"


@dataclass(frozen=True)
class Reading:
    """One number of the report beside ours under every reading.

    >>> figure = StereoFigure("gamma", "fan", "mean", 0.056, 3, "1", "§3.3")
    >>> Reading("γ of fan", figure, {"clip": 0.0557, "ema": 0.09}).nearest
    ('clip',)
    """

    what: str  # in words
    figure: StereoFigure
    values: Mapping[str, float]  # of readings that have a number; none where clips are lacking

    @property
    def nearest(self) -> tuple[str, ...]:
        """The nearest reading, and those as near to a twentieth of the report's last digit."""
        least = min(map(self.distance, self.values.values()), default=0.0)
        return self._within(least + 0.05 / 10**self.figure.digits)

    @property
    def as_printed(self) -> tuple[str, ...]:
        """The readings that would have been printed as the report's number, or lie below it."""
        return self._within(1e-9 + (0.5 / 10**self.figure.digits) * (self.figure.kind != "below"))

    def _within(self, least: float) -> tuple[str, ...]:
        return tuple(r for r, v in self.values.items() if self.distance(v) <= least)

    def distance(self, value: float) -> float:
        """From the report's number; from above it if that is a bound."""
        above = value - self.figure.value
        return max(0.0, above) if self.figure.kind == "below" else abs(above)

    def text(self, digits: int) -> str:
        """One line: the report's number, ours from the nearest on, the nearest reading."""
        printed = "below " * (self.figure.kind == "below") + _printed(self.figure)
        start = f"{self.what[0].upper()}{self.what[1:]}, {printed} in the report"
        if not self.values:
            machine = self.figure.machine
            lacking = f"{machine} has no numbers" if machine else _LACKING
            return f"{start}: not to be compared, {lacking} here."
        order = sorted(self.values.items(), key=lambda item: self.distance(item[1]))
        ours = "; ".join(f"{reading} {_number(value, digits)}" for reading, value in order)
        off = _number(self.distance(order[0][1]), digits)
        nearest = " / ".join(self.nearest)
        verdict = f"**{nearest}**" + ("" if self.figure.kind == "below" else f" (off by {off})")
        others = [r for r in self.as_printed if r not in self.nearest]
        also = f"; printed alike: {' / '.join(others)}" if others else ""
        return f"{start}: {ours} → {verdict}{also}."

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "what": self.what, "reported": self.figure.value, "kind": self.figure.kind,
            "source": self.figure.source, "ours": dict(self.values),
            "nearest": list(self.nearest), "as_printed": list(self.as_printed),
        }  # fmt: skip


def tables(statistics: Statistics, reported: bool) -> tuple[Table, ...]:
    """One table a quantity; where the clips are those of the report, also one of all together."""
    figures = load().stereo if reported else ()
    verdicts = [verdict(figure, statistics) for figure in figures]
    made = [_table(q, statistics, verdicts) for q in QUANTITIES]
    return (*made, *_together(verdicts))


def verdict(figure: StereoFigure, statistics: Statistics) -> Reading:
    """Hold every reading against one number of the report."""
    quantity = _quantity(figure.quantity)
    extreme = "lowest" if figure.kind == "lowest" else "highest"
    where = f" of {figure.machine}" if figure.machine else f", {extreme} of all machines"
    what = quantity.title + where
    machines = {m.machine: m for m in statistics.machines}
    wanted = (figure.machine,) if figure.machine else load().data.machines
    values = {}
    for reading in quantity.readings if all(name in machines for name in wanted) else ():
        means = [machines[str(name)].mean(quantity.name, reading) for name in wanted]
        if all(map(math.isfinite, means)):
            values[reading] = min(means) if figure.kind == "lowest" else max(means)
    return Reading(what, figure, values)


def _table(quantity: Quantity, statistics: Statistics, verdicts: Sequence[Reading]) -> Table:
    own = [v for v in verdicts if v.figure.quantity == quantity.name]
    printed = {v.figure.machine: v.figure for v in own if v.figure.kind == "mean"}
    columns: list[Column] = [("machine", lambda m: m.machine), ("clips", lambda m: str(m.clips))]
    columns += [(reading, partial(_mean, quantity, reading)) for reading in quantity.readings]
    if printed:
        columns.append(("report", lambda m: _printed(printed.get(m.machine))))
    notes = [quantity.legend[0].upper() + quantity.legend[1:], _CLIPS, *_dead(statistics)]
    data: dict[str, Any] = {"quantity": quantity.name, "unit": quantity.unit, "machines": {}}
    for m in statistics.machines:
        readings = {r: m.figures[quantity.name][r].to_data() for r in quantity.readings}
        data["machines"][m.machine] = {"clips": m.clips, "dead": m.dead, "readings": readings}
    if own:
        data["verdicts"] = [v.to_data() for v in own]
        notes += [v.text(quantity.digits) for v in own]
    name = f"stereo-{quantity.name.replace('_', '-')}"
    unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
    title = f"Stereo statistics: {quantity.title}{unit}"
    return Table.of(name, title, columns, statistics.machines, notes, data)


def _mean(quantity: Quantity, reading: str, machine: MachineStatistics) -> str:
    return _number(machine.mean(quantity.name, reading), quantity.digits)


def _dead(statistics: Statistics) -> Iterator[str]:
    for m in statistics.machines:
        if m.dead:
            yield (f"{m.machine}: {m.dead} of {m.clips} clips have a silent or constant channel "
                   "and no numbers.")  # fmt: skip


def _together(verdicts: Sequence[Reading]) -> Iterator[Table]:
    """Readings of γ and of the logarithm against all that the report says of γ and the mask."""
    used = [v for v in verdicts if v.values and v.figure.kind != "below"
            and v.figure.quantity in ("gamma", "mask", "at_floor")]  # fmt: skip
    if not used:
        return
    rows, off = [["report", *(_printed(v.figure) for v in used), "", ""]], {}
    for log, coherence in product(LOGARITHMS, COHERENCES):
        reading, cells, distances, alike = f"{coherence}, {log}", [], [], 0
        for v in used:
            key = coherence if v.figure.quantity == "gamma" else reading
            value = v.values.get(key, math.nan)
            cells.append(_number(value, _quantity(v.figure.quantity).digits))
            if key in v.values:  # in units of the last digit that the report prints
                distances.append(v.distance(value) * 10**v.figure.digits)
            alike += key in v.as_printed
        if distances:
            off[reading] = sum(distances) / len(distances)
        last = [f"{alike} of {len(used)}", _number(off.get(reading, math.nan), 1)]
        rows.append([reading, *cells, *last])
    nearest = min(off, key=off.__getitem__)
    columns = ["reading", *(v.what for v in used), "as printed", "off by"]
    notes = ["Off by: mean distance, in units of the last digit that the report prints.",
             f"Nearest to all of them together: **{nearest}**."]  # fmt: skip
    yield Table("stereo-together", "Stereo statistics: γ and mask together", columns, rows, notes,
                {"off_by": off, "nearest": nearest})  # fmt: skip


def _quantity(name: str) -> Quantity:
    return {q.name: q for q in QUANTITIES}[name]


def _printed(figure: StereoFigure | None) -> str:
    return DASH if figure is None else _number(figure.value, figure.digits)


def _number(value: float, digits: int) -> str:
    """As people read it; a dash for nan."""
    if not math.isfinite(value):
        return DASH
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no −0
