"""Areas under ROC curves, from counts: how many clips of either kind have each distinct score.

High score = anomalous; a tie between a normal clip and an anomaly counts one half. A bootstrap draw
is another set of counts, so thousands of draws are a few cumulative sums, and the clips as they are
are the draw that takes every clip once. Counts are whole numbers: their sums are exact.

Reference: D. K. McClish, Analyzing a portion of the ROC curve, Medical Decision Making 9(3), 1989.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nearfar.errors import DatasetError, SettingError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nearfar.metrics.evaluation import Figure
    from nearfar.scores.join import LabelledSection

    Counts = NDArray[np.float64]
    Values = NDArray[np.float64]

MAX_FPR = 0.1  # where the official pAUC ends
_BLOCK = 1 << 16  # draws × clips worked on at once: bounds the memory


def auc(normal: ArrayLike, anomalous: ArrayLike) -> float:
    """Area under the ROC curve: how often an anomaly scores above a normal clip, ties one half.

    Args:
        normal: scores of the normal clips, (clips,).
        anomalous: scores of the anomalies, (clips,).

    Returns:
        0–1; exact but for one rounding.

    Raises:
        DatasetError: no clip of one kind, or a score that is not finite.

    >>> auc([0.1, 0.2, 0.3], [0.3, 0.4])
    0.9166666666666666
    """
    return _of_scores(normal, anomalous, 1.0)


def pauc(normal: ArrayLike, anomalous: ArrayLike, max_fpr: float = MAX_FPR) -> float:
    """Standardised partial AUC up to a false positive rate (McClish): 0.5 is chance, 1 perfect.

    The curve is straight between its points: it is cut at `max_fpr` by interpolation, and tied
    scores are one slanted segment.

    Args:
        normal: scores of the normal clips, (clips,).
        anomalous: scores of the anomalies, (clips,).
        max_fpr: where the partial area ends, above 0 and up to 1.

    Returns:
        From (1 - p/(2 - p))/2 (0.4737 at p = 0.1) to 1.

    Raises:
        DatasetError: no clip of one kind, or a score that is not finite.
        SettingError: `max_fpr` is no such rate.

    >>> pauc([0.1, 0.2, 0.3], [0.3, 0.4])
    0.7763157894736843
    """
    if not 0 < max_fpr <= 1:
        raise SettingError(f"max_fpr {max_fpr}, need a rate above 0 and up to 1")
    return _of_scores(normal, anomalous, max_fpr)


def clips_of(section: LabelledSection, label: str, domain: str) -> NDArray[np.bool_]:
    """Which clips have this label and domain, (clips,)."""
    chosen = section.anomalous if label == "anomaly" else ~section.anomalous
    if domain == "all":
        return chosen
    if section.target is None:
        return np.zeros_like(chosen)
    of_domain = section.target if domain == "target" else ~section.target
    return chosen & of_domain


def resample(
    section: LabelledSection, draws: int, rng: np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Clip numbers, (draws, clips), some draws at a time.

    Column j holds clips of the domain and label of clip j, so labels stay where they are.
    """
    target = np.zeros_like(section.anomalous) if section.target is None else section.target
    strata = [np.flatnonzero((section.anomalous == a) & (target == t))
              for a in (False, True) for t in (False, True)]  # fmt: skip
    step = max(1, _BLOCK // len(section.files))
    for first in range(0, draws, step):
        block = slice(first, min(first + step, draws))
        clips = np.empty((block.stop - first, len(section.files)), dtype=np.intp)
        for members in strata:
            if members.size:
                picked = rng.integers(members.size, size=(len(clips), members.size))
                clips[:, members] = members[picked]
        yield block, clips


def measure(section: LabelledSection, figures: Sequence[Figure], clips: NDArray[np.intp]) -> Values:
    """Figures of a section on resampled clips: (draws, clips) numbers → (draws, figures)."""
    distinct, rank = np.unique(-section.scores, return_inverse=True)  # highest score first
    counted: dict[tuple[str, str], Counts] = {}
    values = np.empty((len(clips), len(figures)))
    for column, figure in enumerate(figures):
        kinds = (("normal", figure.normal), ("anomaly", figure.anomaly))
        for kind in kinds:
            if kind not in counted:
                drawn = rank[clips[:, clips_of(section, *kind)]]
                counted[kind] = _count(drawn, len(distinct))
        normal, anomalous = (counted[kind] for kind in kinds)
        values[:, column] = _area(normal, anomalous, MAX_FPR if figure.curve == "pauc" else 1.0)
    return values


def _count(ranks: NDArray[np.intp], distinct: int) -> Counts:
    """How many clips of each draw have each distinct score: (draws, clips) → (draws, distinct)."""
    draws = len(ranks)
    flat = ranks + distinct * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * distinct).reshape(draws, -1).astype(float)


def _of_scores(normal: ArrayLike, anomalous: ArrayLike, max_fpr: float) -> float:
    both = [np.asarray(x, dtype=np.float64).ravel() for x in (normal, anomalous)]
    for name, x in zip(("normal", "anomalous"), both, strict=True):
        if not x.size:
            raise DatasetError(f"no {name} clips, so AUC and pAUC are undefined; add some")
        if not np.isfinite(x).all():
            raise DatasetError(f"{x[~np.isfinite(x)][0]} among the {name} scores, need finite ones")
    distinct, rank = np.unique(-np.concatenate(both), return_inverse=True)
    ranks = np.split(rank[None, :], [both[0].size], axis=1)
    n, a = (_count(r, len(distinct)) for r in ranks)
    return float(_area(n, a, max_fpr)[0])


def _area(normal: Counts, anomalous: Counts, max_fpr: float) -> Values:
    """(Standardised partial) area under each draw's ROC curve, (draws,).

    Counts are whole numbers, so sums are exact and the order of clips cannot matter.
    """
    size = normal[0].sum() * anomalous[0].sum()  # a draw changes which clips, not how many
    if max_fpr == 1:
        found = np.cumsum(anomalous, axis=1) - 0.5 * anomalous  # anomalies above, ties one half
        return np.asarray(np.einsum("ij,ij->i", normal, found) / size)
    limit = max_fpr * normal[0].sum()  # false alarms where the area ends
    passed = np.cumsum(normal, axis=1)
    last = int(np.argmax(passed.min(axis=0) >= limit)) + 1  # beyond, no draw has any area left
    normal, anomalous, passed = normal[:, :last], anomalous[:, :last], passed[:, :last]
    width = np.clip(limit - (passed - normal), 0, normal)
    above = np.cumsum(anomalous, axis=1) - anomalous
    slope = 0.5 * anomalous * width / np.maximum(normal, 1)  # half of the segment's rise
    area = np.einsum("ij,ij->i", width, above + slope) / size
    chance = max_fpr**2 / 2
    return np.asarray(0.5 * (1 + (area - chance) / (max_fpr - chance)))
