"""Clips between false warnings of drift: `python -m bench.run_lengths`. Prints docs/alarms.md's.

A detector knows n normal clips, so its p-values are uniform only on average over detectors. Given
one of them, where a new normal clip lies among its self-scores has other chances, and the run
length is another. Here normals are drawn, and each detector's run length is worked out exactly.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm

from nearfar.service.alarms.cusum import SHIFT, STEP, Cusum
from nearfar.text import aligned

RUN, DETECTORS = 100_000, 1_000
COUNTS = (50, 100, 300)


def plain(n: int) -> Cusum:
    """The scheme without a margin for n: half of the shift, and a limit that keeps the run."""
    reference = round(SHIFT / 2 / STEP)
    limit = 1
    while Cusum(n, reference, limit).run_length() < RUN:
        limit += 1
    return Cusum(n, reference, limit)


def given(scheme: Cusum, seed: int) -> np.ndarray:
    """Run lengths of detectors whose normal clips were drawn, each by its own chain."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(DETECTORS):
        below = norm.cdf(np.sort(rng.standard_normal(scheme.n)))
        found.append(scheme.run_length_of(np.diff([0.0, *below, 1.0])))
    return np.array(found)


def row(name: str, scheme: Cusum) -> tuple[str, ...]:
    """A line of the table."""
    runs = given(scheme, seed=scheme.n)
    low, sixth, median = np.quantile(runs, [0.05, 1 / 6, 0.5])
    return (
        str(scheme.n), name, f"{scheme.reference * STEP:.2f}", f"{scheme.limit * STEP:.2f}",
        f"{scheme.run_length(1 / math.sqrt(scheme.n)):,.0f}", f"{scheme.run_length():,.0f}",
        f"{low:,.0f}", f"{sixth:,.0f}", f"{median:,.0f}", f"{100 * np.mean(runs >= RUN):.0f} %",
        f"{scheme.run_length(SHIFT):.0f}",
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    print(f"{DETECTORS} detectors each, {RUN:,} clips wanted")
    rows = [("n", "reference", "k", "h", "one error low", "exact p", "5 %", "17 %", "median",
             "kept", "delay of 1 sigma")]  # fmt: skip
    for n in COUNTS:
        rows += [row("half", plain(n)), row("half + 1/√n", Cusum.of(n, RUN) or plain(n))]
    print(aligned(rows))


if __name__ == "__main__":
    main()
