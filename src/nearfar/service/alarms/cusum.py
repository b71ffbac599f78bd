"""Has normal itself moved? A cumulative sum of normal scores, whose run length is known exactly.

Each judged clip's p-value becomes a normal score: z = Φ⁻¹(1 − p′), with the mid-p p′ = p − 1/(2(n +
1)) of a p-value that has n + 1 equally likely values. The sum S = max(0, S + z − k) warns at h. It
runs in whole steps of `STEP`, so that its states are few and the chain of Brook and Evans over them
is no approximation but the very thing.

Source: Page, "Continuous inspection schemes", Biometrika 41 (1954); Brook and Evans, "An approach
to the probability distribution of CUSUM run length", Biometrika 59 (1972).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

STEP = 0.05  # of a normal score
# σ that a single clip may say at most. A clip that is further off is the machine's alarm, not
# drift's: at a limit of 2 it takes six clips in a row, and an alarm 3/5 has been raised by three.
LIMIT = 2.0
SHIFT = 1.0  # σ, of the drift that is to be found soonest: half of it is the reference value
# Normal clips, below which no score of a clip exceeds what k must be: of three no sum would rise.
FEWEST = 5
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Cusum:
    """A one-sided scheme for p-values of n normal clips.

    Upwards alone: scores that get lower raise no false alarm, and of a detector whose days were
    held out whole they are lower by construction, so a warning of that would be cried each time.

    Args:
        n: normal clips that p-values count.
        reference: k, in steps: what each clip must exceed.
        limit: h, in steps.

    >>> scheme = Cusum.of(100, 10_000)
    >>> scheme, scheme.weight(0.5)  # 12 steps: 0.6 sigma
    (Cusum(n=100, reference=12, limit=128), -12)
    >>> 10_000 <= scheme.run_length(shift=0.1) < 11_000 < scheme.run_length()
    True
    """

    n: int
    reference: int
    limit: int

    @classmethod
    def of(cls, n: int, run: float) -> Cusum | None:
        """The scheme that n normal clips need, so that false warnings are `run` clips apart.

        n self-scores know the middle of normal scores to 1/√n σ. So the reference value is half
        of `SHIFT` and one such error more, and `run` is kept where they lie one error too low;
        where they are right it is far longer, see `run_length`. Without that margin a
        detector in six would warn three to ten times as often as was asked for: docs/alarms.md.

        Returns:
            None of fewer than `FEWEST`, which know nothing of normal's middle.
        """
        return None if n < FEWEST else _scheme(n, run)

    def weight(self, p_value: float) -> int:
        """What a clip adds to the sum, in steps; below 0 it takes away."""
        # With thresholds by domain fewer clips are counted: p is the higher, and it warns late.
        middle = max(p_value - 0.5 / (self.n + 1), 0.25 / (self.n + 1))
        score = -_NORMAL.inv_cdf(min(middle, 1 - 1e-12))
        return round(max(-LIMIT, min(score, LIMIT)) / STEP) - self.reference

    def after(self, total: int, p_value: float) -> int:
        """The sum after one more clip, at most `limit`: then it warns.

        It does not grow beyond, so that a warning is over as soon after the drift is.
        """
        return min(max(0, total + self.weight(p_value)), self.limit)

    def run_length(self, shift: float = 0.0) -> float:
        """Clips until it warns, on average, of clips that are independent.

        Args:
            shift: σ by which the clips' normal scores are higher than the self-scores'.
        """
        edges = [_NORMAL.inv_cdf(j / (self.n + 1)) for j in range(1, self.n + 1)]
        below = [0.0, *(_NORMAL.cdf(edge - shift) for edge in edges), 1.0]
        return self.run_length_of(np.diff(below))

    def run_length_of(self, shares: NDArray[np.float64]) -> float:
        """The same of clips whose places among the self-scores are known.

        Args:
            shares: (n + 1,) of clips that lie above none, one, … all of the self-scores.
        """
        h = self.limit
        moves = np.zeros((h, h))  # from each sum that does not warn to each other
        weights = [self.weight((self.n + 1 - j) / (self.n + 1)) for j in range(self.n + 1)]
        places, back = np.unique(weights, return_inverse=True)
        for weight, chance in zip(places, np.bincount(back, shares), strict=True):
            after = np.maximum(np.arange(h) + weight, 0)
            stays = after < h
            np.add.at(moves, (np.flatnonzero(stays), after[stays]), chance)
        return float(np.linalg.solve(np.eye(h) - moves, np.ones(h))[0])

    def told(self) -> str:
        """What is promised, in a line."""
        error = 1 / math.sqrt(self.n)
        return (
            f"a false warning of drift about every {self.run_length(error):,.0f} clips where the "
            f"{self.n} normal clips lie one standard error low, every {self.run_length():,.0f} "
            f"where they are right; a shift of one sigma is found within "
            f"{self.run_length(SHIFT):,.0f} clips on average"
        )


@cache
def _scheme(n: int, run: float) -> Cusum:
    reference = round((SHIFT / 2 + 1 / math.sqrt(n)) / STEP)
    error = 1 / math.sqrt(n)
    low, high = 1, 16
    while Cusum(n, reference, high).run_length(error) < run:
        low, high = high, 2 * high
    while low < high:  # the least that keeps the wanted run
        middle = (low + high) // 2
        if Cusum(n, reference, middle).run_length(error) < run:
            low = middle + 1
        else:
            high = middle
    return Cusum(n, reference, high)
