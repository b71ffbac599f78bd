"""The stereo statistics as tables, and which reading comes nearest to what the report printed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.reproduce.reported import StereoFigure, load
from nearfar.reproduce.steps.stereo import (
    COHERENCES,
    LOGARITHMS,
    QUANTITIES,
    MachineStatistics,
    Quantity,
    Statistics,
    packed,
)
from nearfar.reproduce.tables.table import DASH, Table

_CLIPS = (
    "Means over each machine's normal training clips; the report does not say which clips its "
    "numbers are of."
)
_OFF = "Off by: mean distance, in units of the last digit that the report prints."


@dataclass(frozen=True)
class Verdict:
    """One number of the report beside ours under every reading.

    Args:
        what: the number in words.
        figure: the report's.
        values: reading → ours; empty where the clips do not allow the comparison, and without
            readings that have no number.
    """

    what: str
    figure: StereoFigure
    values: Mapping[str, float]

    @property
    def nearest(self) -> tuple[str, ...]:
        """The reading that comes nearest; several if they are about equally near.

        That is: as near to a twentieth of the last digit that the report prints.
        """
        if not self.values:
            return ()
        least = min(map(self.distance, self.values.values())) + 0.05 / 10**self.figure.digits
        return tuple(r for r, v in self.values.items() if self.distance(v) <= least)

    @property
    def as_printed(self) -> tuple[str, ...]:
        """The readings that would have been printed as the report's number, or lie below it."""
        half = 0.0 if self.figure.kind == "below" else 0.5 / 10**self.figure.digits
        return tuple(r for r, v in self.values.items() if self.distance(v) <= half + 1e-9)

    def distance(self, value: float) -> float:
        """From the report's number; from above it if that is a bound."""
        above = value - self.figure.value
        return max(0.0, above) if self.figure.kind == "below" else abs(above)

    def text(self, digits: int) -> str:
        """One line: the report's number, ours from the nearest on, the nearest reading."""
        bound = "below " if self.figure.kind == "below" else ""
        printed = bound + _number(self.figure.value, self.figure.digits)
        start = f"{_capital(self.what)}, {printed} in the report"
        if not self.values:
            return f"{start}: not to be compared, {_missing(self.figure)}."
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
            "what": self.what,
            "reported": self.figure.value,
            "kind": self.figure.kind,
            "source": self.figure.source,
            "ours": dict(self.values),
            "nearest": list(self.nearest),
            "as_printed": list(self.as_printed),
        }


def tables(statistics: Statistics, reported: bool) -> tuple[Table, ...]:
    """One table a quantity; with the report's numbers also one that takes them together.

    Args:
        statistics: of the clips.
        reported: whether the clips are those of the report, so that its numbers stand beside ours
            with a verdict each. Simulated clips are not.
    """
    figures = load().stereo if reported else ()
    verdicts = [verdict(figure, statistics) for figure in figures]
    made = [_table(q, statistics, verdicts) for q in QUANTITIES]
    return (*made, *_together(verdicts))


def verdict(figure: StereoFigure, statistics: Statistics) -> Verdict:
    """Hold every reading against one number of the report."""
    quantity = _quantity(figure.quantity)
    extreme = "lowest" if figure.kind == "lowest" else "highest"
    where = f" of {figure.machine}" if figure.machine else f", {extreme} of all machines"
    what = quantity.title + where
    machines = {m.machine: m for m in statistics.machines}
    wanted = (figure.machine,) if figure.machine else load().data.machines
    if not all(name in machines for name in wanted):
        return Verdict(what, figure, {})
    values = {
        reading: _over([machines[str(n)].mean(quantity.name, reading) for n in wanted], figure.kind)
        for reading in quantity.readings
    }
    return Verdict(what, figure, {r: v for r, v in values.items() if math.isfinite(v)})


def _over(means: Sequence[float], kind: str) -> float:
    """Of one machine its mean, of several the lowest or highest; nan if one has no number."""
    if not all(map(math.isfinite, means)):
        return math.nan
    return min(means) if kind == "lowest" else max(means)


def _table(quantity: Quantity, statistics: Statistics, verdicts: Sequence[Verdict]) -> Table:
    own = [v for v in verdicts if v.figure.quantity == quantity.name]
    printed = {v.figure.machine: v.figure for v in own if v.figure.kind == "mean"}
    rows = []
    for m in statistics.machines:
        figure = printed.get(m.machine)
        means = [_number(m.mean(quantity.name, r), quantity.digits) for r in quantity.readings]
        report = [_number(figure.value, figure.digits) if figure else DASH] if printed else []
        rows.append([m.machine, str(m.clips), *means, *report])
    unit = "" if quantity.unit == "1" else f" ({quantity.unit})"
    return Table(
        name=f"stereo-{quantity.name.replace('_', '-')}",
        title=f"Stereo statistics: {quantity.title}{unit}",
        columns=["machine", "clips", *quantity.readings, *(["report"] if printed else [])],
        rows=rows,
        notes=[*_notes(quantity, statistics), *(v.text(quantity.digits) for v in own)],
        data=_data(quantity, statistics, own),
    )


def _notes(quantity: Quantity, statistics: Statistics) -> Iterator[str]:
    yield _capital(quantity.legend)
    yield _CLIPS
    for m in statistics.machines:
        if m.dead:
            yield (f"{m.machine}: {m.dead} of {m.clips} clips have a silent or constant channel "
                   "and no numbers.")  # fmt: skip


def _data(
    quantity: Quantity, statistics: Statistics, verdicts: Sequence[Verdict]
) -> dict[str, Any]:
    def figures(m: MachineStatistics) -> dict[str, Any]:
        return {r: packed(m.figures[quantity.name][r]) for r in quantity.readings}

    return {
        "quantity": quantity.name,
        "unit": quantity.unit,
        "machines": {
            m.machine: {"clips": m.clips, "dead": m.dead, "readings": figures(m)}
            for m in statistics.machines
        },
        **({"verdicts": [v.to_data() for v in verdicts]} if verdicts else {}),
    }


def _together(verdicts: Sequence[Verdict]) -> Iterator[Table]:
    """Readings of γ and of the logarithm against all that the report says of γ and the mask."""
    used = [
        v for v in verdicts
        if v.values and v.figure.quantity in ("gamma", "mask", "at_floor")
        and v.figure.kind != "below"
    ]  # fmt: skip
    if not used:
        return
    rows, off = [["report", *(_number(v.figure.value, v.figure.digits) for v in used), "", ""]], {}
    for log in LOGARITHMS:
        for coherence in COHERENCES:
            reading = f"{coherence}, {log}"
            cells, distances, alike = _against(used, coherence, reading)
            if distances:
                off[reading] = sum(distances) / len(distances)
            last = [f"{alike} of {len(used)}", _number(off.get(reading, math.nan), 1)]
            rows.append([reading, *cells, *last])
    nearest = min(off, key=off.__getitem__)
    yield Table(
        name="stereo-together",
        title="Stereo statistics: γ and mask together",
        columns=["reading", *(v.what for v in used), "as printed", "off by"],
        rows=rows,
        notes=[_OFF, f"Nearest to all of them together: **{nearest}**."],
        data={"off_by": off, "nearest": nearest},
    )


def _against(
    verdicts: Sequence[Verdict], coherence: str, reading: str
) -> tuple[list[str], list[float], int]:
    """One row: cells, distances in last printed digits, how many are as printed."""
    cells, distances, alike = [], [], 0
    for v in verdicts:
        key = coherence if v.figure.quantity == "gamma" else reading
        value = v.values.get(key, math.nan)
        cells.append(_number(value, _quantity(v.figure.quantity).digits))
        if math.isfinite(value):
            distances.append(v.distance(value) * 10**v.figure.digits)
        alike += key in v.as_printed
    return cells, distances, alike


def _quantity(name: str) -> Quantity:
    return {q.name: q for q in QUANTITIES}[name]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _missing(figure: StereoFigure) -> str:
    if figure.machine:
        return f"{figure.machine} has no numbers here"
    return "not all of the report's machines have numbers here"


def _number(value: float, digits: int) -> str:
    """As people read it; a dash for nan."""
    if not math.isfinite(value):
        return DASH
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # + 0.0: no −0
