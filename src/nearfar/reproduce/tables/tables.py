"""The report's tables made of our figures, beside the report's own where they may stand there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from nearfar.reproduce.entries import ENTRIES, PAIRS, Difference, TableName, entries_of
from nearfar.reproduce.reported import Reported, Statement
from nearfar.reproduce.tables.configurations import configurations
from nearfar.reproduce.tables.numbers import CONFIDENCE, Figures, Number
from nearfar.reproduce.tables.table import DASH, Column, Table, per_cent, points
from nearfar.training.settings import FineTuning

TABLE_2 = {"s1": "S1", "s2": "S2", "s3": "S3", "s4": "S4"}  # entry → the report's name
TABLE_3 = {"frozen": "frozen", "near": "fine_tuned", "s1": "masked"}  # entry → row
TEXT = {"s3-dif": "dif_alone", "s3-eat": "eat_alone"}  # entry → the claim that gives its Ω
MASKED = "+ Coherence mask, w = 0.7"  # what Table 3 calls System 1
SINGLE = (  # what the text says of one figure of one machine: claim, machine, figure, two entries
    ("bearing_pauc", "bearingEmu", "pAUC", "s4", "s1"),
    ("fan_auc_source", "fan", "AUC(s)", "s4", "s1"),
    ("gearbox_auc_target", "gearboxEmu", "AUC(t)", "s2", "s4"),
    ("valve_pauc", "valveEmu", "pAUC", "s2", "s4"),
)
CAPTIONS = {
    "2": "Table 2: every machine, all four systems",
    "3": "Table 3: the components of System 1",
    "text": "Comparisons of the text",
    "readings": "Other readings of Systems 3 and 4",
}
YES = {True: "yes", False: "no", None: DASH}
INTERVAL = f"{100 * CONFIDENCE:g} % interval"


@dataclass(frozen=True)
class NumberRow:
    """A number of ours and what the report says in its place: a row of a table and of the JSON.

    >>> said = Statement("", "", 64.41, 2, "%", "equal", "")
    >>> row = NumberRow({}, Number(0.65, (0.64, 0.66), (0.65,)), said)
    >>> row.cell(row.number.value), row.told, row.within
    ('65.00', '64.41', True)
    """

    about: Mapping[str, str]  # its title, and names of entries, as the JSON has them
    number: Number
    said: Statement | None  # None where the report says nothing, or may not stand beside ours
    difference: bool = False  # of two entries: shown in points

    @property
    def theirs(self) -> float | None:
        """The report's number, 0–1."""
        return None if self.said is None or self.said.value is None else self.said.value / 100

    @property
    def minus(self) -> float | None:
        """Ours minus the report's."""
        return None if self.theirs is None else self.number.value - self.theirs

    @property
    def within(self) -> bool | None:
        """Does the interval leave room for what the report says, within its rounding?"""
        if self.said is None:
            return None
        low, theirs, digits = self.number.interval[0], self.theirs, self.said.digits
        if theirs is None:
            return low <= 0  # "no meaningful improvement": not above 0
        half = 0.5 * 10.0 ** (-digits - 2)  # a unit of the last digit of a number of per cent
        if self.difference and digits > 1:  # of two numbers of a table, each of which was rounded
            half *= 2
        at_most = self.said.relation == "at most"
        return low <= theirs + half if at_most else self.number.holds(theirs, half)

    def cell(self, share: float | None, digits: int = 2) -> str:
        """A share as this row shows it; a dash for None."""
        return points(share, digits) if self.difference else per_cent(share, digits)

    @property
    def seeds(self) -> str:
        """Each seed's number, where there are several."""
        each, digits = self.number.seeds, 1 if self.difference else 2
        return " ".join(self.cell(v, digits) for v in each) if len(each) > 1 else DASH

    @property
    def told(self) -> str:
        """What the report says."""
        if self.said is None or self.theirs is None:
            return DASH if self.said is None else "no gain"
        bound = "≤ " if self.said.relation == "at most" else ""
        return bound + self.cell(self.theirs, self.said.digits)

    def to_data(self) -> dict[str, Any]:
        """JSON-ready, in full precision."""
        number, told = self.number, dict[str, Any](self.about)
        told["difference" if self.difference else "value"] = number.value
        told |= {"interval": list(number.interval), "seeds": list(number.seeds)}
        if self.difference:
            told["seeds_above_0"] = sum(seed > 0 for seed in number.seeds)
            told["distinguishable"] = number.distinguishable
        if self.said is not None:
            told["report"] = self.theirs
            if self.difference:
                told |= {"relation": self.said.relation, "source": self.said.source}
            told |= {"ours_minus_report": self.minus, "report_within": self.within}
        return told


@dataclass(frozen=True)
class Tables:
    """Makes tables.

    >>> Tables(None, None, seeds=(0,), training=FineTuning(), classes=42).make("1")[0].title
    'Table 1: the systems'
    """

    figures: Figures | None  # of all entries that the tables need; None where none does
    reported: Reported | None  # None where its numbers may not stand beside ours
    seeds: Sequence[int]
    training: FineTuning
    classes: int  # proxy classes of the training clips

    def make(self, name: TableName) -> list[Table]:
        """The tables that belong to a name of `--table`; the stereo statistics stand apart."""
        if name == "1":
            return [configurations(self.training, self.reported, len(self.seeds))]
        if name == "2":
            return [self.machines(), self.pairs("2"), *self.single()]
        if name == "3":
            return [self.omegas("table3", CAPTIONS["3"], TABLE_3, s1=MASKED), self.pairs("3")]
        entries = [entry.name for entry in entries_of([name])]
        title = f"{CAPTIONS[name]}: the systems"
        return [self.omegas(f"{name}-systems", title, entries), self.pairs(name)]

    def machines(self) -> Table:
        """Table 2: every machine and figure; System 1 is its first seed, as the report's is one."""
        figures = self._figures
        own = {  # system → machine → figure, 0–1
            name: {m: dict(zip(figures.titles, values, strict=True))
                   for m, values in figures.machines(name).items()}
            for name in (*TABLE_2, "logmel")
        }  # fmt: skip
        omegas = {name: NumberRow({}, figures.omega(name, 0), self._omega(name)) for name in own}
        data = {"figures": own, **self._beside(own)}
        columns: list[Column] = [("machine", itemgetter(0)), ("figure", itemgetter(1))]

        def add(head: str, shown: Any, of: Any, total: float | None, interval: str = "") -> None:
            cells = {(m, title): shown(v) for m in of for title, v in of[m].items()}
            cells |= {("all", figures.symbol): shown(total), ("", INTERVAL): interval}
            columns.append((head, cells.__getitem__))

        for name, row in omegas.items():
            head = TABLE_2.get(name, "floor (log-mel)")
            add(head, per_cent, own[name], row.number.value, _interval(row.number))
            if row.said is not None:
                add("report", per_cent, data["report_figures"][name], row.theirs)
                add("Δ", points, data["figures_minus_report"][name], row.minus)
        places = [(machine, title) for machine, of in own["s4"].items() for title in of]
        places += [("all", figures.symbol), ("", INTERVAL)]
        data["omega"] = {name: row.to_data() for name, row in omegas.items()}
        return Table.of("table2", CAPTIONS["2"], columns, places, [self._about_table_2()], data)

    def _beside(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """The report's figures, 0–1, and ours minus those; nothing without the report."""
        if self.reported is None:
            return {}
        said, report, minus = self.reported.table2.machines, {}, {}
        for name, system in TABLE_2.items():
            of = {m: {t: said[m][t][system] / 100 for t in row} for m, row in own[name].items()}
            report[name] = of
            minus[name] = {m: {t: v - of[m][t] for t, v in row.items()}
                           for m, row in own[name].items()}  # fmt: skip
        return {"report_figures": report, "figures_minus_report": minus}

    def _about_table_2(self) -> str:
        figures, several, mean = self._figures, len(self.seeds) > 1, self._figures.omega("s1")
        return (
            f"Per cent. S1 is seed {self.seeds[0]}; over "
            f"{f'{len(self.seeds)} seeds' if several else 'one seed'} its {figures.symbol} is "
            f"{per_cent(mean.value)} ({_interval(mean)}). S2 is the ensemble of "
            f"{f'these {len(self.seeds)} seeds' if several else 'that seed alone'}. "
            f"Intervals: {figures.drawn.drawn.shape[1]:,} bootstrap draws of the test clips."
        )

    def single(self) -> list[Table]:
        """What the text says of single figures of Table 2; nothing without the report."""
        if self.reported is None:
            return []
        rows = []
        for key, machine, metric, first, second in SINGLE:
            place = self._figures.titles.index(metric)
            found = self._figures.machine(first, machine, place, second)
            about = {"title": f"{machine}, {metric}: {TABLE_2[first]} over {TABLE_2[second]}"}
            rows.append(NumberRow(about, found, self.reported.claim(key), difference=True))
        title, notes = "What the text says of Table 2", [_FIRST.format(seed=self.seeds[0])]
        return [self._table("table2-text", title, "", rows, notes)]

    def omegas(self, name: str, title: str, entries: Iterable[str], **titles: str) -> Table:
        """Ω of some entries, means over seeds; `titles` stand in place of an entry's own."""
        rows = []
        for entry in entries:
            about = {"entry": entry, "title": titles.get(entry, ENTRIES[entry].title)}
            rows.append(NumberRow(about, self._figures.omega(entry), self._omega(entry)))
        return self._table(name, title, "", rows, [self._about_means()])

    def pairs(self, name: TableName) -> Table:
        """Differences of a table's pairs, each with its interval."""
        rows = []
        for pair in PAIRS[name]:
            about = {"title": pair.title, "first": pair.first, "second": pair.second}
            found = self._figures.difference(pair)
            rows.append(NumberRow(about, found, self._said(pair), difference=True))
        notes = [self._about_means(), _DISTINGUISHABLE]
        if any("s2" in (pair.first, pair.second) for pair in PAIRS[name]) and len(self.seeds) > 1:
            notes.append(_ENSEMBLE)
        if name == "text":
            theirs = self.reported and f"; {self.reported.data.proxy_classes} in the report"
            told = f"{theirs} (docs/decisions.md)" if theirs else ""
            notes += [_UNIT_LENGTH, f"Proxy classes in training: {self.classes}{told}."]
        if name == "readings":
            notes.append(_READINGS)
        title, first = f"{CAPTIONS[name]}: differences", f"Δ{self._figures.symbol}"
        return self._table(f"{name}-differences", title, first, rows, notes)

    def _table(
        self, name: str, title: str, first: str, rows: Sequence[NumberRow], notes: Sequence[str]
    ) -> Table:
        """Of rows of one kind; `first` stands above their titles."""
        differences = rows[0].difference
        columns: list[Column] = [
            (first, lambda row: row.about["title"]),
            ("points" if differences else f"{self._figures.symbol}, %",
             lambda row: row.cell(row.number.value)),
            (INTERVAL, lambda row: _interval(row.number, row.cell)),
            ("each seed", lambda row: row.seeds),
        ]  # fmt: skip
        if differences:
            columns.append(("distinguishable", lambda row: YES[row.number.distinguishable]))
        if self.reported is not None:
            columns.append(("report", lambda row: row.told))
            columns.append(("Δ", lambda row: points(row.minus)))
            columns.append(("report within", lambda row: YES[row.within]))
        data = {"comparisons" if differences else "rows": [row.to_data() for row in rows]}
        return Table.of(name, title, columns, rows, notes, data)

    def _omega(self, name: str) -> Statement | None:
        """What the report gives as an entry's Ω."""
        if self.reported is None:
            return None
        name = ENTRIES[name].reads or name
        if name in TABLE_2:
            return _equal(self.reported.table2.omega[TABLE_2[name]])
        if name in TABLE_3:
            return _equal({c.key: c.omega for c in self.reported.table3.steps}[TABLE_3[name]])
        return self.reported.claim(TEXT[name]) if name in TEXT else None

    def _said(self, pair: Difference) -> Statement | None:
        """What the report says of a pair: in its text, or by two of its tables' numbers."""
        if self.reported is None:
            return None
        if pair.claim:
            return self.reported.claim(pair.claim)
        first, second = self._omega(pair.first), self._omega(pair.second)
        if ENTRIES[pair.first].reads:  # two readings of one number
            return None
        if first is None or first.value is None or second is None or second.value is None:
            return None
        return _equal(round(first.value - second.value, 2))

    @property
    def _figures(self) -> Figures:
        if self.figures is None:
            raise ValueError("this table needs scores")
        return self.figures

    def _about_means(self) -> str:
        told = f"Means over {len(self.seeds)} seeds where an encoder is trained."
        return f"{_ONE_SEED if len(self.seeds) == 1 else told} {_INTERVALS}"


_FIRST = (
    "S1 is seed {seed} alone, as in Table 2; S2 is made of all seeds. Intervals draw test clips, "
    "the same for both sides; how far other trainings would differ is not in them."
)
_ONE_SEED = "One seed: how far other trainings would differ is not in the intervals."
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
_READINGS = (
    "Literal self-scores of fewer clips than dimensions send new normal clips to percentile 1, "
    "where all are tied."
)
_DISTINGUISHABLE = (
    "Distinguishable: the interval leaves 0 out. Of many comparisons one in twenty does so by "
    "chance alone."
)


def _equal(value: float) -> Statement:
    """A number of the report's tables, or a difference of two."""
    source = "difference of two numbers of the report's"
    return Statement("", "", value, 2, "", "equal", source)


def _interval(number: Number, shown: Any = per_cent) -> str:
    low, high = number.interval
    return f"{shown(low)} to {shown(high)}"
