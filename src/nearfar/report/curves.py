"""Scores of one machine as pictures need them: its ROC curves and its histogram."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.metrics.roc import MAX_FPR, auc, pauc
from nearfar.report.evaluated import Place, place_of
from nearfar.scores.truth import LabelledFile
from nearfar.scores.verdict import Verdict

Values = NDArray[np.float64]
BINS = 30  # of a histogram; with 50 clips a cell more would show chance


@dataclass(frozen=True, eq=False)
class Curve:
    """A ROC curve, from (0, 0) to (1, 1).

    >>> curve = roc(np.array([0.1, 0.3]), np.array([0.2, 0.4]))
    >>> curve.false.tolist(), curve.true.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """

    false: Values  # (points,) share of normal clips at or above a score, rising
    true: Values  # (points,) share of anomalies
    auc: float
    pauc: float  # McClish, up to `MAX_FPR`

    def up_to(self, limit: float = MAX_FPR) -> tuple[Values, Values]:
        """The curve cut at a false positive rate, by interpolation."""
        inside = self.false <= limit
        at = float(np.interp(limit, self.false, self.true))
        # A vertical piece at the limit itself is inside; the point at it would come twice.
        return np.append(self.false[inside], limit), np.append(self.true[inside], at)


def roc(normal: Values, anomalous: Values) -> Curve:
    """The curve of scores, high = anomalous; tied scores are one slanted segment.

    Args:
        normal, anomalous: (clips,) each, at least one.

    Raises:
        DatasetError: none of a kind.
    """
    areas = auc(normal, anomalous), pauc(normal, anomalous)
    scores = np.unique(np.concatenate([normal, anomalous]))[::-1]  # highest first
    false, true = (
        # How many are at or above each score.
        1 - np.searchsorted(np.sort(kind), scores, side="left") / len(kind)
        for kind in (normal, anomalous)
    )
    return Curve(np.append(0.0, false), np.append(0.0, true), *areas)


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many clips of each kind have a score in each bin.

    >>> histogram({"normal": np.array([1.0, 1.0, 3.0])}, bins=2).counts["normal"].tolist()
    [2, 1]
    """

    edges: Values  # (bins + 1,)
    counts: Mapping[str, NDArray[np.int64]]  # kind → (bins,)
    beyond: int = 0  # clips above the last edge, counted in the last bin


def histogram(
    scores: Mapping[str, Values], bins: int = BINS, usual: float | None = None
) -> Histogram:
    """Count scores; those that lie far above the others share the last bin.

    Args:
        scores: kind → (clips,).
        bins: how many.
        usual: a score as high as is usual, such as a threshold: from three times as far above the
            lowest on it is far. None takes what 95 % of the clips do not exceed.
    """
    everything = np.concatenate([np.asarray(s, np.float64) for s in scores.values()])
    if not everything.size:
        return Histogram(np.linspace(0, 1, bins + 1), {k: np.zeros(bins, np.int64) for k in scores})
    low, high = float(everything.min()), float(everything.max())
    # A clip at fifty times the others would press all of these into one bin.
    reach = (float(np.quantile(everything, 0.95)) if usual is None else usual) - low
    top = min(high, low + 3 * reach) if reach > 0 else high
    edges = np.linspace(low, top if top > low else low + 1, bins + 1)
    counts = {
        kind: np.histogram(np.minimum(values, edges[-1]), edges)[0].astype(np.int64)
        for kind, values in scores.items()
    }
    return Histogram(edges, counts, int((everything > edges[-1]).sum()))


def kinds(verdicts: Sequence[Verdict], labels: Mapping[Place, LabelledFile]) -> dict[str, Values]:
    """Scores by what is known of a clip, as "normal, source"; of unlabelled ones, "clips".

    Args:
        verdicts: of one machine and section, judged.
        labels: what is known of clips, `by_clip`.
    """
    found: dict[str, list[float]] = {}
    for v in verdicts:
        if not math.isfinite(v.score):  # of a person's own rule: it has no place on an axis
            continue
        known = labels.get(place_of(v))
        label = known.label if known else v.clip.label or "clips"
        domain = known.domain if known else v.clip.domain
        found.setdefault(f"{label}, {domain}" if domain else label, []).append(v.score)
    return {kind: np.array(found[kind]) for kind in sorted(found, key=_place)}


def _place(kind: str) -> tuple[bool, bool, str]:
    return kind.startswith("anomaly"), kind.endswith("target"), kind
