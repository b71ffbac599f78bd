"""The tables of a report, as texts in cells: HTML is the template's affair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfar.errors import in_shell, once_left_out
from nearfar.metrics.evaluation import RULES
from nearfar.report.anchors import load
from nearfar.report.condition import MachineCondition
from nearfar.report.contents import Contents, Panel
from nearfar.report.page import numeral, signed
from nearfar.scores.verdict import Verdict
from nearfar.text import counted, lasting

RUNS = 5  # runs of alarms named of each long recording
MANY = 40  # days and recordings listed; of more the first, and how many there are


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    >>> Cell("64.41", right=True).text
    '64.41'
    """

    text: str
    right: bool = False  # flush right, as numbers are
    note: str = ""  # smaller, below it
    link: str = ""  # a place in the page
    strong: bool = False


@dataclass(frozen=True)
class Grid:
    """A table of a page; its first column names the rows.

    >>> Grid("days", ("day", "alarms"), ((Cell("2026-06-15"), Cell("2", right=True)),)).rest
    ''
    """

    title: str  # what it shows, for those who do not see it
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    rest: str = ""  # what is not in it


def figures_table(contents: Contents) -> Grid:
    """A row a machine: its figures, the year's number with its interval, and what was called."""
    evaluated = contents.evaluated
    evaluation = evaluated.evaluation
    if evaluation is None:
        return Grid("", (), ())
    rule = RULES[evaluation.rule]
    mean = "hmean" if rule.mean == "harmonic" else "mean"
    titles = tuple(evaluated.machines[0].figures)
    rows = []
    for m in evaluated.machines:
        false, found = _called(contents, m.machine)
        rows.append((
            Cell(m.machine), *(_percent(v) for v in m.figures.values()),
            Cell(_hundred(m.total), right=True, strong=True), Cell(_bounds(m.interval), right=True),
            Cell(false, right=True), Cell(found, right=True),
        ))  # fmt: skip
    table = evaluation.table
    whole = [getattr(table[name], rule.mean) for name in (*rule.figures, "total")]
    rows.append((
        Cell("all", strong=True), *(_percent(v) for v in whole[:-1]),
        Cell(_hundred(whole[-1]), right=True, strong=True), Cell(evaluation.bounds, right=True),
        *(Cell(text, right=True) for text in _called(contents, None)),
    ))  # fmt: skip
    head = ("machine", *titles, mean, "95 % interval", "false alarms", "anomalies found")
    doubts: dict[str, list[str]] = {}
    for m in evaluated.machines:
        doubts.setdefault(m.doubt, []).append(m.machine)
    told = "; ".join(f"{', '.join(names)}: {doubt}" for doubt, names in doubts.items() if doubt)
    return Grid("figures of each machine, in per cent", head, tuple(rows),
                f"Intervals to be doubted. {told}." if told else "")  # fmt: skip


def alarms_table(contents: Contents) -> Grid:
    """A row a machine: how many clips it called anomalous, where there is nothing to hold it to."""
    rows = []
    some = contents.evaluated.bare  # of others the figures are told
    for panel in contents.panels:
        if some and panel.key[0] not in some:
            continue
        judged = len(panel.verdicts)
        asked = sum((v.clip.machine, v.clip.section) == panel.key for v in contents.judged.scores)
        worst = max(panel.verdicts, key=lambda v: v.percentile, default=None)
        rows.append((
            Cell(panel.name), Cell(f"{asked:,}", right=True),
            Cell(f"{asked - judged:,}", right=True),
            Cell(f"{panel.alarms:,}", right=True, strong=panel.alarms > 0),
            Cell(f"{100 * panel.alarms / judged:.1f} %" if judged else "–", right=True),
            Cell(f"{worst.percentile:.3f}" if worst else "–", right=True),
            Cell(" / ".join(numeral(t) for t in panel.thresholds.values()), right=True),
        ))  # fmt: skip
    head = (
        "machine",
        "clips",
        "not judged",
        "anomalous",
        "share",
        "highest percentile",
        "threshold",
    )
    return Grid("alarms of each machine", head, tuple(rows))


def published_table(contents: Contents) -> Grid | None:
    """Published systems beside this one; None where the data are not those they are about."""
    shown = [m for m in load().machines if m in contents.published]
    if not shown or not contents.evaluated.labelled:
        return None
    every = len(shown) == len(load().machines)
    ours = {m.machine: m.total for m in contents.evaluated.machines}
    evaluation = contents.evaluated.evaluation
    whole = _hundred(evaluation.score) if every and evaluation else "–"
    rows = [(Cell("this detector", strong=True), *(_percent(ours[m]) for m in shown),
             Cell(whole, right=True, strong=True))]  # fmt: skip
    for anchor in load().systems:
        cells = [Cell(f"{anchor.machines[m]:.2f}", right=True) for m in shown]
        rows.append((Cell(anchor.system), *cells, Cell(f"{anchor.omega:.2f}", right=True)))
    return Grid("published systems", ("system", *shown, "Ω"), tuple(rows))


def comparison_table(contents: Contents) -> Grid | None:
    """What this result is above the other, machine by machine."""
    both = contents.compared
    if both is None:
        return None
    ours = {m.machine: m.total for m in contents.evaluated.machines}
    rows = []
    for name, difference in both.machines.items():
        rows.append(_difference_row(name, ours[name], ours[name] - difference, difference,
                                    both.paired_machines.get(name)))  # fmt: skip
    evaluation = contents.evaluated.evaluation
    score = evaluation.score if evaluation else float("nan")
    rows.append(_difference_row("all", score, both.other.score, both.difference, both.paired))
    head = ("machine", "this", both.other.name, "difference", "95 % interval", "p")
    return Grid("this result and another, in per cent", head, tuple(rows))


def _difference_row(name: str, ours: float, theirs: float, difference: float, paired: Any) -> Any:
    interval = paired.interval if paired is not None else None
    ends = [signed(100 * v, digits=2) for v in interval or ()]
    bounds = " to ".join(ends) or "–"
    p = "–" if paired is None or paired.p is None else f"{paired.p:.3g}"
    return (Cell(name, strong=name == "all"), _percent(ours), _percent(theirs),
            Cell(signed(100 * difference, digits=2), right=True, strong=True),
            Cell(bounds, right=True),
            Cell(p, right=True))  # fmt: skip


def days_table(contents: Contents) -> Grid | None:
    """Alarms by day; None where no clip says its time."""
    if not contents.days:
        return None
    # The latest are what somebody opens the page for.
    shown = contents.days[-MANY:]
    rows = tuple(
        (Cell(f"{d.day:%Y-%m-%d %a}"), Cell(f"{d.clips:,}", right=True),
         Cell(f"{d.alarms:,}", right=True, strong=d.alarms > 0), Cell(f"{d.silent:,}", right=True))
        for d in shown
    )  # fmt: skip
    more = len(contents.days) - len(shown)
    rest = f"the last {len(shown)} of {len(contents.days)} days" if more else ""
    return Grid("alarms by day", ("day", "clips", "anomalous", "not judged"), rows, rest)


def recordings_tables(contents: Contents) -> list[tuple[str, str, Grid, Grid]]:
    """Each long recording: its name, a line, its worst minutes, its runs of alarms."""
    found = []
    for r in contents.recordings[:MANY]:
        line = (f"{lasting(r.seconds)}, {counted(r.clips, 'clip')}, {r.alarms:,} anomalous"
                + (f", {r.silent:,} not judged" if r.silent else ""))  # fmt: skip
        minutes = Grid(
            f"worst minutes of {r.name}", ("minute", "anomalous", "highest score"),
            tuple((Cell(_clock(m.start)), Cell(f"{m.alarms} of {m.clips}", right=True),
                   Cell(numeral(m.worst.score, 4), right=True)) for m in r.minutes),
        )  # fmt: skip
        runs = Grid(
            f"runs of alarms in {r.name}", ("from", "to", "clips", "highest score"),
            tuple((Cell(_clock(m.start)), Cell(_clock(m.stop)), Cell(f"{m.clips:,}", right=True),
                   Cell(numeral(m.worst.score, 4), right=True)) for m in r.runs[:RUNS]),
            f"and {len(r.runs) - RUNS:,} shorter ones" if len(r.runs) > RUNS else "",
        )  # fmt: skip
        found.append((r.name, line, minutes, runs))
    return found


def condition_table(contents: Contents) -> Grid:
    """What the recordings of each machine are like."""
    head = ("machine", "clips", "not judged", "length", "Hz", "near dBFS", "far dBFS",
            "near/far dB", "LR_corr", "γ²", "flat tops", "mask", "at floor", "looked at",
    )  # fmt: skip
    rows = []
    for c in contents.health.machines:
        mask = c.mask
        masked = (
            (numeral(mask.mean), f"{100 * mask.floor:.0f} %", f"{mask.clips} clips")
            if mask else ("–", "–", "–")
        )  # fmt: skip
        rates = ", ".join(f"{hz:,}" + f" ({n})" * (len(c.rates) > 1) for hz, n in c.rates.items())
        cells = (
            f"{c.clips:,}", f"{c.silent:,}", _length(c), rates or "–",
            _signed(c.near), _signed(c.far), _signed(c.ratio, "+"), _signed(c.correlation, "", 2),
            _signed(c.coherence, "", 2), f"{c.clipped:,}", *masked,
        )  # fmt: skip
        rows.append((Cell(c.machine), *(Cell(text, right=True) for text in cells)))
    return Grid("what the recordings are like", head, tuple(rows))


def top_table(
    panel: Panel, verdicts: Sequence[Verdict], places: Mapping[tuple[str, str], str]
) -> Grid:
    """The highest-scoring clips of a machine, with links to what explains them."""
    labels = {
        v.clip: (known.label if known else v.clip.label)
        for v, known in zip(panel.verdicts, panel.known, strict=True)
    }
    told = any(labels.values())  # a column of dashes would tell nobody anything
    rows = []
    for v in verdicts:
        time = f"{v.clip.time:%Y-%m-%d %H:%M:%S}" if v.clip.time else ""
        note = "; ".join(filter(None, (time, in_shell(once_left_out(v.warning)))))
        rows.append((
            Cell(v.clip.name, note=note, link=places.get((panel.name, v.clip.name), "")),
            Cell(numeral(v.score), right=True), Cell(f"{v.percentile:.3f}", right=True),
            Cell("▲ anomalous" if v.anomalous else "normal", strong=v.anomalous),
            *([Cell(labels[v.clip] or "–")] if told else []), Cell(v.nearest),
        ))  # fmt: skip
    label = ("label",) * told
    head = ("clip", "score", "percentile", "verdict", *label, "nearest normal clip")
    return Grid(f"highest-scoring clips of {panel.name}", head, tuple(rows))


def _length(c: MachineCondition) -> str:
    if not c.longest > 0:  # nan: nothing was heard
        return "–"
    alike = c.longest - c.shortest < 0.05
    return lasting(c.longest) if alike else f"{lasting(c.shortest)} to {lasting(c.longest)}"


def spread_table(panel: Panel) -> Grid:
    """How the scores of each kind of clip lie, and how many are above the threshold."""
    rows = []
    for kind, scores in panel.shown.items():
        # By domain where thresholds are; the threshold of all for who says no domain.
        limit = panel.thresholds.get(kind.rsplit(", ", 1)[-1], panel.thresholds.get(""))
        above = "–" if limit is None else f"{int((scores > limit).sum()):,}"
        three = (numeral(float(f(scores))) for f in (np.min, np.median, np.max))
        cells = (f"{len(scores):,}", *three, above)
        rows.append((Cell(kind), *(Cell(text, right=True) for text in cells)))
    limits = "; ".join(
        f"threshold{f' of {domain} clips' * bool(domain)} {numeral(value)}"
        for domain, value in panel.thresholds.items()
    )
    head = ("scores", "clips", "lowest", "median", "highest", "above threshold")
    return Grid(f"scores of {panel.name}", head, tuple(rows), limits)


def _called(contents: Contents, machine: str | None) -> tuple[str, str]:
    """False alarms of the normal clips, and anomalies found, each as "3 of 50"."""
    counts = {"normal": [0, 0], "anomaly": [0, 0]}
    for panel in contents.panels:
        if machine not in (None, panel.key[0]):
            continue
        for v, known in zip(panel.verdicts, panel.known, strict=True):
            label = known.label if known else v.clip.label
            if label:  # of the others nobody knows which they are
                counts[label][0] += v.anomalous
                counts[label][1] += 1
    false, found = (f"{a} of {n}" for a, n in counts.values())
    return false, found


def _percent(share: float) -> Cell:
    return Cell(_hundred(share), right=True)


def _hundred(share: float) -> str:
    return f"{100 * share:.2f}"


def _bounds(interval: tuple[float, float] | None) -> str:
    return "–" if interval is None else "–".join(_hundred(v) for v in interval)


def _signed(value: float, sign: str = "", digits: int = 1) -> str:
    return signed(value, sign, digits) if abs(value) < float("inf") else "–"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
