"""Which features moved, and what each adds to the squared distance to the nearest row.

In the whitened space the difference between a clip and the bank's nearest row is w = (z − zₙ) M,
and d² = Σ wᵢ². M is the symmetric (ZCA) root of the inverse of the shrunk correlation matrix, for
standardised features: of all whitenings the one whose axis i is, on average, most correlated with
feature i (Kessy, Lewin and Strimmer, "Optimal whitening and decorrelation", The American
Statistician 72, 2018, their ZCA-cor). So wᵢ² is feature i's own part: never negative, in sum d²,
and the partition that Garthwaite and Koch ("Evaluating the contributions of individual variables
to a quadratic form", Australian & New Zealand J. Statistics 58, 2016) recommend for a Mahalanobis
distance. Δzᵢ (M Mᵀ Δz)ᵢ sums to d² too, but may be below 0, and of two features that go together
it can give one more than all and the other less than nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfar.detector.explanation.members import Heeded
from nearfar.detector.explanation.movement import Movement
from nearfar.embedder.contract import features_of
from nearfar.embedder.naming import band_of, spoken
from nearfar.scoring.bank import Rows
from nearfar.scoring.whiten import units


def has_names(one: Heeded) -> bool:
    """Has each of its numbers a name that people know?"""
    return bool(features_of(one.recipe.embedder))


def movements_of(one: Heeded) -> tuple[list[Movement], float]:
    """Every feature's movement, the largest contribution first, and d².

    Args:
        one: a member with named features.
    """
    member = one.member
    _, rows = one.nearest
    nearest = int(rows[0])
    adjusted = _unit(one, one.scaled) - _unit(one, member.bank.embeddings[nearest])
    real = _adapted(one, member.embeddings[: len(member.self_scores)])  # (clips, dim)
    value, normal = (_adapted(one, row[None])[0] for row in (one.row, member.embeddings[nearest]))
    mean = real.mean(axis=0)
    sd = units(mean, real - mean)
    moved = [
        Movement(
            of.name, spoken(of), of.family, of.channel, of.unit, band_of(of),
            float(value[i]), float(normal[i]),
            float((value[i] - normal[i]) / sd[i]), float((value[i] - mean[i]) / sd[i]),
            float(adjusted[i]),
        )
        for i, of in enumerate(features_of(one.recipe.embedder))
    ]  # fmt: skip
    # Stable: of equal ones in the table's order.
    return sorted(moved, key=lambda m: -m.contribution), float((adjusted**2).sum())


def _adapted(one: Heeded, rows: NDArray[np.floating]) -> Rows:
    """(n, dim) in the space in which distances are taken before whitening."""
    part = one.member.adaptation
    adapted: Rows = rows.astype(np.float64) if part is None else part(rows)
    return adapted


def _unit(one: Heeded, row: Rows) -> Rows:
    """(dim,) as the rule's metric takes it: by direction alone for a cosine."""
    length = float(np.sqrt((row * row).sum()))
    return row / length if one.recipe.rule.metric == "cosine" and length > 0 else row
