"""The report's tables made of our figures, beside the report's own where they may stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.reproduce.entries import ENTRIES, PAIRS, Pair, TableName
from nearfar.reproduce.reported import Claim, Reported
from nearfar.reproduce.tables.configurations import configurations
from nearfar.reproduce.tables.numbers import CONFIDENCE, Figures, Number
from nearfar.reproduce.tables.table import DASH, Table, per_cent, points
from nearfar.training.settings import FineTuning

TABLE_2 = {"s1": "S1", "s2": "S2", "s3": "S3", "s4": "S4"}  # entry → the report's name
TABLE_3 = {"frozen": "frozen", "near": "fine_tuned", "s1": "masked"}  # entry → row
MASKED = "+ Coherence mask, w = 0.7"  # what Table 3 calls System 1
SINGLE = (  # what the text says of one figure of one machine: claim, machine, figure, two entries
    ("bearing_pauc", "bearingEmu", "pAUC", "s4", "s1"),
    ("fan_auc_source", "fan", "AUC(s)", "s4", "s1"),
    ("gearbox_auc_target", "gearboxEmu", "AUC(t)", "s2", "s4"),
    ("valve_pauc", "valveEmu", "pAUC", "s2", "s4"),
)
NO_TITLES: Mapping[str, str] = {}
CAPTIONS = {
    "2": "Table 2: every machine, all four systems",
    "3": "Table 3: the components of System 1",
    "text": "Comparisons of the text",
}


@dataclass(frozen=True)
class Tables:
    """Makes tables.

    Args:
        figures: of all entries that the tables need; None where none does.
        reported: the report's numbers; None where they may not stand beside ours.
        seeds: numbers of the trainings.
        training: settings of every training.
        classes: proxy classes of the training clips.
    """

    figures: Figures | None
    reported: Reported | None
    seeds: Sequence[int]
    training: FineTuning
    classes: int

    def make(self, name: TableName) -> list[Table]:
        """The tables that belong to a name of `--table`; the stereo statistics stand apart."""
        if name == "1":
            return [configurations(self.training, self.reported, len(self.seeds))]
        if name == "2":
            return [self.machines(), self.pairs("2"), *self.single()]
        if name == "3":
            return [self.components(), self.pairs("3")]
        return [self.entries("text"), self.pairs("text")]

    # ---- Table 2 ---------------------------------------------------------------------------------

    def machines(self) -> Table:
        """Table 2: every machine and figure; System 1 is its first seed, as the report's is one."""
        figures = self._figures
        names = [*TABLE_2, "logmel"]
        values = {name: figures.machines(name) for name in names}
        omegas = {name: figures.omega(name, 0) for name in names}
        rows = []
        for machine in values["s4"]:
            for place, metric in enumerate(figures.titles):
                own = [values[name][machine][place] for name in names]
                rows.append([machine, metric, *self._beside(own, machine, metric)])
        total = [omegas[name].value for name in names]
        rows.append(["all", figures.symbol, *self._beside(total, "", figures.symbol)])
        intervals = [_interval(omegas[name]) for name in names]
        if self.reported is not None:  # the report gives no intervals
            intervals = [c for i in intervals[:-1] for c in (i, "", "")] + intervals[-1:]
        rows.append(["", f"{100 * CONFIDENCE:g} % interval", *intervals])
        notes = [
            f"Per cent. S1 is seed {self.seeds[0]}; over {_seeds(self.seeds)} its {figures.symbol} "
            f"is {_told(figures.omega('s1'))}. S2 is the ensemble of {_these(self.seeds)}. "
            f"Intervals: {figures.draws:,} bootstrap draws of the test clips."
        ]
        return Table(
            "table2", CAPTIONS["2"], ["machine", "figure", *self._heads(names)], rows, notes,
            {
                "figures": {n: {machine: dict(zip(figures.titles, v, strict=True))
                                for machine, v in values[n].items()} for n in names},
                **self._figures_reported(values),
                "omega": {n: self._number(omegas[n], self._omega_reported(n)) for n in names},
            },
        )  # fmt: skip

    def _figures_reported(self, values: Mapping[str, Mapping[str, Sequence[float]]]) -> Any:
        """The report's figures, 0–1, and ours minus those; nothing without the report."""
        if self.reported is None:
            return {}
        said, titles = self.reported.table2.machines, self._figures.titles
        report = {
            name: {m: {t: said[m][t][system] / 100 for t in titles} for m in values[name]}
            for name, system in TABLE_2.items()
        }
        minus = {
            name: {
                m: {t: v - of[m][t] for t, v in zip(titles, values[name][m], strict=True)}
                for m in of
            }
            for name, of in report.items()
        }
        return {"report_figures": report, "figures_minus_report": minus}

    def _heads(self, names: Sequence[str]) -> list[str]:
        heads = []
        for name in names:
            own = TABLE_2.get(name, "floor (log-mel)")
            heads += [own, "report", "Δ"] if self.reported and name in TABLE_2 else [own]
        return heads

    def _beside(self, own: Sequence[float], machine: str, metric: str) -> list[str]:
        """Ours, and for each of the report's systems its number and the difference."""
        cells = []
        for value, system in zip(own, [*TABLE_2.values(), ""], strict=True):
            cells.append(per_cent(value))
            if self.reported is not None and system:
                table = self.reported.table2
                said = table.machines[machine][metric] if machine else table.omega
                theirs = said[system]
                cells += [f"{theirs:.2f}", points(value - theirs / 100)]
        return cells

    def single(self) -> list[Table]:
        """What the text says of single figures of Table 2; nothing without the report."""
        if self.reported is None:
            return []
        rows, data = [], []
        for key, machine, metric, first, second in SINGLE:
            claim = self.reported.claim(key)
            place = self._figures.titles.index(metric)
            found = self._figures.machine(first, machine, place, second)
            title = f"{machine}, {metric}: {TABLE_2[first]} over {TABLE_2[second]}"
            rows.append([title, *self._compared(found, claim)])
            data.append({"title": title, **self._difference(found, claim)})
        columns = ["", *self._compared_heads()]
        return [Table("table2-text", "What the text says of Table 2", columns, rows,
                      [_first(self.seeds)], {"comparisons": data})]  # fmt: skip

    # ---- Table 3 ---------------------------------------------------------------------------------

    def components(self) -> Table:
        """Table 3: frozen, fine-tuned, with the mask; means over seeds."""
        return self._omegas("table3", CAPTIONS["3"], list(TABLE_3), {"s1": MASKED})

    def entries(self, name: TableName) -> Table:
        """Ω of every entry that a table's comparisons need."""
        wanted = {n for pair in PAIRS[name] for n in (pair.first, pair.second)}
        title = f"{CAPTIONS[name]}: the systems"
        return self._omegas(f"{name}-systems", title, [n for n in ENTRIES if n in wanted])

    def _omegas(
        self, name: str, title: str, names: Sequence[str], titles: Mapping[str, str] = NO_TITLES
    ) -> Table:
        figures = self._figures
        rows, data = [], []
        for entry in names:
            number, theirs = figures.omega(entry), self._omega_reported(entry)
            each = " ".join(per_cent(v) for v in number.seeds) if len(number.seeds) > 1 else DASH
            about = titles.get(entry, ENTRIES[entry].title)
            row = [about, per_cent(number.value), _interval(number), each]
            if self.reported is not None:
                row += _against(number, theirs)
            rows.append(row)
            data.append({"entry": entry, "title": about, **self._number(number, theirs)})
        heads = ["", f"{figures.symbol}, %", f"{100 * CONFIDENCE:g} % interval", "each seed"]
        if self.reported is not None:
            heads += ["report", "Δ", "report within"]
        notes = [f"{_means(self.seeds)} {_INTERVALS}"]
        return Table(name, title, heads, rows, notes, {"rows": data})

    # ---- comparisons -----------------------------------------------------------------------------

    def pairs(self, name: TableName) -> Table:
        """Differences of a table's pairs, each with its interval."""
        rows, data = [], []
        for pair in PAIRS[name]:
            number, claim = self._figures.difference(pair), self._claim(pair)
            rows.append([pair.title, *self._compared(number, claim)])
            about = {"title": pair.title, "first": pair.first, "second": pair.second}
            data.append({**about, **self._difference(number, claim)})
        notes = [f"{_means(self.seeds)} {_INTERVALS}", _DISTINGUISHABLE]
        if any("s2" in (pair.first, pair.second) for pair in PAIRS[name]) and len(self.seeds) > 1:
            notes.append(_ENSEMBLE)
        if name == "text":
            notes += [_UNIT_LENGTH, self._classes()]
        return Table(
            f"{name}-differences", f"{CAPTIONS[name]}: differences",
            [f"Δ{self._figures.symbol}", *self._compared_heads()],
            rows, notes, {"comparisons": data},
        )  # fmt: skip

    def _classes(self) -> str:
        """How many proxy classes the encoders learnt to tell apart."""
        told = f"Proxy classes in training: {self.classes}"
        if self.reported is None:
            return f"{told}."
        return f"{told}; {self.reported.data.proxy_classes} in the report (docs/decisions.md)."

    def _compared_heads(self) -> list[str]:
        heads = ["points", f"{100 * CONFIDENCE:g} % interval", "each seed", "distinguishable"]
        return [*heads, "report", "Δ", "report within"] if self.reported is not None else heads

    def _compared(self, number: Number, claim: Claim | None) -> list[str]:
        each = " ".join(points(v, 1) for v in number.seeds) if len(number.seeds) > 1 else DASH
        cells = [points(number.value), _interval(number, points), each,
                 "yes" if number.distinguishable else "no"]  # fmt: skip
        if self.reported is None:
            return cells
        if claim is None:
            return [*cells, DASH, DASH, DASH]
        within = "yes" if _within(number, claim) else "no"
        if claim.value is None:  # "no meaningful improvement"
            return [*cells, "no gain", DASH, within]
        theirs = claim.value / 100
        told = f"{'≤ ' if claim.relation == 'at most' else ''}{points(theirs, claim.digits)}"
        return [*cells, told, points(number.value - theirs), within]

    def _difference(self, number: Number, claim: Claim | None) -> dict[str, Any]:
        return {
            "difference": number.value,
            "interval": list(number.interval),
            "seeds": list(number.seeds),
            "seeds_above_0": sum(seed > 0 for seed in number.seeds),
            "distinguishable": number.distinguishable,
            **self._report(number, claim),
        }

    def _report(self, number: Number, claim: Claim | None) -> dict[str, Any]:
        if self.reported is None or claim is None:
            return {}
        theirs = None if claim.value is None else claim.value / 100
        return {
            "report": theirs,
            "relation": claim.relation,
            "source": claim.source,
            "ours_minus_report": None if theirs is None else number.value - theirs,
            "report_within": _within(number, claim),
        }

    def _claim(self, pair: Pair) -> Claim | None:
        """What the report says of a pair: in its text, or by two of its tables' numbers."""
        if self.reported is None:
            return None
        if pair.claim:
            return self.reported.claim(pair.claim)
        first, second = map(self._omega_reported, (pair.first, pair.second))
        if first is None or second is None:
            return None
        return Claim("", pair.title, round(first - second, 2), 2, "points of Ω", "equal",
                     "difference of two numbers of the report's")  # fmt: skip

    # ---- parts -----------------------------------------------------------------------------------

    @property
    def _figures(self) -> Figures:
        if self.figures is None:
            raise ValueError("this table needs scores")
        return self.figures

    def _omega_reported(self, name: str) -> float | None:
        """The report's Ω of an entry, per cent."""
        if self.reported is None:
            return None
        if name in TABLE_2:
            return self.reported.table2.omega[TABLE_2[name]]
        if name in TABLE_3:
            return {s.key: s.omega for s in self.reported.table3.steps}[TABLE_3[name]]
        claims = {"s3-dif": "dif_alone", "s3-eat": "eat_alone"}
        return self.reported.claim(claims[name]).value if name in claims else None

    def _number(self, number: Number, theirs: float | None) -> dict[str, Any]:
        told = {"value": number.value, "interval": list(number.interval),
                "seeds": list(number.seeds)}  # fmt: skip
        if theirs is None:
            return told
        share = theirs / 100
        told |= {"report": share, "ours_minus_report": number.value - share}
        return {**told, "report_within": number.holds(share, _half(2))}


_INTERVALS = (
    "Intervals are paired: a bootstrap draw takes the same test clips for all systems; where there "
    "are several seeds they are drawn too."
)
_ENSEMBLE = (
    "System 2, made of all seeds at once, stays as it is while seeds are drawn: how far an "
    "ensemble of other trainings would differ is not in its intervals."
)
_UNIT_LENGTH = (
    "L2 normalisation is 0.00 by construction: System 1's embeddings have length 1 already, and "
    "cosines see no length."
)
_DISTINGUISHABLE = (
    "Distinguishable: the interval leaves 0 out. Of many comparisons one in twenty does so by "
    "chance alone."
)


def _half(digits: int) -> float:
    """Half a unit of the last digit of a number of per cent, as a share."""
    return 0.5 * 10.0 ** (-digits - 2)


def _within(number: Number, claim: Claim) -> bool:
    """Does the interval leave room for what the report says, within its rounding?"""
    low = number.interval[0]
    if claim.value is None:
        return low <= 0  # "no meaningful improvement": not above 0
    # With two digits it is the difference of two numbers of a table, each of which was rounded.
    half = _half(claim.digits) * (2 if claim.digits > 1 else 1)
    theirs = claim.value / 100
    return low <= theirs + half if claim.relation == "at most" else number.holds(theirs, half)


def _against(number: Number, theirs: float | None) -> list[str]:
    if theirs is None:
        return [DASH, DASH, DASH]
    within = "yes" if number.holds(theirs / 100, _half(2)) else "no"
    return [f"{theirs:.2f}", points(number.value - theirs / 100), within]


def _interval(number: Number, shown: Any = per_cent) -> str:
    low, high = number.interval
    return f"{shown(low)} to {shown(high)}"


def _told(number: Number) -> str:
    return f"{per_cent(number.value)} ({_interval(number)})"


def _first(seeds: Sequence[int]) -> str:
    return (
        f"S1 is seed {seeds[0]} alone, as in Table 2; S2 is made of all seeds. Intervals draw test "
        "clips, the same for both sides; how far other trainings would differ is not in them."
    )


def _means(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return "One seed: how far other trainings would differ is not in the intervals."
    return f"Means over {len(seeds)} seeds where an encoder is trained."


def _these(seeds: Sequence[int]) -> str:
    return f"these {len(seeds)} seeds" if len(seeds) > 1 else "that seed alone"


def _seeds(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
