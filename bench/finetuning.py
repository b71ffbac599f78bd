"""Writes docs/finetuning-simulated.md: the report's Table 3 in small, on simulated data.

python -m bench.finetuning            # some quarter of an hour on two cores
python -m bench.finetuning --quick    # the mini set, two seeds, few epochs; writes nothing

Epochs and rates were chosen by the accuracy on held-out normals of another seed's training clips
(python -m bench.finetuning --choose), never by a score on test clips.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nearfar as nf
from bench.__main__ import OUTPUT, machine
from nearfar import sim
from nearfar.clips.training import proxy_classes
from nearfar.embedder.eat.weights import open_weights
from nearfar.embedder.record import Training
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.runtime.runtime import Runtime
from nearfar.training import FineTuning
from nearfar.training.settings import unusual

TINY = Path(__file__).resolve().parents[1] / "tests" / "data" / "eat" / "tiny"
SETTINGS = FineTuning(epochs=12, learning_rate=1e-3, head_rate=1.0, balanced=True)
ROWS = ("frozen", "+ fine-tuning", "+ mask")
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}  # by seeds
TEXT = """# Fine-tuning on simulated data

SIMULATED v{version} seeds {seeds}. Printed by `python -m bench.finetuning`; do not edit. Machine:
{machine}.

The rows are those of the report's Table 3. The encoder is EAT 64×2 **with random weights**, since
there are no published ones here: `frozen` is a random function; fine-tuning starts from it. Every
seed has its own simulated data set (`{preset}`), its own head and its own order of clips.
Settings: {settings}.

* `frozen`: near channel, frozen encoder, mean over patches, ten crops, cosine k = 1, no whitening;
* `+ fine-tuning`: trained on the near channel with ArcFace, System 1's bank and score;
* `+ mask`: the same with the coherence mask, trained anew behind it (System 1).

Ω in per cent:

{table}

Differences are paired by seed, with 95 % intervals (Student's t over seeds):

{differences}

Accuracy is that of proxy classes on held-out normals (chance: {chance}).

| seed | Ω `frozen` | Ω `+ fine-tuning` | accuracy | Ω `+ mask` | accuracy |
|--:|--:|--:|--:|--:|--:|
{rows}

{verdict}

What this does not say: anything about EAT-large with its published weights, or about the real
machines. The report has 56.27 → 62.07 → 64.41 for them.
"""


@dataclass(frozen=True)
class Seed:
    """What one seed gave."""

    number: int
    omega: Mapping[str, float]  # per cent
    accuracy: Mapping[str, float]
    classes: int


def system(weights: str, row: str) -> nf.System:
    """One row of the table."""
    frozen = nf.Crops(nf.EAT(weights, pooling="mean" if row == "frozen" else None))
    frontend = nf.CoherenceMask() if row == "+ mask" else nf.Near()
    return nf.System(frontend=frontend, embedder=frozen)


def run(number: int, preset: str, settings: FineTuning, folder: Path) -> Seed:
    """All rows for one seed."""
    from nearfar.training import finetune

    warnings.simplefilter("ignore", NearfarWarning)
    data = folder / f"data{number}"
    sim.simulate(data, preset, number)
    runtime = Runtime(cache=folder / f"cache{number}")
    train, test = nf.Clips.open(data, split="train"), nf.Clips.open(data, split="test")
    omega, accuracy = {}, {}
    for row in ROWS:
        recipe = system(str(TINY), row)
        if row != "frozen":
            out = folder / f"{number}{row.split()[1]}.safetensors"
            trained = replace(recipe, embedder=nf.Crops(nf.EAT(str(TINY))))
            recipe = finetune(trained, train, replace(settings, seed=number), runtime, out=out)
            record = Training.of(open_weights(out))
            accuracy[row] = float((record.provenance if record else {})["best"]["accuracy"])
        scores = nf.fit(recipe, train, runtime).score(test, runtime)
        omega[row] = 100 * nf.evaluate(scores, draws=1).omega
        print(f"seed {number} {row}: {omega[row]:.2f}", file=sys.stderr, flush=True)
    return Seed(number, omega, accuracy, len(set(proxy_classes(train).values())))


def interval(values: np.ndarray) -> str:
    """Mean and 95 % interval over seeds."""
    half = T_95[len(values)] * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.2f} ({values.mean() - half:+.2f} to {values.mean() + half:+.2f})"


def page(seeds: list[Seed], preset: str, settings: FineTuning) -> str:
    """The page of these results."""
    by_row = {row: np.array([s.omega[row] for s in seeds]) for row in ROWS}
    table = ["| | mean | standard deviation | lowest | highest |", "|---|--:|--:|--:|--:|"]
    table += [
        f"| {row} | {x.mean():.2f} | {x.std(ddof=1):.2f} | {x.min():.2f} | {x.max():.2f} |"
        for row, x in by_row.items()
    ]
    steps = [(ROWS[0], ROWS[1]), (ROWS[1], ROWS[2]), (ROWS[0], ROWS[2])]
    told = [
        f"* `{b}` over `{a}`: {interval(by_row[b] - by_row[a])} points, "
        f"{int((by_row[b] > by_row[a]).sum())} of {len(seeds)} seeds higher"
        for a, b in steps
    ]
    rows = [
        f"| {s.number} | {s.omega[ROWS[0]]:.2f} | {s.omega[ROWS[1]]:.2f} | "
        f"{100 * s.accuracy[ROWS[1]]:.0f} % | {s.omega[ROWS[2]]:.2f} | "
        f"{100 * s.accuracy[ROWS[2]]:.0f} % |"
        for s in seeds
    ]
    changed = unusual(settings.to_data())
    return TEXT.format(
        version=sim.SIM_VERSION,
        seeds=", ".join(str(s.number) for s in seeds),
        machine=machine(),
        preset=preset,
        settings=", ".join(f"`{k}={v}`" for k, v in changed.items()) + ", the rest as it comes",
        table="\n".join(table),
        differences="\n".join(told),
        chance=f"1 in {seeds[0].classes}",
        rows="\n".join(rows),
        verdict="\n".join(verdicts(by_row)),
    )


def verdicts(by_row: Mapping[str, np.ndarray]) -> list[str]:
    """What holds here and what does not, by the intervals alone."""
    lines = []
    for a, b, what in (
        (ROWS[0], ROWS[1], "Fine-tuning"),
        (ROWS[1], ROWS[2], "The mask, on top of fine-tuning,"),
    ):
        x = by_row[b] - by_row[a]
        half = T_95[len(x)] * x.std(ddof=1) / np.sqrt(len(x))
        if x.mean() - half > 0:
            lines.append(f"**{what} helps here**: the interval lies above 0.")
        elif x.mean() + half < 0:
            lines.append(f"**{what} hurts here**: the interval lies below 0.")
        else:
            lines.append(f"**{what} makes no difference that these seeds can tell** from chance.")
    return lines


def choose() -> None:
    """Held-out accuracy of some rates, on training clips of a seed that no table has."""
    from nearfar.training import finetune

    with tempfile.TemporaryDirectory() as folder:
        data, workers = Path(folder) / "data", os.cpu_count() or 1
        sim.simulate(data, "small", 100, workers=workers)
        train = nf.Clips.open(data, split="train")
        runtime = Runtime(workers=workers, cache=Path(folder) / "cache")
        for rate in (3e-4, 1e-3, 3e-3):
            out = Path(folder) / f"{rate}.safetensors"
            recipe = replace(system(str(TINY), "+ mask"), embedder=nf.EAT(str(TINY)))
            finetune(recipe, train, replace(SETTINGS, learning_rate=rate), runtime, out=out)
            record = Training.of(open_weights(out))
            print(rate, dict(record.provenance) if record else "", flush=True)


def main() -> None:
    if "--choose" in sys.argv:
        choose()
        return
    quick = "--quick" in sys.argv
    preset, count = ("mini", 2) if quick else ("small", 5)
    settings = replace(SETTINGS, epochs=2) if quick else SETTINGS
    # A process for each core, one seed at a time in each.
    pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"))
    with tempfile.TemporaryDirectory() as folder, pool:
        jobs = [pool.submit(run, i, preset, settings, Path(folder)) for i in range(count)]
        seeds = [job.result() for job in jobs]
    text = page(seeds, preset, settings)
    if quick:
        print(text)
        return
    write_text(OUTPUT.with_name("finetuning-simulated.md"), text)
    print(json.dumps([s.omega for s in seeds]), file=sys.stderr)


if __name__ == "__main__":
    main()
