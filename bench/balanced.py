"""Writes docs/balanced.md: is a training better that draws classes evenly? On simulated data.

python -m bench.balanced mini 8      # preset and seeds; writes that preset's part, leaves others
python -m bench.balanced small 4 ToyCar fan valveEmu    # of some of its machines

Nothing is chosen on the labels that it is judged by: each machine's sampling is the one that is
better on the other machines, of the same seed.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import nearfar as nf
from bench.__main__ import OUTPUT, machine
from bench.finetuning import SETTINGS, T_95, TINY, interval, system
from nearfar import sim
from nearfar.clips.training import proxy_classes
from nearfar.errors import NearfarWarning
from nearfar.files import write_text
from nearfar.runtime.runtime import Runtime
from nearfar.study.choice import leave_one_out
from nearfar.training.settings import unusual

PAGE = OUTPUT.with_name("balanced.md")
FEWEST = 3  # seeds that have an interval worth printing
ROWS = ("off", "on")  # the default first: of equals it is chosen
TEXT = """# Classes drawn evenly, or clips?

SIMULATED v{version}. Printed by `python -m bench.balanced`; do not edit.

`training.balanced` draws as many clips of each proxy class as of any other, where a training
otherwise takes each clip once an epoch. Each seed has its own simulated data set, head and order of
clips, and trains the same System 1 both ways: an encoder of **random weights** (EAT 64×2) behind
the mask. *Chosen elsewhere* gives each machine the sampling whose Ω is higher over the **other**
machines of that seed; of equals `off`. Balanced sampling would become the default where its gain,
chosen so, has an interval above 0. What this does not say: anything about EAT-large with its
published weights, or about the real machines.

{parts}
"""
PART = """<!-- {preset} -->
## `{preset}`, {machines} machines, seeds {seeds}

Machine: {machine}. Settings: {settings}.

| Ω in per cent | mean | standard deviation | lowest | highest |
|---|--:|--:|--:|--:|
{table}

Differences are paired by seed, with 95 % intervals (Student's t over seeds):

* `on` over `off`: {on}
* chosen elsewhere over `off`: {chosen}

Of {choices} choices {for_on} were `on`. {classes}

{verdict}
<!-- /{preset} -->"""


@dataclass(frozen=True)
class Seed:
    """What one seed gave."""

    number: int
    omega: tuple[float, float]  # per cent, in the order of ROWS
    chosen: float  # per cent, each machine's sampling chosen on the others
    choices: tuple[int, ...]  # places in ROWS, one a machine
    sizes: tuple[int, ...]  # training clips of each class


def run(number: int, preset: str, machines: Sequence[str], folder: Path) -> Seed:
    """Both trainings of one seed."""
    from nearfar.training import finetune

    warnings.simplefilter("ignore", NearfarWarning)
    data = folder / f"data{number}"
    sim.simulate(data, preset, number, machines=machines or None)
    runtime = Runtime(cache=folder / f"cache{number}")
    train, test = nf.Clips.open(data, split="train"), nf.Clips.open(data, split="test")
    scores = []
    for row in ROWS:
        settings = replace(SETTINGS, seed=number, balanced=row == "on")
        out = folder / f"{number}{row}.safetensors"
        recipe = finetune(system(str(TINY), "+ mask"), train, settings, runtime, out=out)
        scores.append(nf.fit(recipe, train, runtime).score(test, runtime))
    choice = leave_one_out(scores, test, draws=1)  # the intervals are over seeds
    off, on = (100 * one.score for one in choice.evaluations)
    print(
        f"{number}: {off:.2f} {on:.2f} {100 * choice.honest.score:.2f}", file=sys.stderr, flush=True
    )
    sizes = Counter(proxy_classes(train).values()).values()
    chosen = tuple(choice.machines.values())
    return Seed(number, (off, on), 100 * choice.honest.score, chosen, tuple(sizes))


def part(seeds: Sequence[Seed], preset: str) -> str:
    """What one preset's seeds say."""
    found = {
        "`off`": np.array([s.omega[0] for s in seeds]),
        "`on`": np.array([s.omega[1] for s in seeds]),
        "chosen elsewhere": np.array([s.chosen for s in seeds]),
    }
    off, on, chosen = found.values()
    choices = [place for s in seeds for place in s.choices]
    sizes = [size for s in seeds for size in s.sizes]
    changed = unusual(replace(SETTINGS, balanced=False).to_data())
    return PART.format(
        preset=preset,
        machines=len(seeds[0].choices),
        seeds=", ".join(str(s.number) for s in seeds),
        machine=machine(),
        settings=", ".join(f"`{k}={v}`" for k, v in changed.items()) + ", the rest as it comes",
        table="\n".join(
            f"| {row} | {x.mean():.2f} | {x.std(ddof=1):.2f} | {x.min():.2f} | {x.max():.2f} |"
            for row, x in found.items()
        ),
        on=interval(on - off),
        chosen=interval(chosen - off),
        choices=len(choices),
        for_on=sum(choices),
        classes=f"Classes have {min(sizes)} to {max(sizes)} training clips.",
        verdict=verdict(chosen - off),
    )


def verdict(gain: np.ndarray) -> str:
    """What becomes of the default, by the interval alone."""
    half = T_95[len(gain)] * gain.std(ddof=1) / np.sqrt(len(gain))
    if gain.mean() - half > 0:
        return "**On would be better here**: the interval lies above 0."
    if gain.mean() + half < 0:
        return "**Off is better here**: the interval lies below 0."
    return "**These seeds cannot tell**: the interval has 0 in it, so sampling stays as it is, off."


def main() -> None:
    preset, count, *machines = sys.argv[1:]
    seeds: list[Seed] = []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(int(count)):
            seeds.append(run(i, preset, machines, Path(folder)))
            if len(seeds) >= FEWEST:  # a run that is stopped has said what it knows
                write(preset, part(seeds, preset))


def write(preset: str, text: str) -> None:
    """Put a preset's part on the page, in place of the one there."""
    parts = {}
    if PAGE.exists():
        kept = re.findall(r"(<!-- (\w+) -->.*?<!-- /\2 -->)", PAGE.read_text("utf-8"), re.DOTALL)
        parts = {name: text for text, name in kept}
    parts[preset] = text
    write_text(PAGE, TEXT.format(version=sim.SIM_VERSION, parts="\n\n".join(parts.values())))


if __name__ == "__main__":
    main()
