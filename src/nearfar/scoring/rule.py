"""Scoring rules: how distances to the bank become one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nearfar.errors import SettingError
from nearfar.parts.own import guarded
from nearfar.parts.valid import is_number
from nearfar.scoring.bank import (
    Index,
    MemoryBank,
    Metric,
    Rows,
)


@runtime_checkable
class Rule(Protocol):
    """A scoring rule: queries and a bank in, one number a query out; high = anomalous.

    >>> isinstance(KNN(), Rule)
    True
    """

    @property
    def metric(self) -> Metric: ...  # noqa: D102
    @property
    def neighbours(self) -> int: ...  # noqa: D102
    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows: ...  # noqa: D102


def judged(rule: Rule, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
    """What a rule says about queries, sure to be one finite number each.

    Args:
        rule: ours or a person's own.
        z: (n, dim) queries.
        bank: what they are held against.
        leave_out: (n,) origin that query i must not see; −1 for none.

    Returns:
        (n,).

    Raises:
        SettingError: a rule that breaks its contract; NaN is below no threshold, so that every
            clip would pass for normal.
    """
    left = {} if leave_out is None else {"leave_out": leave_out}
    return _checked(rule, z, guarded(rule, rule, z, bank, kind="rule", **left))


def judged_beside(rule: Rule, z: Rows, bank: MemoryBank) -> tuple[Rows, Rows, Index]:
    """The same, with each query's nearest row of the bank by the rule's metric.

    Returns:
        scores (n,), distances (n,) and rows (n,).

    Raises:
        SettingError: as `judged`.
    """
    # Of a class derived from ours only the call is known to be what its author meant.
    if isinstance(rule, KNN) and type(rule).__call__ is KNN.__call__:
        # The search is nearly all that a verdict costs, and it has found the nearest already.
        distances, rows = bank.neighbours(z, rule.neighbours, rule.metric)
        return _checked(rule, z, rule.weigh(distances)), distances[:, 0], rows[:, 0]
    scores = judged(rule, z, bank)
    distances, rows = bank.neighbours(z, 1, rule.metric)
    return scores, distances[:, 0], rows[:, 0]


def _checked(rule: Rule, z: Rows, said: object) -> Rows:
    scores = np.asarray(said)
    if scores.dtype.kind not in "fiu":  # None of a forgotten return
        raise SettingError(f"{rule!r} gave no numbers; mend the rule")
    if scores.shape != (len(z),):
        raise SettingError(f"{rule!r} gave {scores.shape}, its contract says ({len(z)},)")
    if not np.isfinite(scores).all():
        raise SettingError(f"{rule!r} gave NaN or infinite scores; mend the rule")
    return scores


@dataclass(frozen=True)
class KNN:
    """Weighted distances to the k nearest rows, k = `len(weights)` (report Eq. 3 and Eq. 4).

    `KNN()` is Systems 1 and 2, `KNN((1.0, -0.35, -0.05), "euclidean")` System 3,
    `KNN(metric="euclidean")` System 4.

    >>> bank = MemoryBank(np.array([[0.0], [4.0]]), np.arange(2), np.zeros(2, np.int8))
    >>> KNN((1.0, -0.5), "euclidean")(np.array([[1.0]]), bank)  # 1.0 · 1 − 0.5 · 3
    array([-0.5])
    """

    weights: tuple[float, ...] = (1.0,)  # of d₁, d₂, …
    metric: Metric = "cosine"  # of whitened rows "euclidean", which is Mahalanobis there

    def __post_init__(self) -> None:
        numbers = isinstance(self.weights, tuple) and all(is_number(w) for w in self.weights)
        # Any sign: the report's d₂ and d₃ count negatively, as a correction for local density.
        if not numbers or not self.weights:
            raise SettingError(
                f"KNN.weights is {self.weights!r}; give one number a neighbour, as in (1.0, -0.35)"
            )
        if self.metric not in ("cosine", "euclidean"):
            raise SettingError(f"KNN.metric is {self.metric!r}; it is 'cosine' or 'euclidean'")

    @property
    def neighbours(self) -> int:
        """k."""
        return len(self.weights)

    def __call__(self, z: Rows, bank: MemoryBank, leave_out: Index | None = None) -> Rows:
        """Score queries.

        Args:
            z: (n, dim) queries, whitened like the bank.
            bank: rows of normal clips.
            leave_out: (n,) origin that query i must not see; −1 for none.

        Returns:
            (n,) Σ weightsⱼ · dⱼ.
        """
        return self.weigh(bank.neighbours(z, self.neighbours, self.metric, leave_out)[0])

    def weigh(self, distances: Rows) -> Rows:
        """(n, k) distances, ascending → (n,) scores."""
        score = np.zeros(len(distances))
        for j, weight in enumerate(self.weights):  # not a matrix product: same bits for any n
            score += weight * distances[:, j]
        return score
