"""What each frequency band says, where a member has a bank for each of them."""

from __future__ import annotations

import numpy as np

from nearfar.detector.explanation.band import BandShare
from nearfar.detector.explanation.members import Heeded
from nearfar.embedder.contract import hertz_of
from nearfar.scoring.bank import Rows
from nearfar.scoring.parted import PerBand

COMPARED = 100  # normal clips, evenly spread, that say what is usual: more would take seconds


def is_banded(one: Heeded) -> bool:
    """Has it a bank for each band?"""
    return isinstance(one.recipe.rule, PerBand)


def bands_of(one: Heeded) -> tuple[BandShare, ...]:
    """Every band of a member with a bank for each, low frequencies first; () of any other."""
    rule, member = one.recipe.rule, one.member
    if not isinstance(rule, PerBand):
        return ()
    said = rule.by_band(one.scaled[None], member.bank)[0]  # (bands,)
    usual, spread = _usual(one, rule)
    raised = np.maximum(said, 0.0)
    shares = raised / raised.sum() if raised.any() else np.full(len(said), 1 / len(said))
    edges = hertz_of(one.recipe.embedder)
    known = len(edges) == rule.bands + 1
    return tuple(
        BandShare(
            n, rule.bands, (edges[n], edges[n + 1]) if known else None, float(said[n]),
            float(usual[n]), float((said[n] - usual[n]) / spread[n]), float(shares[n]),
        )
        for n in range(rule.bands)
    )  # fmt: skip


def _usual(one: Heeded, rule: PerBand) -> tuple[Rows, Rows]:
    """Of each band what normal clips get, each held out: median and spread, (bands,)."""
    member = one.member
    clips = len(member.self_scores)  # real rows come first, one a clip
    chosen = np.unique(np.linspace(0, clips - 1, min(clips, COMPARED)).astype(int))
    if len(np.unique(member.origin)) < 2:  # nothing to hold it against
        return np.full(rule.bands, np.nan), np.ones(rule.bands)
    rows = member.bank.embeddings[chosen]
    said = rule.by_band(rows, member.bank, member.origin[chosen])  # (chosen, bands)
    low, middle, high = np.quantile(said, [0.25, 0.5, 0.75], axis=0)
    # Of a normal distribution the quartiles are 1.35 standard deviations apart.
    return middle, np.where(high > low, (high - low) / 1.35, 1.0)
