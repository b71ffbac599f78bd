"""Scores with their truth, drawn from a seed; areas by their definitions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nearfar.scores.join import LabelledSection, ScoredFile, ScoreTable
from nearfar.scores.truth import LabelledFile, Truth


def rank_auc(normal: Any, anomalous: Any) -> float:
    """The definition: each pair counts 1, 1/2 or 0."""
    pairs = [(a > n) + 0.5 * (a == n) for n in normal for a in anomalous]
    return float(np.mean(pairs))


def trapezoid_pauc(normal: Any, anomalous: Any, p: float = 0.1) -> float:
    """The definition, by walking the ROC curve."""
    fpr, tpr = [0.0], [0.0]
    for threshold in sorted({*normal, *anomalous}, reverse=True):
        fpr.append(np.mean([n >= threshold for n in normal]))
        tpr.append(np.mean([a >= threshold for a in anomalous]))
    area = 0.0
    for (f0, f1), (t0, t1) in zip(itertools.pairwise(fpr), itertools.pairwise(tpr), strict=True):
        if f0 < p and f1 > f0:
            end = min(f1, p)
            height = t0 + (t1 - t0) * (end - f0) / (f1 - f0)
            area += (end - f0) * (t0 + height) / 2
    return 0.5 * (1 + (area - p * p / 2) / (p - p * p / 2))


def made(
    seed: int, machines: int = 2, each: int = 6, domains: bool = True, ties: bool = True
) -> tuple[ScoreTable, Truth]:
    """A made-up test set: (scores, truth), unequal groups, ties."""
    rng = np.random.default_rng(seed)
    scored, labelled = [], []
    for m in range(machines):
        for domain in ("source", "target") if domains else (None,):
            for k, label in enumerate(("normal", "anomaly")):
                for c in range(each + m + k + (domain == "target")):
                    score = rng.normal() + k
                    score = round(score, 1) if ties else score
                    file = f"{label}_{domain}_{c}.wav"
                    labelled.append(LabelledFile(f"m_{m}", "00", file, domain, label))
                    decision = bool(score > 0.5)
                    scored.append(ScoredFile(f"m_{m}", "00", file, float(score), decision))
    return ScoreTable(tuple(scored)), Truth(tuple(labelled))


def split(section: LabelledSection, scores: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """(label, domain) → scores, by plain selection."""
    groups = {}
    for label, anomalous in (("normal", False), ("anomaly", True)):
        groups[label, "all"] = scores[section.anomalous == anomalous]
        for domain, target in (("source", False), ("target", True)):
            if section.target is not None:
                chosen = (section.anomalous == anomalous) & (section.target == target)
                groups[label, domain] = scores[chosen]
    return groups


def by_hand(section: LabelledSection, scores: np.ndarray, rule: str) -> list[float]:
    """The figures of a rule from their definitions."""
    g = split(section, scores)
    if rule == "2020":
        return [rank_auc(g["normal", "all"], g["anomaly", "all"]),
                trapezoid_pauc(g["normal", "all"], g["anomaly", "all"])]  # fmt: skip
    if rule == "2021":
        areas = (rank_auc, trapezoid_pauc)
        return [f(g["normal", d], g["anomaly", d]) for f in areas for d in ("source", "target")]
    both = g["anomaly", "all"]
    return [rank_auc(g["normal", "source"], both), rank_auc(g["normal", "target"], both),
            trapezoid_pauc(g["normal", "all"], both)]  # fmt: skip
