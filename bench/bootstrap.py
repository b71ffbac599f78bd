"""The bootstrap of Ω: time for 2,000 draws over seven machines, and agreement with scikit-learn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score

from nearfar.metrics.comparison import compare
from nearfar.metrics.evaluation import FIGURES, RULES
from nearfar.metrics.official import bootstrap
from nearfar.metrics.roc import measure, resample
from nearfar.scores.join import LabelledSection, ScoredFile, ScoreTable, join
from nearfar.scores.truth import LabelledFile, Truth

MACHINES, EACH, DRAWS = 7, 50, 2000  # 50 clips of each domain and label: the official test sets
CHECKED = 20  # draws a machine, computed by scikit-learn too
RUNS = 7


def test_set() -> tuple[ScoreTable, Truth]:
    """Made-up scores, rounded to 0.1: many ties, as percentile scores have."""
    rng = np.random.default_rng(0)
    scores, labels = [], []
    for m in range(MACHINES):
        for domain in ("source", "target"):
            for label in ("normal", "anomaly"):
                for c in range(EACH):
                    file = f"{domain}_{label}_{c}.wav"
                    score = round(float(rng.normal() + 0.8 * (label == "anomaly")), 1)
                    scores.append(ScoredFile(f"machine{m}", "00", file, score))
                    labels.append(LabelledFile(f"machine{m}", "00", file, domain, label))
    return ScoreTable(tuple(scores)), Truth(tuple(labels))


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def floor() -> None:
    """What no bootstrap by counts can leave out: draw clip numbers and count them."""
    rng = np.random.default_rng(0)
    offsets = EACH * np.arange(DRAWS)[:, None]
    for _ in range(MACHINES * 4):
        drawn = rng.integers(EACH, size=(DRAWS, EACH))
        np.bincount((drawn + offsets).ravel(), minlength=DRAWS * EACH)


def by_scikit_learn(section: LabelledSection, clips: np.ndarray) -> list[float]:
    """AUC(source), AUC(target), pAUC of one draw."""
    scores, target = section.scores[clips], np.asarray(section.target)
    mixed = (section.anomalous | ~target, section.anomalous | target)
    values = [roc_auc_score(section.anomalous[chosen], scores[chosen]) for chosen in mixed]
    return [*values, roc_auc_score(section.anomalous, scores, max_fpr=0.1)]


def run() -> str:
    table, truth = test_set()
    sections = join(table.rows, truth)
    rng = np.random.default_rng(1)
    drawn = [next(resample(section, CHECKED, rng))[1] for section in sections]
    figures = [FIGURES[name] for name in RULES["omega"].figures]
    ours = [measure(s, figures, c) for s, c in zip(sections, drawn, strict=True)]
    start = time.process_time()
    theirs = [[by_scikit_learn(s, row) for row in c] for s, c in zip(sections, drawn, strict=True)]
    scikit = (time.process_time() - start) / CHECKED * DRAWS
    least = seconds(floor)
    taken = {
        "draw and count clips only (the floor)": least,
        "Ω of all draws (`bootstrap`)": seconds(lambda: bootstrap(table, truth, draws=DRAWS)),
        "two systems, paired (`compare`)": seconds(
            lambda: compare(table, table, truth, draws=DRAWS)
        ),
        f"scikit-learn in a loop (from {CHECKED} draws)": scikit,
    }
    rows = [
        "## Bootstrap of Ω",
        "",
        f"{DRAWS:,} draws over {MACHINES} machines of {4 * EACH} clips, scores with many ties, one "
        f"core, median of {RUNS}; joining scores and labels is included.",
        "",
        "| what | seconds | × the floor |",
        "|---|--:|--:|",
        *(f"| {name} | {t:.3f} | {t / least:.1f} |" for name, t in taken.items()),
        "",
        f"Largest difference to scikit-learn's `roc_auc_score` on {CHECKED} draws of each machine: "
        f"{np.max(np.abs(np.array(ours) - np.array(theirs))):.1e}.",
        "",
    ]
    return "\n".join(rows)
