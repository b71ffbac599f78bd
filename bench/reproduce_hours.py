"""The table "Hours" of docs/reproduce.md: arithmetic for devices that are not here.

python -m bench.reproduce_hours
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from nearfar.clips import Clip, Clips
from nearfar.reproduce.data import Data
from nearfar.reproduce.entries import TABLES
from nearfar.reproduce.reported import load
from nearfar.reproduce.steps.estimate import Speed, estimate, size, span
from nearfar.reproduce.steps.plan import Request, seeds_of
from nearfar.reproduce.steps.shared import Shared
from nearfar.scores.truth import Truth
from nearfar.system.presets import LARGE
from nearfar.training import FineTuning

SECONDS = 73 / 7  # five machines with clips of 10 s, ToyCar 11, ToyCarEmu 12
DEVICES = (  # precision, FLOP/s of a large product, whose
    ("bf16", 989e12, "989 TFLOP/s (H200, dense)"),
    ("bf16", 99e12, "99 TFLOP/s"),
    ("fp32", 60e12, "60 TFLOP/s"),
)
WORKERS = 16


def clips(split: str, each: int) -> Clips:
    """Names only."""
    machines = load().data.machines
    return Clips(
        Clip(Path(f"{m}/{split}/{i}.wav"), machine=m, split=split, domain="source", label="normal")
        for m, i in product(machines, range(each))
    )


def main() -> None:
    data = Data(
        Path("dev_data"), clips("train", 1000), clips("test", 200), Truth(()), "omega",
        "near-far", "", True, seconds=SECONDS,
    )  # fmt: skip
    head = (
        "| products | speed of a large product | trainings | scores | memory | run | cache | kept |"
    )
    print(f"{head}\n|---|---|--:|--:|--:|--:|--:|--:|")
    for precision, speed, whose in DEVICES:
        training = FineTuning(precision=precision)
        study = Request(TABLES, seeds_of(4), training, data, "", precision)
        steps = study.steps()
        shared = Shared.of(steps)
        found = estimate(
            steps, data, LARGE, training, Speed("", {precision: speed}), WORKERS, shared.chains
        )
        times = {
            kind: [s for step, s in zip(steps, found.seconds, strict=True) if step.kind == kind]
            for kind in ("train", "score")
        }
        spent = " | ".join(f"{len(some)}: {span(sum(some))}" for some in times.values())
        sizes = " | ".join(
            map(size, (found.memory, found.disk, found.cache, shared.bytes(steps, data)))
        )
        print(f"| {precision} | {whose} | {spent} | {sizes} |")


if __name__ == "__main__":
    main()
