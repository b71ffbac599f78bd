"""Cross-fitted self-scores: time on one core, and agreement with eigenvectors in every fold."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cholesky
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

import nearfar as nf
from nearfar.detector.member import (
    NormalRows,
    Pool,
    _cross_fitted,
    assign_folds,
    fit_member,
    pool_sizes,
)

SOURCE, TARGET, FOLDS = 990, 10, 10
WIDE, NARROW = 1024, 120  # EAT-large, DIF
RUNS = 5
LIMIT = 1.5  # s, for the wide one


def table(dim: int) -> NormalRows:
    """Correlated features, float32 as embedders give them; targets moved a little."""
    rng = np.random.default_rng(0)
    n = SOURCE + TARGET
    rows = rng.standard_normal((n, dim)) @ (rng.standard_normal((dim, dim)) / np.arange(1, dim + 1))
    rows[SOURCE:] += 0.5 * rows.std(axis=0)
    domain = np.r_[np.zeros(SOURCE), np.ones(TARGET)].astype(np.int8)
    return NormalRows(rows.astype(np.float32), np.arange(n), domain, np.full(n, 0.1))


def pools(system: nf.System, clips: NormalRows, folds: np.ndarray) -> list[Pool]:
    """Rows like the target clips', as many as residual augmentation asks for."""
    rng = np.random.default_rng(1)
    scale = 0.1 * clips.embeddings.std(axis=0)
    return [
        {
            SOURCE + t: (
                clips.embeddings[SOURCE + t]
                + scale * rng.standard_normal((size, clips.embeddings.shape[1]))
            ).astype(np.float32)
            for t in range(TARGET if size else 0)
        }
        for size in pool_sizes(system, clips, folds)
    ]


def median(work: Callable[[], object], runs: int = RUNS) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def floor(clips: NormalRows) -> float:
    """Seconds that linear algebra alone takes: what no way over covariances can leave out."""
    y = clips.embeddings.astype(np.float64)
    rest = y[: len(y) - len(y) // FOLDS]
    matrix = rest.T @ rest / len(rest) + np.eye(y.shape[1])

    def fold() -> None:
        rest.T @ rest
        cholesky(matrix.T, lower=True, check_finite=False)
        y @ matrix

    return FOLDS * median(fold)


def by_eigenvectors(
    clips: NormalRows, folds: np.ndarray, shrinkage: float, rule: Any
) -> np.ndarray:
    """The report's ZCA again in each fold, distances by scipy."""
    x = clips.embeddings.astype(np.float64)
    scores = np.empty(len(x))
    for fold in range(FOLDS):
        rest, held = x[folds != fold], x[folds == fold]
        scale = rest.std(axis=0)
        standard = (rest - rest.mean(axis=0)) / scale
        correlation = (1 - shrinkage) * standard.T @ standard / len(rest)
        values, vectors = np.linalg.eigh(correlation + shrinkage * np.eye(len(scale)))
        zca = (vectors / np.sqrt(values)) @ vectors.T / scale[:, None]
        distances = np.sort(cdist((held - rest.mean(axis=0)) @ zca, standard * scale @ zca), axis=1)
        scores[folds == fold] = distances[:, : len(rule.weights)] @ np.array(rule.weights)
    return scores


def timed(system: nf.System, clips: NormalRows, folds: np.ndarray) -> tuple[float, float]:
    """Seconds of the self-scores alone, and of the whole fit around them."""
    made: Sequence[Pool] = pools(system, clips, folds)
    alone = median(lambda: _cross_fitted(system, clips, made, folds))
    return alone, median(lambda: fit_member(system, clips, made, folds), 3)


def run() -> str:
    with threadpool_limits(1):
        return _run()


def _run() -> str:
    wide, narrow = table(WIDE), table(NARROW)
    folds = assign_folds(wide.origin, wide.domain, FOLDS, seed=0)
    plain = replace(nf.s4(), enrichment=(), rule=nf.KNN((1.0, -0.35, -0.05), "euclidean"))
    least = {WIDE: floor(wide), NARROW: floor(narrow)}
    above: list[str] = []
    rows = [
        f"| linear algebra alone | {dim:,} | {took:.3f} | 1 | – |" for dim, took in least.items()
    ]
    for name, system, clips in (
        ("λ = 0.01", plain, wide),
        ("λ by Ledoit and Wolf", replace(plain, whitening=nf.ZCA("ledoit-wolf")), wide),
        ("System 4: λ = 0.01, residual and pseudo-target rows", nf.s4(), narrow),
    ):
        dim = clips.embeddings.shape[1]
        alone, whole = timed(system, clips, folds)
        rows.append(f"| {name} | {dim:,} | {alone:.2f} | {alone / least[dim]:.1f} | {whole:.2f} |")
        if clips is wide and alone > LIMIT:
            above.append(name)
    start = time.process_time()
    expected = by_eigenvectors(wide, folds, 0.01, plain.rule)
    slow = time.process_time() - start
    got = _cross_fitted(plain, wide, [], folds)
    text = [
        "## Cross-fitted self-scores",
        "",
        f"{SOURCE} source and {TARGET} target clips, {FOLDS} folds, each of which fits whitening, "
        f"tier, means and extra rows anew; one core, median of {RUNS}. The floor is linear algebra "
        "only: for each fold one product for the correlation, one Cholesky factorisation and one "
        "product to whiten all rows.",
        "",
        "| whitening | dimensions | seconds | × the floor | seconds of the whole fit |",
        "|---|---|--:|--:|--:|",
        *rows,
        "",
        *([f"Above the limit of {LIMIT} s: {', '.join(above)}.", ""] if above else []),
        f"With eigenvectors in each fold instead: {slow:.2f} s; largest relative difference of a "
        f"self-score {np.max(np.abs(got / expected - 1)):.1e} (λ = 0.01, {WIDE:,} dimensions).",
        "",
    ]
    return "\n".join(text)
