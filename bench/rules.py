"""Rules that know densities and bands, beside the nearest neighbour in one bank.

python -m bench rules        # some five minutes of one core
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.dif import clip, milliseconds
from nearfar.detector.member import Member, NormalRows, assign_folds, fit_member
from nearfar.embedder.dif import DIF
from nearfar.embedder.logmel import LogMel
from nearfar.frontend import Near
from nearfar.scoring.local import LocalDensity, VarMin
from nearfar.scoring.parted import PerBand
from nearfar.scoring.rule import KNN, Rule
from nearfar.system.system import System

CLIPS, QUERIES, BANDS = 1000, 200, 8
WIDTHS = (256, 768)  # numbers a band: YAMNet's, BEATs'
ROUNDS, FITS = 15, 3
INNER: tuple[Rule, ...] = (KNN(), LocalDensity(metric="cosine"), VarMin())


def rows(n: int, dim: int, seed: int) -> NDArray[np.float32]:
    """Rows that spread less and less along the dimensions, around a mean."""
    drawn = np.random.default_rng(seed).standard_normal((n, dim))
    return (drawn * np.linspace(2, 0.1, dim) + 1).astype(np.float32)


def fitted(rule: Rule, dim: int) -> Callable[[], Member]:
    """A fit of 1,000 clips whose rows are known: ten folds and the bank."""
    domain = (np.arange(CLIPS) >= CLIPS - 10).astype(np.int8)
    table = NormalRows(rows(CLIPS, dim, 0), np.arange(CLIPS), domain, np.zeros(CLIPS))
    folds = assign_folds(table.origin, domain, 10, seed=0)
    system = System(Near(), LogMel())
    # Of a system a fit of rows needs the rule; that its embedder would keep no bands is no matter.
    object.__setattr__(system, "rule", rule)
    return lambda: fit_member(system, table, [], folds)


def run() -> str:
    """The section of docs/benchmarks.md."""
    hearing = milliseconds({"a clip": lambda: DIF()([clip(0)])}, ROUNDS)["a clip"] * CLIPS
    lines = []
    for width in WIDTHS:
        dim, queries = BANDS * width, rows(QUERIES, BANDS * width, 1).astype(np.float64)
        named = {type(rule).__name__: rule for rule in INNER}
        named |= {f"PerBand({name})": PerBand(rule, BANDS) for name, rule in named.items()}
        fits = {name: fitted(rule, dim) for name, rule in named.items()}
        members = {name: fit() for name, fit in fits.items()}
        works = {n: partial(rule, queries, members[n].bank) for n, rule in named.items()}
        scoring = milliseconds(works, ROUNDS)
        fitting = milliseconds(fits, FITS)
        for name in named:
            inner = name.removeprefix("PerBand(").rstrip(")")
            more = (fitting[name] - fitting["KNN"]) / (hearing + fitting["KNN"])
            lines.append(
                f"| {BANDS} × {width} | {name} | {scoring[name]:.1f} | "
                f"{scoring[name] / scoring[inner]:.2f} | {scoring[name] / scoring['KNN']:.2f} | "
                f"{fitting[name]:.0f} | {100 * more:+.1f} % |"
            )
    return "\n\n".join(
        [
            "## Rules",
            f"One core, a bank of {CLIPS:,} rows, {QUERIES} queries, cosine, drawn numbers; a fit "
            "is ten folds and the bank. Times the same rule in one bank, and the nearest neighbour "
            "in one bank; what a fit takes beyond that of the nearest neighbour, as a share of it "
            f"with hearing {CLIPS:,} clips of 10 s by DIF ({hearing / 1000:.1f} s).",
            "| numbers | rule | scoring, ms | × its rule | × KNN | fit, ms | more of a fit |\n"
            "|---|---|--:|--:|--:|--:|--:|\n" + "\n".join(lines),
        ]
    )
