"""A choice by balance as people and programs read it, also where there is no label to judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.parts.data import to_data
from nearfar.study.balance import DISTANCES, FEWEST, Balance
from nearfar.study.claims import Variant
from nearfar.study.data import SCHEMA
from nearfar.text import aligned
from nearfar.version import versions


@dataclass(frozen=True, eq=False)
class Picked:
    """Which candidate is taken for each machine; without labels nobody knows what that is worth.

    >>> import numpy as np
    >>> from nearfar.study.balance import HeldOut, balance
    >>> from nearfar.system.presets import logmel
    >>> near, off = (HeldOut(np.arange(9.0), np.arange(9.0) + k) for k in (1, 5))
    >>> found = balance([{("fan", "00"): off}, {("fan", "00"): near}])
    >>> candidates = Variant("as given", logmel()), Variant("folds=5", logmel())
    >>> Picked(candidates, found, settings={}).as_dict()["balance"]["chosen"]
    {'fan': 'folds=5'}
    """

    candidates: tuple[Variant, ...]  # the system as given first
    balance: Balance
    settings: Mapping[str, Any]
    heading: tuple[str, ...] = ()  # above the table

    @property
    def text(self) -> str:
        """What a person reads."""
        return "\n".join(
            [
                *self.heading,
                shown(self.balance, [v.name for v in self.candidates]),
                "",
                "No test clip has a label, so there is no Ω of this choice; give the ground truth "
                "with --truth FILE.",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """What a program reads; distances of "ks" are 0–1."""
        names = [v.name for v in self.candidates]
        return {
            "schema": SCHEMA,
            "omega": None,  # there, so that a program that asks for it learns that there is none
            "balance": {
                "chosen": {m: names[k] for m, k in self.balance.machines.items()},
                **told(self.balance),
                "candidates": [
                    {
                        "name": v.name,
                        "chosen_for": [m for m, n in self.balance.machines.items() if n == k],
                        "system": to_data(v.system),
                    }
                    for k, v in enumerate(self.candidates)
                ],
            },
            "settings": dict(self.settings),
            "versions": versions(),
        }


def shown(balance: Balance, names: Sequence[str]) -> str:
    """The choice for each machine, and how far apart its domains are to the others."""
    rows = [["machine", "source", "target", "chosen", "distance", "as given", "others"]]
    for machine, k in balance.machines.items():
        source, target = (str(count) for count in balance.counts[machine])
        found = balance.distances[machine]
        if not found:
            rows.append([machine, source, target, names[0], "–", "–", "–"])
            continue
        # Far from all others the choice is sure; among them it may be luck.
        others = [d for i, d in enumerate(found) if i != k] or [found[k]]
        bounds = f"{min(others):.3f} to {max(others):.3f}"
        rows.append(
            [machine, source, target, names[k], f"{found[k]:.3f}", f"{found[0]:.3f}", bounds]
        )
    lines = [
        "chosen for each machine by balance, without labels:",
        aligned(rows),
        f"source, target: held-out normal clips; distance: of their self-scores, "
        f"{DISTANCES[balance.distance]}.",
    ]
    few = [machine for machine, found in balance.distances.items() if not found]
    if few:
        lines.append(
            f"{', '.join(few)}: fewer than {FEWEST} held-out clips of a domain, too few to "
            "compare: the system as given."
        )
    return "\n".join(lines)


def told(balance: Balance) -> dict[str, Any]:
    """The same for JSON, by candidate in their order; None where clips are too few."""
    return {
        "distance": balance.distance,
        "distances": {m: list(found) or None for m, found in balance.distances.items()},
        "clips": {
            m: {"source": source, "target": target}
            for m, (source, target) in balance.counts.items()
        },
    }
