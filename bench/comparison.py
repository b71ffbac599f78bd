"""Writes docs/compare.md: `python -m bench.comparison`. Its examples are printed by the program.

A data set is simulated, System 4 is evaluated with three seeds and `logmel` once; two minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.__main__ import OUTPUT
from nearfar import sim
from nearfar.files import write_text
from nearfar.metrics.contest import contest
from nearfar.scores.join import ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth
from nearfar.study.data import simulated_label

Values = NDArray[np.float64]

WRITTEN = OUTPUT.with_name("compare.md")
SEEDS = (0, 1, 2)

# {name}: what a command printed.
PAGE = """# Comparing results

Printed by `python -m bench.comparison`; do not edit. The examples are {label}: how to read them
is the point, not the numbers.

```
nearfar evaluate recordings -s s4 --json s4.json
nearfar evaluate recordings -s logmel --json logmel.json
nearfar compare s4.json logmel.json
```

A comparison needs the scores of every clip, not Ω alone: an `evaluate --json` of now has them,
with their labels. Every bootstrap draw takes the same clips for both, so what is hard for both
cancels out.

```text
{two}
```

* **The table** has all figures of each machine and the difference. Behind ± is one standard
  error: for an AUC and for the difference of two it is DeLong's, a formula without chance; for
  pAUC and means it is the bootstrap's. A difference of less than two of them says little, and of
  28 numbers one or two lie beyond that by chance.
* **Ω and its interval** are those of `nearfar evaluate`, to the last digit.
* **The difference** has an interval and a p, both from the paired draws. p says how often a draw
  turns the difference round, twice the rarer side; the smallest that 2000 draws can give is 0.001
  (`--draws`).
* **The words**: *distinguishable* if the interval leaves out 0 and p is at most 0.05
  (`--confidence`). *Not distinguishable* is no proof that two systems are equal: the line says
  how large a difference must be to show on these clips, and how many times the clips this one
  would take.

The official development set has 7 machines with 50 clips of each domain and label. Its Ω has a
standard deviation of 1.2 points over fresh test sets, and a difference of two systems whose
scores correlate by 0.9 counts from 1.1 points on, by 0.5 from 2.4 on. The best of ten equal
variants (0.9) has an Ω that is 0.6 points too high for no reason but that it is the best: choose
with `nearfar evaluate --choose lomo`, then compare. (These four numbers are of a simulation
calibrated to the report's System 1, whose program is not in this repository.)

## Several seeds

```
nearfar evaluate recordings -s s4 --set seed=1 --json s4-1.json
nearfar evaluate recordings -s s4 --set seed=2 --json s4-2.json
nearfar compare logmel.json s4=s4.json,s4-1.json,s4-2.json
```

`NAME=A,B,C` are runs of one system that differ in their seed. They are grouped by whoever names
them: two trainings of one recipe differ in weights, and no file tells these from those of another
recipe.

```text
{seeds}
```

A system stands for the mean of its runs, with their standard deviation beside the interval over
clips: two different things. The difference has both in it. Clips are drawn again as before; to
each draw comes what other seeds might have done, s/√k times a Student t of k − 1 degrees of
freedom for a group of k runs with standard deviation s. For two runs that is a factor of 12.7,
for three of 4.3, for five of 2.8: two seeds tell next to nothing. s also holds what single clips
do to a run, which is counted twice and makes the interval rather too wide. In a simulation of two
equal systems of 3 runs each, {rounds} times with fresh clips and fresh seeds, the nominal 95 %
interval held the truth in {held} %; one over clips alone in {without} %.

Of one run nothing is known about other seeds, which the last line says. A system that trains
nothing and draws nothing has no such spread.

## Score files of anyone

```
nearfar compare --scores my_scores/ other_scores/ --truth truth.csv
```

Folders with `anomaly_score_<machine>_section_<nn>_test.csv` in the official form are compared
like evaluations, and may be mixed with them; the labels are those of `--truth`, or of the first
evaluation. Tables of `nearfar score --json` or `--csv` are taken too, and so is a system in a
package: `submission.zip/1`. What fits ill is refused in one line:

* results of other clips, with how many and which, a line for each result;
* one result twice, a score that is no number, a file without scores of clips, other labels for
  one clip;
* results judged by rules of different years (`--rule` judges all by one; 2020 and 2021 work as
  well);
* scores that were ranked or scaled within the test set. With `--transductive` they are compared,
  and the word stands beside each of their numbers.

## Many systems

```
nearfar compare s4.json logmel.json s4-1.json --holm
nearfar compare s4.json s4-1.json logmel.json --against logmel --holm -o page.html --csv out.csv
```

Each is compared with each, or with one by `--against`. Of 20 comparisons of equal systems one on
average is "distinguishable" at 5 %, so from three on a line says so. `--holm` raises each p by
Holm's step-down method: then the chance of even one false claim among all is at most 5 %,
whatever the systems have in common.

`--json` and `--csv` have every figure with its error, in shares of 1:
[File formats](outputs.md#compare). `-o page.html` writes a page with pictures of all intervals (as
of `nearfar report`, it needs `nearfar[report]`). In Python, `nf.compare(a, b)` is one pair.

References: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap, 1993; E. R. DeLong et
al., Biometrics 44(3), 1988, by the midranks of X. Sun and W. Xu, IEEE Signal Processing Letters
21(11), 2014, held to the numbers of R's pROC in our tests; S. Holm, Scandinavian Journal of
Statistics 6(2), 1979. How far a bootstrap interval can be trusted with few clips:
[Intervals](intervals.md).
"""


def main() -> None:
    """Simulate, evaluate, compare, and write the page."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sim.simulate(root / "recordings", "small", 0)
        label = simulated_label(root / "recordings")
        for seed in SEEDS:
            file = f"s4-{seed}.json" if seed else "s4.json"
            nearfar(root, "evaluate", "recordings", "-s", "s4", "--set", f"seed={seed}",
                    "--no-floor", "--json", file)  # fmt: skip
        nearfar(root, "evaluate", "recordings", "-s", "logmel", "--json", "logmel.json")
        two = nearfar(root, "compare", "s4.json", "logmel.json")
        seeds = nearfar(root, "compare", "logmel.json", "s4=s4.json,s4-1.json,s4-2.json")
    rounds, held, without = coverage()
    text = PAGE.format(
        label=label, two=two.removeprefix(f"{label}\n"), seeds="…\n" + seeds.split("\n\n", 1)[1],
        rounds=rounds, held=f"{100 * held:.1f}", without=f"{100 * without:.1f}",
    )  # fmt: skip
    write_text(WRITTEN, text)
    print(f"wrote {WRITTEN.name}", file=sys.stderr)


def nearfar(root: Path, *arguments: str) -> str:
    """What a command prints, typed in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "nearfar", *arguments],
        cwd=root, check=True, capture_output=True, text=True, env=os.environ,
    )  # fmt: skip
    return done.stdout.strip("\n")


# ---- how often intervals over clips and seeds hold the truth -----------------------------------

ROUNDS, DRAWS = 1000, 300
MACHINES, CLIPS, RUNS = 3, 25, 3  # clips of each domain and label
SEED_SD, NOISE = 0.2, 0.5  # what a seed does to all anomalies, and to each clip


def coverage() -> tuple[int, float, float]:
    """Rounds, the share of intervals that hold 0, and of those that would without the seeds."""
    rng, held, without = np.random.default_rng(0), 0, 0
    for _ in range(ROUNDS):
        truth, signal = clips(rng)
        groups = {name: [run(truth, signal, rng) for _ in range(RUNS)] for name in "ab"}
        duel = contest(groups, truth, draws=DRAWS).duels[0]
        low, high = duel.comparison.interval or (0.0, 0.0)
        held += low <= 0 <= high
        without += abs(duel.comparison.difference) <= 1.96 * duel.clips
    return ROUNDS, held / ROUNDS, without / ROUNDS


def clips(rng: np.random.Generator) -> tuple[Truth, Values]:
    """A fresh test set: labels, and what every run hears of each clip."""
    rows = [
        LabelledFile(f"m{machine}", "00", f"{domain}_{label}_{n}", domain, label)
        for machine in range(MACHINES)
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for n in range(CLIPS)
    ]
    return Truth(tuple(rows)), rng.normal(size=len(rows))


def run(truth: Truth, signal: Values, rng: np.random.Generator) -> ScoreTable:
    """One training of the recipe that both systems are: anomalies 1 above normals, on average."""
    raised = 1 + SEED_SD * rng.normal()
    heard = signal + NOISE * rng.normal(size=len(signal))
    return ScoreTable(
        tuple(
            ScoredFile(r.machine, r.section, r.file, float(x + raised * (r.label == "anomaly")))
            for r, x in zip(truth.rows, heard, strict=True)
        )
    )


if __name__ == "__main__":
    main()
