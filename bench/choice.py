"""Writes docs/choice.md: how well does a choice without labels pick? On simulated data.

python -m bench.choice small 8     # preset and seeds 0, 1, …

The candidates, the seeds and what is counted were fixed before any result was looked at.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nearfar as nf
from bench.__main__ import OUTPUT, machine
from bench.finetuning import interval
from nearfar import sim
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.runtime.runtime import Runtime
from nearfar.scores.truth import Truth
from nearfar.scores.verdict import Scores
from nearfar.study.balance import Distance, HeldOut, apart, balance, held_out
from nearfar.study.choice import by_balance, leave_one_out
from nearfar.study.data import open_test
from nearfar.study.scored import judge_all
from nearfar.system.system import AnySystem

PAGE = OUTPUT.with_name("choice.md")
FEWEST = 3  # seeds that have an interval worth printing
S4 = nf.s4()
# Settings of System 4: one part is another, as given first.
SETTINGS: dict[str, AnySystem] = {
    "s4": S4,
    "λ = 0.001": replace(S4, whitening=nf.ZCA(0.001)),
    "λ = 0.1": replace(S4, whitening=nf.ZCA(0.1)),
    "Ledoit–Wolf": replace(S4, whitening=nf.ZCA("ledoit-wolf")),
    "no whitening, cosine": replace(S4, whitening=None, rule=nf.KNN()),
    "k = 3, weighted": replace(S4, rule=nf.KNN((1.0, -0.35, -0.05), "euclidean")),
    "LDN": replace(S4, rule=nf.LocalDensity(1, metric="euclidean")),
    "LDN as a difference": replace(S4, rule=nf.LocalDensity(1, "difference", "euclidean")),
    "VarMin(4)": replace(S4, rule=nf.VarMin(4, "euclidean")),
    "per domain": replace(S4, rule=nf.PerDomain(S4.rule)),
    "no made rows": replace(S4, enrichment=()),
}
MEL = nf.logmel()
# Systems that have little in common.
SYSTEMS: dict[str, AnySystem] = {
    "s4": S4,
    "LDN": SETTINGS["LDN"],
    "logmel": MEL,
    "logmel, LDN": replace(MEL, rule=nf.LocalDensity(1, metric="cosine")),
    "logmel, VarMin(4)": replace(MEL, rule=nf.VarMin(4, "cosine")),
    "logmel, per domain": replace(MEL, rule=nf.PerDomain(MEL.rule)),
    "logmel, ZCA": replace(MEL, whitening=nf.ZCA(), rule=S4.rule),
    "FarCancel, logmel": replace(MEL, frontend=nf.FarCancel()),
    "FarCancel, logmel, LDN": replace(
        MEL, frontend=nf.FarCancel(), rule=nf.LocalDensity(1, metric="cosine")
    ),
    "s4 and logmel": nf.Ensemble(
        (replace(S4, calibration=nf.ZScore()), replace(MEL, calibration=nf.ZScore()))
    ),
}
GRIDS = {"Settings of System 4": SETTINGS, "Systems": SYSTEMS}
CHOICES = (
    "balance", "balance, quartiles", "leave-one-machine-out", "as given", "a candidate by lot",
    "best in hindsight", "best of each machine in hindsight",
)  # fmt: skip
TEXT = """# A choice without labels: does it pick better than chance?

SIMULATED v{version} seeds {seeds}. Printed by `python -m bench.choice {preset} {count}`; do not
edit. Machine: {machine}.

`nearfar evaluate DATA --vary … --choose balance` takes for each machine the candidate whose
held-out self-scores of source clips and of target clips are most alike, by the Kolmogorov–Smirnov
distance. It needs no label and no test clip. Published evidence for it on the task's data: a rank
correlation with Ω of the evaluation set of 0.67 (2025) and 0.86 (2026) over systems, and a choice
that is 1.2 ± 1.6 points better than the one by development labels (arXiv 2607.04526): a hint, no
proof. Below is what it does here, whatever it is. `--choose lomo` takes the candidate that is best
on the labels of the other machines.

**Why this distance.** It does not change when scores are scaled or bent by any rising function, so
candidates with scores of different units can be compared; it is between 0 and 1, and needs neither
bins nor a density. `--choose balance-quantiles` is the other published reading: the mean difference
of the three quartiles, in interquartile ranges of the source. It sees how far apart the domains are
where their distributions no longer overlap, but changes with the form of the scores.

**Few target clips.** Ten of them make steps of a tenth: of two samples of one distribution, 100
and 10 clips, the distance is {null:.2f} on average. So much of what is compared is chance, and the
distances lie close together. Of equal ones the candidate that comes first is taken, the system as
given. With fewer than 5 held-out clips of a domain nothing is compared: the system as given is
taken, and that is said. Of a trained encoder only clips count that it was not trained on. Of
several sections of a machine the mean distance counts. The interval of the honest Ω chooses again
in every draw, on normal clips drawn again.

**What was done.** Each seed is a data set of its own (`{preset}`: {machines} machines). Grids,
seeds and figures were fixed before any result was looked at; no network and no weights are in them.
Intervals: 95 %, Student's t over {count} seeds.

{parts}

What this does not say: anything about the task's own data, or about encoders. On simulated data a
domain shift is what the simulator makes of it.
"""
PART = """## {title}: {count} candidates

{names}

| choice | Ω in per cent, mean | over a candidate by lot |
|---|--:|---|
{table}

* Share of machines for which the pick is better than the mean of all candidates (chance is about a
  half): balance {share}, balance by quartiles {share_quartiles}, leave-one-machine-out {share_lomo}
  (per cent).
* Rank correlation, over candidates, of a machine's number with its domains' nearness (Spearman;
  chance is 0): {rank}; by quartiles {rank_quartiles}. Of the candidates' Ω with their mean
  nearness over machines: {rank_omega}.
* Balance takes the system as given for {kept} of {picks} machines and seeds.

{verdict}"""


@dataclass(frozen=True)
class Outcome:
    """What one grid gave on one seed; numbers in per cent, in the order of CHOICES."""

    omega: tuple[float, ...]
    share: tuple[float, ...]  # per cent of machines better than chance: KS, quartiles, lomo
    rank: tuple[float, ...]  # within machines by KS and by quartiles; of Ω by KS
    kept: int  # machines for which balance took the first
    machines: int


def seed_outcomes(number: int, preset: str, folder: Path) -> dict[str, Outcome]:
    """All grids on one seed; a clip is heard once."""
    warnings.simplefilter("ignore", NearfarWarning)
    data = folder / f"data{number}"
    sim.simulate(data, preset, number)
    test = open_test(data)
    systems = list(dict.fromkeys(s for grid in GRIDS.values() for s in grid.values()))
    runtime = Runtime(cache=folder / f"cache{number}")
    judged = dict(zip(systems, judge_all(data, test, systems, runtime, look=held_out), strict=True))
    labels = Truth.from_clips(test)
    return {
        title: outcome([judged[s] for s in grid.values()], labels) for title, grid in GRIDS.items()
    }


def outcome(judged: Sequence[tuple[Scores, Mapping]], labels: Truth) -> Outcome:
    """Every choice among candidates, and what each is worth."""
    scores, seen = [s for s, _ in judged], [h for _, h in judged]
    distances: tuple[Distance, ...] = ("ks", "quantiles")
    found = [balance(seen, distance=d, draws=1) for d in distances]
    picked = [by_balance(scores, labels, b, draws=1) for b in found]
    lomo = leave_one_out(scores, labels, draws=1)
    totals = [e.table["total"].machines for e in lomo.evaluations]
    by_machine = {m: np.array([t[m] for t in totals]) for m in totals[0]}  # (candidates,)
    figures = np.array([e.score for e in lomo.evaluations])
    # Machines have as many figures each, so Ω is the harmonic mean of theirs.
    oracle = len(by_machine) / sum(1 / values.max() for values in by_machine.values())
    omega = (
        *(c.honest.score for c in picked), lomo.honest.score, figures[0], figures.mean(),
        figures.max(), oracle,
    )  # fmt: skip
    choices = [*(b.machines for b in found), lomo.machines]
    share = [
        100 * np.mean([values[one[m]] > values.mean() for m, values in by_machine.items()])
        for one in choices
    ]
    rank = [
        float(np.mean([spearman(-np.array(b.distances[m]), v) for m, v in by_machine.items()]))
        for b in found
    ]
    nearness = -np.mean([found[0].distances[m] for m in by_machine], axis=0)
    return Outcome(
        tuple(100 * float(x) for x in omega),
        tuple(map(float, share)),
        (*rank, spearman(nearness, figures)),
        sum(k == 0 for k in found[0].machines.values()),
        len(by_machine),
    )


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation, ties in the middle; 0 where one of the two is all equal."""
    from scipy.stats import rankdata

    x, y = rankdata(a), rankdata(b)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def part(title: str, seeds: Sequence[Outcome]) -> str:
    """What one grid's seeds say."""
    omega = np.array([s.omega for s in seeds])  # (seeds, choices)
    share, rank = np.array([s.share for s in seeds]), np.array([s.rank for s in seeds])
    lot = omega[:, CHOICES.index("a candidate by lot")]
    rows = [
        f"| {name} | {own.mean():.2f} | {'–' if own is lot else interval(own - lot)} |"
        for name, own in zip(CHOICES, omega.T, strict=True)
    ]
    rows[CHOICES.index("a candidate by lot")] = f"| a candidate by lot | {lot.mean():.2f} | – |"
    return PART.format(
        title=title,
        count=len(GRIDS[title]),
        names=", ".join(f"`{name}`" for name in GRIDS[title]) + ".",
        table="\n".join(rows),
        share=plain(share[:, 0]),
        share_quartiles=plain(share[:, 1]),
        share_lomo=plain(share[:, 2]),
        rank=plain(rank[:, 0], 2),
        rank_quartiles=plain(rank[:, 1], 2),
        rank_omega=plain(rank[:, 2], 2),
        kept=sum(s.kept for s in seeds),
        picks=sum(s.machines for s in seeds),
        verdict=verdict(omega[:, 0] - lot),
    )


def plain(values: np.ndarray, digits: int = 0) -> str:
    """Mean and interval of a number that is no difference."""
    mean, _, bounds = interval(values).partition(" (")
    low, high = (float(x) for x in bounds.rstrip(")").split(" to "))
    return f"{float(mean):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def null(times: int = 2000) -> float:
    """The mean distance of 100 and 10 clips of one distribution."""
    rng = np.random.default_rng(0)
    return float(np.mean([apart(HeldOut(rng.random(100), rng.random(10))) for _ in range(times)]))


def verdict(gain: np.ndarray) -> str:
    """By the interval alone."""
    _, _, bounds = interval(gain).partition(" (")
    low, high = (float(x) for x in bounds.rstrip(")").split(" to "))
    if low > 0:
        return "**Balance picks better than chance here**: the interval of its Ω lies above 0."
    if high < 0:
        return "**Balance picks worse than chance here**: the interval of its Ω lies below 0."
    return "**These seeds cannot tell balance from chance**: the interval of its Ω has 0 in it."


def main() -> None:
    preset, count = sys.argv[1], int(sys.argv[2])
    seeds: list[dict[str, Outcome]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            seeds.append(seed_outcomes(number, preset, Path(folder)))
            said = {title: [f"{x:.2f}" for x in o.omega] for title, o in seeds[-1].items()}
            print(number, said, file=sys.stderr, flush=True)
            if len(seeds) >= FEWEST:  # a run that is stopped has said what it knows
                write(preset, seeds)


def write(preset: str, seeds: Sequence[Mapping[str, Outcome]]) -> None:
    """The page of the seeds so far."""
    text = TEXT.format(
        version=sim.SIM_VERSION,
        seeds=f"0 to {len(seeds) - 1}",
        preset=preset,
        count=len(seeds),
        machine=machine(),
        null=null(),
        machines=next(iter(seeds[0].values())).machines,
        parts="\n\n".join(part(title, [s[title] for s in seeds]) for title in GRIDS),
    )
    write_text(PAGE, text)


if __name__ == "__main__":
    main()
