"""A data set as a study sees it: its test split, its rule, what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nearfar.clips import Clips
from nearfar.clips.collection import NoClips
from nearfar.clips.folders import check_sets
from nearfar.errors import DatasetError, did_you_mean
from nearfar.parts.data import to_data

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName
    from nearfar.system.system import Ensemble, System


SCHEMA = 1  # of the JSON of evaluate and ablate; raised when a program that reads it could err


@dataclass(frozen=True)
class Given:
    """Where a study's clips lie, and how they are listed.

    Args:
        places: DCASE folders, folders, CSVs or files. One that has clips of one split only gives
            those, if another has the rest: fit.csv and judge.csv.
        opened: further arguments of `Clips.open`, such as `pair` and `salvage`.

    >>> str(Given.of("fan")), str(Given((Path("fan"), Path("pump"))))
    ('fan', 'fan, pump')
    """

    places: tuple[Path, ...]
    opened: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Places) -> Given:
        """What was given as one: a place, several, or a source already."""
        if isinstance(data, Given):
            return data
        return cls((Path(data),) if isinstance(data, str | Path) else tuple(map(Path, data)))

    def __str__(self) -> str:
        return ", ".join(map(str, self.places))

    def open(self, split: str, machines: Sequence[str] | None = None) -> Clips:
        """The clips of one split.

        Raises:
            DatasetError: no place has any, an unknown machine, or as `Clips.open`.
        """
        if len(self.places) == 1:
            return Clips.open(self.places[0], split, machines, **self.opened)
        found: dict[Any, None] = {}
        empty: list[NoClips] = []
        homes: dict[tuple[str, str, str], Path] = {}
        for place in self.places:
            try:
                clips = Clips.open(place, split, **self.opened)
            except NoClips as nothing:
                empty.append(nothing)
                continue
            if self.opened.get("machine") is None:  # as where a fit is given several
                check_sets(clips, place, homes)
            found |= dict.fromkeys(clips)
        if not found and empty:
            raise empty[0]
        clips = Clips(found)
        # Asked of all together: one machine may lie in one place, the next in another.
        for name in machines or ():
            if name not in clips.machines:
                known = did_you_mean(name, clips.machines)
                raise DatasetError(f"{self}: no machine {name!r}; {known}")
        return Clips(c for c in clips if machines is None or c.machine in machines)


Places = Given | Path | str | Sequence[Path | str]


def described(
    data: Places, name: str, system: System | Ensemble
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a result says of how it was made, and the line above it for simulated data."""
    settings = {"name": name, "system": to_data(system)}
    simulated = simulated_label(data)
    if not simulated:
        return settings, ()
    return {**settings, "data": simulated}, (simulated,)


def simulated_label(data: Places) -> str:
    """What simulated data sets say of themselves in their manifests; "" for other data."""
    return "; ".join(dict.fromkeys(filter(None, map(_label, Given.of(data).places))))


def _label(place: Path) -> str:
    # A machine's folder, or its test clips, are of the set above them.
    above = (place, *place.resolve().parents[:2])
    return next(filter(None, map(_own_label, above)), "")


def _own_label(place: Path) -> str:
    try:
        said = json.loads((place / "manifest.json").read_text(encoding="utf-8"))["label"]
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


def open_test(data: Places) -> Clips:
    """The test split of a data set.

    Raises:
        DatasetError: it has none.
    """
    data = Given.of(data)
    test = data.open("test")
    # A CSV need not say "test": its labels tell that it is for judging.
    if any(c.split != "test" and c.label is None for c in test):
        raise DatasetError(f"{data}: has no test clips; give a DCASE folder, or a CSV with labels")
    return test


def test_if_any(data: Places) -> Clips | None:
    """The test split of a data set; None of one that has none, for whoever can go on without."""
    try:
        return open_test(data)
    except NoClips:
        return None


def rule_of(test: Clips) -> RuleName | None:
    """2021 had its own rule and gave each domain a test folder; the names do not tell."""
    folders = {clip.path.parent.name for clip in test}
    # None: clips with or without domains tell Ω from 2020, see `evaluate`.
    return "2021" if folders & {"source_test", "target_test"} else None
