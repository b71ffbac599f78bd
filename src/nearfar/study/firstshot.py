"""The first-shot view: machines that nobody chose a setting on, with their labels or before them.

Of machines without labels: scores, thresholds, alarms and how alike both domains sound, and no Ω.
Of development and evaluation machines, where a ground truth tells the latter's labels: both Ω side
by side. A system that was chosen on the first falls on the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfar.errors import SettingError
from nearfar.metrics.coverage import percentiles
from nearfar.metrics.evaluation import FIGURES, RULES, Evaluation
from nearfar.metrics.official import bootstrap, evaluate
from nearfar.scores.join import ScoreTable
from nearfar.scores.truth import Truth, section_name
from nearfar.scores.verdict import Scores
from nearfar.study.balance import apart, held_out
from nearfar.study.data import SCHEMA
from nearfar.study.labels import Key, key_of
from nearfar.text import aligned, named
from nearfar.version import versions

if TYPE_CHECKING:
    from nearfar.detector.detector import Detector
    from nearfar.metrics.official import RuleName

SIDES = ("dev", "eval")


@dataclass(frozen=True)
class Unjudged:
    """What can be said of one machine and section without labels.

    >>> row = Unjudged("Sander", "00", 200, 31, 1.2, expected=0.1, source=990, target=10)
    >>> row.cells[:5]
    ['Sander', '200', '31', '15.5 %', '1.2']
    """

    machine: str
    section: str
    clips: int
    anomalous: int
    threshold: float  # unit of the scores
    expected: float  # share of normal clips above it, at most, 0–1
    source: int  # held-out normal clips
    target: int
    distance: float | None = None  # of the two domains' self-scores, 0–1; None: too few clips

    @property
    def cells(self) -> list[str]:
        """What a table shows."""
        # Since 2023 there is one section, whose number says nothing.
        name = self.machine if self.section == "00" else f"{self.machine} {self.section}"
        share = f"{100 * self.anomalous / self.clips:.1f} %" if self.clips else "–"
        apart = "–" if self.distance is None else f"{self.distance:.3f}"
        return [
            name, str(self.clips), str(self.anomalous), share,
            f"{self.threshold:.6g}", f"{100 * self.expected:.3g} %", f"{self.source}/{self.target}",
            apart,
        ]  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        return {
            "machine": self.machine, "section": self.section, "clips": self.clips,
            "anomalous": self.anomalous, "threshold": self.threshold, "expected": self.expected,
            "source": self.source, "target": self.target, "balance": self.distance,
        }  # fmt: skip


def unjudged(detector: Detector, scores: Scores, keys: Sequence[Key]) -> tuple[Unjudged, ...]:
    """A row for each section of some, of what a detector said about its clips."""
    normals = {(m, section_name(s)): held for (m, s), held in held_out(detector).items()}
    places = {(m, section_name(s)): (m, s) for m, s in detector.sections}
    rows = []
    for key in keys:
        mine = [v for v in scores.judged if key_of(v.clip) == key]
        held, drawn = normals[key], detector.threshold(*places[key])
        rows.append(
            Unjudged(
                *key,
                clips=len(mine),
                anomalous=sum(v.anomalous for v in mine),
                threshold=drawn.value,
                expected=drawn.expected,
                source=len(held.source),
                target=len(held.target),
                distance=apart(held) if held.enough else None,
            )
        )
    return tuple(rows)


def listed(rows: Sequence[Unjudged]) -> str:
    """The rows as a person reads them."""
    head = ["machine", "clips", "anomalous", "share", "threshold", "normal", "held out", "balance"]
    machines = named(list(dict.fromkeys(row.machine for row in rows)))
    return "\n".join(
        [
            aligned([head, *(row.cells for row in rows)]),
            "normal: share of normal clips above the threshold, at most; held out: source/target "
            "clips; balance: the",
            "Kolmogorov–Smirnov distance of their self-scores, 0 where both domains sound alike.",
            f"No labels of {machines}, so no Ω of them; give the ground truth with --truth FILE.",
        ]
    )


@dataclass(frozen=True)
class View:
    """A data set without any label: what its machines' clips score, and no Ω.

    >>> row = Unjudged("Sander", "00", 200, 31, 1.2, expected=0.1, source=990, target=10)
    >>> View((row,), ScoreTable(()), settings={}).as_dict()["omega"] is None
    True
    """

    rows: tuple[Unjudged, ...]
    scores: ScoreTable
    settings: Mapping[str, Any]
    heading: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What a person reads."""
        return "\n".join([*self.heading, listed(self.rows), *self.lines])

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        return {
            "schema": SCHEMA,
            "omega": None,
            "unlabelled": [row.as_dict() for row in self.rows],
            "scores": [
                {"machine": r.machine, "section": r.section, "file": r.file, "score": r.score,
                 "anomalous": r.decision}
                for r in self.scores.rows
            ],
            "settings": dict(self.settings),
            "versions": versions(),
        }  # fmt: skip


# ---- dev and eval ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Sides:
    """Ω of development machines and of evaluation machines, 0–1; the difference is eval − dev.

    Their clips are others, so nothing is paired: the interval is of independent draws.

    >>> from nearfar.scores.join import ScoredFile
    >>> from nearfar.scores.truth import LabelledFile
    >>> kinds = [f"{d} {k}" for d in ("source", "target") for k in ("normal", "anomaly")]
    >>> files = [(machine, kind) for machine in ("fan", "Sander") for kind in kinds]
    >>> truth = Truth(tuple(LabelledFile(m, "00", f, *f.split()) for m, f in files))
    >>> scores = ScoreTable(tuple(ScoredFile(m, "00", f, len(f) * (m == "fan")) for m, f in files))
    >>> found = Sides.of(scores, truth, ([("fan", "00")], [("Sander", "00")]), None)
    >>> found.dev.score, found.eval.score, found.difference
    (1.0, 0.5, -0.5)
    """

    dev: Evaluation
    eval: Evaluation
    difference: float
    interval: tuple[float, float] | None

    @classmethod
    def of(
        cls, scores: ScoreTable, labels: Truth, sides: tuple[Sequence[Key], Sequence[Key]],
        rule: RuleName | None,
    ) -> Sides:  # fmt: skip
        """Judge both.

        Raises:
            SettingError: a side without sections.
            DatasetError: as `evaluate`.
        """
        if not all(sides):
            empty = SIDES[0 if not sides[0] else 1]
            raise SettingError(
                f"no labelled clips of {empty}; nothing stands beside the other side"
            )
        found, drawn = [], []
        # The same seed for both, so that each interval is the one that its side has alone.
        for keys in sides:
            own, truth = part_of(scores, labels, keys)
            found.append(evaluate(own, truth, rule=rule))
            drawn.append(bootstrap(own, truth, rule=rule))
        dev, other = found
        both = dev.interval is not None and other.interval is not None
        limits = percentiles(drawn[1] - drawn[0]) if both else None
        return cls(dev, other, other.score - dev.score, limits)

    @property
    def text(self) -> str:
        """What a person reads."""
        rule = RULES[self.dev.rule]
        rows = [["", *SIDES, "eval − dev"]]
        for name in rule.figures:
            one, other = (getattr(e.table[name], rule.mean) for e in (self.dev, self.eval))
            rows.append([FIGURES[name].title, *_percent(one, other), _signed(other - one)])
        rows.append([rule.symbol, *_percent(self.dev.score, self.eval.score),
                     _signed(self.difference)])  # fmt: skip
        moved = "–" if self.interval is None else " to ".join(map(_signed, self.interval))
        rows.append([f"{100 * self.dev.confidence:g} %", self.dev.bounds, self.eval.bounds, moved])
        blocks = [
            f"{name}:\n{_table(e)}" for name, e in zip(SIDES, (self.dev, self.eval), strict=True)
        ]
        # Of intervals; below both, for it is said of either.
        doubts = dict.fromkeys(e.doubt for e in (self.dev, self.eval) if e.doubt)
        return "\n\n".join([*blocks, "\n".join([aligned(rows), *doubts])])

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; values 0–1."""
        return {
            "dev": self.dev.to_dict(),
            "eval": self.eval.to_dict(),
            "eval_minus_dev": {
                "difference": self.difference,
                "interval": None if self.interval is None else list(self.interval),
            },
        }


def part_of(scores: ScoreTable, labels: Truth, keys: Sequence[Key]) -> tuple[ScoreTable, Truth]:
    """Scores and labels of some sections."""
    wanted = frozenset(keys)
    rows = (r for r in scores.rows if (r.machine, section_name(r.section)) in wanted)
    truth = (r for r in labels.rows if (r.machine, section_name(r.section)) in wanted)
    return ScoreTable(tuple(rows)), Truth(tuple(truth))


def _table(evaluation: Evaluation) -> str:
    # Its number stands below, beside the other's.
    return str(evaluation).rpartition("\n\n")[0]


def _percent(*values: float) -> list[str]:
    return [f"{100 * value:.2f}" for value in values]


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}"
