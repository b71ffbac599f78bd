"""What an evaluation holds: which figures, how a year summarises them, how the result is printed.

The figures are defined here once, as data (`FIGURES`, `RULES`); `nearfar.metrics.roc` measures
them, on the clips as they are and on every bootstrap draw. Sources: the official evaluators of 2021
and 2024.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfar.errors import DatasetError
from nearfar.text import aligned

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EPSILON = sys.float_info.epsilon  # the official guard: an AUC of 0 does not end the harmonic mean
DOMAINS = ("source", "target")


@dataclass(frozen=True)
class Figure:
    """One measured figure: which curve, over which clips.

    >>> FIGURES["auc_source"]
    Figure(title='AUC(s)', curve='auc', normal='source', anomaly='all')
    """

    title: str  # as tables print it
    curve: Literal["auc", "pauc"]
    normal: str  # the domain of its normal clips: "all", "source" or "target"
    anomaly: str  # the domain of its anomalies


FIGURES: Mapping[str, Figure] = {
    "auc": Figure("AUC", "auc", "all", "all"),
    "auc_source": Figure("AUC(s)", "auc", "source", "all"),
    "auc_target": Figure("AUC(t)", "auc", "target", "all"),
    "pauc": Figure("pAUC", "pauc", "all", "all"),
    "pauc_source": Figure("pAUC(s)", "pauc", "source", "source"),
    "pauc_target": Figure("pAUC(t)", "pauc", "target", "target"),
    "auc_within_source": Figure("AUC(s)", "auc", "source", "source"),
    "auc_within_target": Figure("AUC(t)", "auc", "target", "target"),
}


@dataclass(frozen=True)
class YearRule:
    """How a year makes one number of its figures.

    >>> RULES["omega"].figures
    ('auc_source', 'auc_target', 'pauc')
    >>> float(RULES["omega"].total([0.5, 1.0, 1.0]))
    0.75
    """

    name: str
    symbol: str
    auc: tuple[str, ...]  # figures, one for each domain
    pauc: tuple[str, ...]  # the same; a figure may stand for both domains
    mean: Literal["harmonic", "arithmetic"]

    @property
    def figures(self) -> tuple[str, ...]:
        """What the number is the mean of, each once."""
        return tuple(dict.fromkeys(self.auc + self.pauc))

    def total(
        self, values: ArrayLike, axis: int | tuple[int, ...] | None = None
    ) -> NDArray[np.float64]:
        """The mean that this rule takes, over `axis` or over everything."""
        if self.mean == "harmonic":
            return harmonic(values, axis)
        return np.asarray(np.mean(np.asarray(values), axis=axis), dtype=np.float64)


RULES: Mapping[str, YearRule] = {
    "omega": YearRule("omega", "Ω", ("auc_source", "auc_target"), ("pauc", "pauc"), "harmonic"),
    "2021": YearRule("2021", "score", ("auc_within_source", "auc_within_target"),
                 ("pauc_source", "pauc_target"), "harmonic"),
    "2020": YearRule("2020", "score", ("auc",), ("pauc",), "arithmetic"),
}  # fmt: skip


def harmonic(values: ArrayLike, axis: int | tuple[int, ...] | None = None) -> NDArray[np.float64]:
    """Harmonic mean over `axis` (None: all), each value at least the float epsilon."""
    guarded = np.maximum(np.asarray(values, dtype=np.float64), EPSILON)
    return np.asarray(1.0 / np.mean(1.0 / guarded, axis=axis), dtype=np.float64)


@dataclass(frozen=True)
class SectionResult:
    """The figures of one machine and section, 0–1; None where its clips cannot tell.

    >>> unknown = dict.fromkeys(SectionResult.__dataclass_fields__)
    >>> result = SectionResult(**unknown | {"auc": 0.9, "counts": {"normal": 10, "anomaly": 10}})
    >>> result["auc"], result["auc_source"]  # clips without domains
    (0.9, None)
    """

    auc: float
    pauc: float  # all clips, FPR ≤ 0.1, McClish
    auc_source: float | None  # source normals against the anomalies of both domains
    auc_target: float | None
    pauc_source: float | None  # within the domain; in the number of 2021 only
    pauc_target: float | None
    auc_within_source: float | None
    auc_within_target: float | None
    precision: float | None  # of the decisions; None without them
    precision_source: float | None
    precision_target: float | None
    recall: float | None
    recall_source: float | None
    recall_target: float | None
    f1: float | None
    f1_source: float | None
    f1_target: float | None
    counts: Mapping[str, int]  # clips by label and domain

    def __getitem__(self, figure: str) -> float | None:
        value: float | None = getattr(self, figure)
        return value


@dataclass(frozen=True)
class Means:
    """The mean of each kind of figure over sections and domains; None where a figure is None.

    >>> Means(auc=0.7, pauc=0.6, precision=None, recall=None, f1=None).pauc  # no decisions
    0.6
    """

    auc: float
    pauc: float
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Summary:
    """What the official evaluator prints below a machine, and at the end over all machines.

    >>> means = Means(auc=0.7, pauc=0.6, precision=None, recall=None, f1=None)
    >>> Summary(means, means, source_harmonic=None, target_harmonic=None).harmonic.auc
    0.7
    """

    arithmetic: Means
    harmonic: Means
    source_harmonic: Means | None  # None without domains
    target_harmonic: Means | None


@dataclass(frozen=True)
class TableRow:
    """One figure in the official summary table.

    >>> TableRow({"fan": 0.6, "pump": 0.8}, harmonic=0.69, arithmetic=0.7).machines["pump"]
    0.8
    """

    machines: Mapping[str, float]  # arithmetic mean over a machine's sections
    harmonic: float  # over all machines and sections
    arithmetic: float


@dataclass(frozen=True)
class Evaluation:
    """How good scores are against the truth.

    `str()` of it is a table in per cent; `to_dict()` is ready for JSON, all values 0–1.

    >>> from nearfar.metrics.official import evaluate
    >>> from nearfar.scores.join import ScoredFile, ScoreTable
    >>> from nearfar.scores.truth import LabelledFile, Truth
    >>> clips = {"source normal": 0.1, "target normal": 0.4, "source anomaly": 0.3,
    ...          "target anomaly": 0.9}
    >>> scores = ScoreTable(tuple(ScoredFile("fan", "00", f, s) for f, s in clips.items()))
    >>> truth = Truth(tuple(LabelledFile("fan", "00", f, *f.split()) for f in clips))
    >>> print(evaluate(scores, truth, draws=0))
    machine  AUC(s)  AUC(t)   pAUC  hmean
    fan      100.00   50.00  73.68  68.85
    all      100.00   50.00  73.68  68.85
    <BLANKLINE>
    Ω = 68.85 %
    """

    rule: str  # "omega" (since 2022), "2021" or "2020"
    score: float  # the year's number, 0–1
    interval: tuple[float, float] | None  # bootstrap over clips, percentiles; None: see `doubt`
    confidence: float
    draws: int
    machines: Mapping[str, Mapping[str, SectionResult]]  # by name and section
    summaries: Mapping[str, Summary]
    overall: Summary
    table: Mapping[str, TableRow]  # by figure, and "total": the number of each machine alone
    doubt: str = ""  # why there is no interval though there are draws, or why it is too narrow

    @property
    def omega(self) -> float | None:
        """Ω, 0–1; None where the year's number is not Ω."""
        return self.score if self.rule == "omega" else None

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        fields = asdict(self)
        fields["interval"] = list(self.interval) if self.interval else None
        return {"omega": self.omega, **fields}

    def __str__(self) -> str:
        rule = RULES[self.rule]
        columns = (*rule.figures, "total")
        titles = [FIGURES[name].title for name in rule.figures]
        lines = [["machine", *titles, "hmean" if rule.mean == "harmonic" else "mean"]]
        for machine, sections in self.machines.items():
            lines.append([machine, *_percent(self.table[c].machines[machine] for c in columns)])
            for section, result in sections.items() if len(sections) > 1 else ():
                values = _values(rule, [result])[0]
                lines.append([f"  {section}", *_percent([*values, float(rule.total(values))])])
        lines.append(["all", *_percent(getattr(self.table[c], rule.mean) for c in columns)])
        return "\n".join([aligned(lines), "", self.headline])

    @property
    def bounds(self) -> str:
        """The interval in per cent as tables print it; a dash where there is none."""
        if self.interval is None:
            return "–"
        low, high = self.interval
        return f"{100 * low:.2f}–{100 * high:.2f}"

    @property
    def headline(self) -> str:
        """The year's number and its interval, in one line."""
        rule = RULES[self.rule]
        text = f"{rule.symbol} = {100 * self.score:.2f} %"
        if rule.name != "omega":
            text += f" (rule of {rule.name})"
        if self.interval is None:
            return f"{text}, {self.doubt}" if self.doubt else text
        return (
            f"{text}, {100 * self.confidence:g} % interval {self.bounds} "
            f"({self.draws} bootstrap draws)" + (f"; {self.doubt}" if self.doubt else "")
        )


def summarise(
    rule: YearRule, machines: Mapping[str, Mapping[str, SectionResult]]
) -> tuple[dict[str, Summary], Summary, dict[str, TableRow]]:
    """The means of the official evaluator: by machine, over all, and its summary table."""
    by_machine = {machine: list(sections.values()) for machine, sections in machines.items()}
    everything = [result for results in by_machine.values() for result in results]
    summaries = {machine: _summary(rule, results) for machine, results in by_machine.items()}
    values = {machine: np.array(_values(rule, r)) for machine, r in by_machine.items()}
    pooled = np.concatenate(list(values.values()))  # (sections, figures)
    table = {
        name: TableRow(
            machines={machine: float(v[:, column].mean()) for machine, v in values.items()},
            harmonic=float(harmonic(pooled[:, column])),
            arithmetic=float(pooled[:, column].mean()),
        )
        for column, name in enumerate(rule.figures)
    }
    table["total"] = TableRow(
        machines={machine: float(rule.total(v)) for machine, v in values.items()},
        harmonic=float(harmonic(pooled)),
        arithmetic=float(pooled.mean()),
    )
    return summaries, _summary(rule, everything), table


def _summary(rule: YearRule, results: Sequence[SectionResult]) -> Summary:
    suffixes = [f"_{domain}" for domain in DOMAINS] if len(rule.auc) == 2 else [""]
    by_domain = [
        {"auc": auc, "pauc": pauc} | {f: f + suffix for f in ("precision", "recall", "f1")}
        for auc, pauc, suffix in zip(rule.auc, rule.pauc, suffixes, strict=True)
    ]  # kind of figure → its name in each domain

    def means(domains: Sequence[Mapping[str, str]], mean: Callable[[list[float]], Any]) -> Means:
        values: dict[str, Any] = {}
        for kind in by_domain[0]:
            figures = [result[domain[kind]] for domain in domains for result in results]
            known = [figure for figure in figures if figure is not None]
            values[kind] = float(mean(known)) if len(known) == len(figures) else None
        return Means(**values)

    return Summary(
        arithmetic=means(by_domain, np.mean),
        harmonic=means(by_domain, harmonic),
        source_harmonic=means(by_domain[:1], harmonic) if len(by_domain) == 2 else None,
        target_harmonic=means(by_domain[1:], harmonic) if len(by_domain) == 2 else None,
    )


def _values(rule: YearRule, results: Sequence[SectionResult]) -> list[list[float]]:
    """(sections, figures of the rule)."""
    rows = [[result[name] for name in rule.figures] for result in results]
    known = [[value for value in row if value is not None] for row in rows]
    if any(len(row) < len(rule.figures) for row in known):
        raise DatasetError(f"a figure of the rule {rule.name!r} is undefined; choose another rule")
    return known


def _percent(values: Iterable[float]) -> list[str]:
    return [f"{100 * value:.2f}" for value in values]
