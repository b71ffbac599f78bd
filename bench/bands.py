"""Ω of the simple baselines on the `small` simulated set over 20 seeds, and bands for a test.

python -m bench.bands        # some eight minutes on two cores
"""

from __future__ import annotations

import os
import sys

import numpy as np

from nearfar.sim.difficulty import BASELINES, measure
from nearfar.sim.plan import PRESETS

SEEDS = range(1, 21)


def main() -> None:
    rows = []
    for seed in SEEDS:
        results = measure(PRESETS["small"], seed, os.cpu_count() or 1)
        rows.append([100 * results[name].score for name in BASELINES])
        print(seed, *(f"{name} {x:.2f}" for name, x in zip(BASELINES, rows[-1], strict=True)),
              sep="  ", file=sys.stderr)  # fmt: skip
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
    for name, m, s in zip(BASELINES, mean, spread, strict=True):
        print(f"{name!r}: ({m - 3 * s:.1f}, {m + 3 * s:.1f}),  # mean {m:.1f}, sd {s:.1f}")


if __name__ == "__main__":
    main()
