"""The numbers of docs/reproduce.md: hours by arithmetic, for devices that are not here, and what
literal leave-one-out does where dimensions are as many as clips.

python -m bench.reproduce_hours
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

import nearfar as nf
from nearfar.clips import Clip, Clips
from nearfar.detector.member import NormalRows, assign_folds, fit_member
from nearfar.reproduce.data import Data
from nearfar.reproduce.entries import TABLES
from nearfar.reproduce.reported import load
from nearfar.reproduce.steps.estimate import Speed, estimate, size, span
from nearfar.reproduce.steps.plan import Request, seeds_of
from nearfar.reproduce.steps.shared import Shared
from nearfar.scores.truth import Truth
from nearfar.scoring.rule import judged
from nearfar.system.presets import LARGE
from nearfar.training import FineTuning

SECONDS = 73 / 7  # five machines with clips of 10 s, ToyCar 11, ToyCarEmu 12
DEVICES = (  # precision, FLOP/s of a large product, whose
    ("bf16", 989e12, "989 TFLOP/s (H200, dense)"),
    ("bf16", 99e12, "99 TFLOP/s"),
    ("fp32", 60e12, "60 TFLOP/s"),
)
WORKERS = 16
SOURCE, TARGET, NEW, DIM = 990, 10, 200, 1024  # clips of a machine, and EAT-large


def clips(split: str, each: int) -> Clips:
    """Names only."""
    machines = load().data.machines
    return Clips(
        Clip(Path(f"{m}/{split}/{i}.wav"), machine=m, split=split, domain="source", label="normal")
        for m, i in product(machines, range(each))
    )


def above(self_scores: str) -> int:
    """Of new normal rows, how many score above every self-score of System 3's EAT member."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((DIM, DIM)) / np.arange(1, DIM + 1)  # correlated, as features are
    rows = (rng.standard_normal((SOURCE + TARGET + NEW, DIM)) @ mixing).astype(np.float32)
    clips = SOURCE + TARGET
    domain = np.r_[np.zeros(SOURCE), np.ones(TARGET)].astype(np.int8)
    known = NormalRows(rows[:clips], np.arange(clips), domain, np.full(clips, 0.1))
    recipe = replace(nf.s3("no weights").members[1], self_scores=self_scores)
    folds = assign_folds(known.origin, known.domain, recipe.folds, seed=0)
    fitted = fit_member(recipe, known, (), folds)
    new = judged(recipe.rule, fitted.scale(rows[clips:]), fitted.bank)
    return int((new > fitted.self_scores.max()).sum())


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
    for way in ("loo", "cross-fitted"):
        print(f"{SOURCE + TARGET:,} rows of {DIM:,} dimensions, λ = 0.01, self_scores={way}: "
              f"{above(way)} of {NEW} new ones lie above all")  # fmt: skip


if __name__ == "__main__":
    main()
