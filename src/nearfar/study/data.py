"""A data set as a study sees it: its test split, its rule, what it says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nearfar.clips import Clips
from nearfar.errors import DatasetError
from nearfar.parts.data import to_data

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName
    from nearfar.system.system import Ensemble, System


def described(
    data: Path, name: str, system: System | Ensemble
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a result says of how it was made, and the line above it for simulated data."""
    settings = {"name": name, "system": to_data(system)}
    simulated = simulated_label(data)
    if not simulated:
        return settings, ()
    return {**settings, "data": simulated}, (simulated,)


def simulated_label(data: Path) -> str:
    """What a simulated data set says of itself in its manifest; "" for other data."""
    try:
        said = json.loads((data / "manifest.json").read_text(encoding="utf-8"))["label"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or somebody else's
        return ""
    # A number from simulated data is never shown without these words.
    return said if isinstance(said, str) and said.startswith("SIMULATED ") else ""


class Printable(Protocol):
    """What a command prints and writes.

    >>> class Answer:
    ...     text = "Ω = 64.41 %"
    ...     def as_dict(self):
    ...         return {"omega": 0.6441}
    >>> result: Printable = Answer()
    >>> result.text
    'Ω = 64.41 %'
    """

    @property
    def text(self) -> str:
        """What a person reads."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        ...


def is_result(path: Path) -> bool:
    """Is a file plainly figures that `evaluate` or `ablate` wrote?"""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    # Every result says by which versions it was made.
    versions = found.get("versions") if isinstance(found, dict) else None
    return isinstance(versions, dict) and "nearfar" in versions


def open_test(data: Path) -> Clips:
    """The test split of a data set.

    Raises:
        DatasetError: it has none.
    """
    test = Clips.open(data, split="test")
    # A CSV need not say "test": its labels tell that it is for judging.
    if any(c.split != "test" and c.label is None for c in test):
        raise DatasetError(f"{data}: has no test clips; give a DCASE folder, or a CSV with labels")
    return test


def rule_of(test: Clips) -> RuleName | None:
    """2021 had its own rule and gave each domain a test folder; the names do not tell."""
    folders = {clip.path.parent.name for clip in test}
    # None: clips with or without domains tell Ω from 2020, see `evaluate`.
    return "2021" if folders & {"source_test", "target_test"} else None
