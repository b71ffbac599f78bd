"""How often the bootstrap interval of Ω holds the true Ω: `python -m bench.interval_coverage`.

Writes docs/intervals.md. Scores are Gaussian, so the truth is a formula, not another sample.
"""

from __future__ import annotations

import os

# One core, before numpy starts its threads.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import sys  # noqa: E402
from dataclasses import dataclass  # noqa: E402

import numpy as np  # noqa: E402
from scipy.stats import norm  # noqa: E402

from bench.__main__ import OUTPUT, machine  # noqa: E402
from nearfar.files import write_text  # noqa: E402
from nearfar.metrics.coverage import COVERAGE, PAIRED, percentiles  # noqa: E402
from nearfar.metrics.evaluation import RULES  # noqa: E402
from nearfar.metrics.official import draw_figures  # noqa: E402
from nearfar.metrics.roc import MAX_FPR  # noqa: E402
from nearfar.scores.join import ScoredFile, ScoreTable  # noqa: E402
from nearfar.scores.truth import LabelledFile, Truth  # noqa: E402

MACHINES = tuple(COVERAGE)
CLIPS = tuple(COVERAGE[1])  # of each domain and label
APART = (0.5, 1.0, 2.0)  # how far anomalies lie above the normal clips, in standard deviations
SETS, DRAWS = 1500, 300

PAGE = """# How far the intervals can be trusted

Printed by `python -m bench.interval_coverage`; do not edit.

`nearfar evaluate` and, in Python, `nf.compare` give an interval: percentiles of a bootstrap
that draws clips again, with replacement, in each **cell**: a machine and
section, a domain (source, target), a label (normal, anomaly).
With few clips a cell that interval is too narrow, and it says so:

* **No interval** where all draws give the same number: one clip a cell, all scores equal, every
  anomaly above every normal clip. A bootstrap can only draw again what it has seen, so 100 to 100
  would be a promise that nobody measured. The line says why, `interval` is null in JSON, and so is
  p of a comparison. Two systems that agree in every draw, though the draws differ, do differ by
  0: that is known, not missing.
* **A warning** where a nominal 95 % interval held the truth in less than 90 % of simulated test
  sets of this size: "with 3 clips a cell a nominal 95 % interval covered 86 % in simulation". It
  goes by the smallest cell, the number of machines and sections, and the table below, each rounded
  down to a size that was simulated.
* **A line instead of a number** where a class or a domain is missing.

A perfect score is still an estimate. With n clips of a kind and none misjudged, misjudging as many
as 3/n of them fits as well (95 %; J. A. Hanley and A. Lippman-Hand, If nothing goes wrong, is
everything all right?, JAMA 249(13), 1983).

## Measured

Scores are Gaussian with a standard deviation of 1, anomalies lie {apart} above the normal clips, so
the true Ω are known: {omegas} %. {sets} test sets of each size, {draws} draws each. Share of the
intervals, in per cent, that hold the truth; 95 were promised. ΔΩ: two systems that are equally good
and share half of their noise. The last column: how many test sets get no interval.

| machines × clips a cell | Ω, {apart} | | | worst | ΔΩ, {apart} | | | worst | none |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{table}

With 20 clips a cell and more the intervals are nearly what they promise. The official test sets
have 50 a cell. All this holds for clips that are independent: clips cut from one recording are not,
and no bootstrap over clips can know.

Machine: {machine}.
"""


def truth_of(apart: float) -> float:
    """Ω of the populations N(0, 1) and N(apart, 1), the same in both domains."""
    auc = norm.cdf(apart / np.sqrt(2))
    rates = np.linspace(0, MAX_FPR, 200_001)[1:]
    area = np.mean(norm.cdf(apart + norm.ppf(rates))) * MAX_FPR
    chance = MAX_FPR**2 / 2
    pauc = 0.5 * (1 + (area - chance) / (MAX_FPR - chance))
    return float(RULES["omega"].total([auc, auc, pauc]))


def files(machines: int, clips: int) -> tuple[list[tuple[str, str]], Truth]:
    """(machine, file) of each clip, and the labels."""
    rows = tuple(
        LabelledFile(f"m{m}", "00", f"{domain}_{label}_{c}.wav", domain, label)
        for m in range(machines)
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for c in range(clips)
    )
    return [(row.machine, row.file) for row in rows], Truth(rows)


def counted(machines: int, clips: int, apart: float) -> Counts:
    """Of many test sets, each judged by two equally good systems: which intervals hold the truth.

    The systems' noise is half shared, as that of two systems on the same clips is.
    """
    names, truth = files(machines, clips)
    raised = apart * np.array([row.label == "anomaly" for row in truth.rows])
    true, rng, counts = truth_of(apart), np.random.default_rng([machines, clips]), Counts()
    for _ in range(SETS):
        shared, *own = rng.normal(size=(3, len(names)))
        systems = [table(names, (shared + one) / np.sqrt(2) + raised) for one in own]
        found = draw_figures(systems, truth, draws=DRAWS, seed=rng)
        drawn = found.rule.total(found.drawn, axis=(2, 3))  # (systems, draws)
        low, high = percentiles(drawn[0])
        if low < high:
            counts.given += 1
            counts.hold += low <= true <= high
        low, high = percentiles(drawn[0] - drawn[1])
        if low < high:
            counts.paired_given += 1
            counts.paired_hold += low <= 0 <= high
    return counts


def table(names: list[tuple[str, str]], scores: np.ndarray) -> ScoreTable:
    rows = (ScoredFile(m, "00", f, float(s)) for (m, f), s in zip(names, scores, strict=True))
    return ScoreTable(tuple(rows))


@dataclass
class Counts:
    """How many test sets had an interval of Ω, or of ΔΩ, and how many of these hold the truth."""

    given: int = 0
    hold: int = 0
    paired_given: int = 0
    paired_hold: int = 0


def row(machines: int, clips: int) -> str:
    found = [counted(machines, clips, apart) for apart in APART]
    shares = [100 * c.hold / max(c.given, 1) for c in found]
    paired = [100 * c.paired_hold / max(c.paired_given, 1) for c in found]
    none = 100 * (1 - sum(c.given for c in found) / (SETS * len(found)))
    cells = [*(f"{x:.1f}" for x in shares), f"**{min(shares):.0f}**",
             *(f"{x:.1f}" for x in paired), f"**{min(paired):.0f}**", f"{none:.1f}"]  # fmt: skip
    said = COVERAGE[machines][clips], PAIRED[machines][clips]
    if (round(min(shares)), round(min(paired))) != said:  # the code says what this page measures
        print(f"{machines} × {clips}: the code says {said}", file=sys.stderr)
    return f"| {machines} × {clips} | " + " | ".join(cells) + " |"


def main() -> None:
    lines = []
    for machines in MACHINES:
        for clips in CLIPS:
            lines.append(row(machines, clips))
            print(lines[-1], file=sys.stderr, flush=True)
    text = PAGE.format(sets=SETS, draws=DRAWS, table="\n".join(lines), machine=machine(),
                       apart=", ".join(f"{a:g}" for a in APART),
                       omegas=", ".join(f"{100 * truth_of(a):.1f}" for a in APART))  # fmt: skip
    write_text(OUTPUT.with_name("intervals.md"), text)


if __name__ == "__main__":
    main()
