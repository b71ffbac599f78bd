"""Results that somebody wants to compare: read from files, named, and of the same clips."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.errors import DatasetError, FormatError, SettingError, several, warn
from nearfar.scores.files import read_scores
from nearfar.scores.join import ScoreTable, index_of
from nearfar.scores.saved import as_ours, read_json, read_table, table_of, truth_of
from nearfar.scores.scaling import TRANSDUCTIVE, scaled_within
from nearfar.scores.submission.archive import in_zip
from nearfar.scores.truth import Truth, place, quoted, section_name, shown, stem
from nearfar.text import called, counted, named

if TYPE_CHECKING:
    from nearfar.metrics.official import RuleName

ClipName = tuple[str, str, str]  # machine, section, the truth's own name without suffix
MAKE = "make it with nearfar evaluate DATA --json FILE"


@dataclass(frozen=True)
class Attempt:
    """One result: a file, or a folder of score files.

    >>> Attempt(Path("a.json"), ScoreTable(())).truth is None
    True
    """

    path: Path
    scores: ScoreTable
    truth: Truth | None = None  # the labels that its file has
    rule: str = ""  # by which its number was found; "" if it has none
    transductive: bool = False  # it says so itself
    simulated: str = ""  # what it says of simulated data


@dataclass(frozen=True)
class Entrant:
    """One system: a result, or several that differ in their seed.

    >>> Entrant("s1", (Attempt(Path("a.json"), ScoreTable(())),)).name
    's1'
    """

    name: str
    runs: tuple[Attempt, ...]


def read_entrants(asked: Sequence[str]) -> tuple[Entrant, ...]:
    """Read what is to be compared.

    Systems are grouped by whoever names them: two trainings of one recipe differ in weights that no
    file tells apart from another recipe's.

    Args:
        asked: each a JSON of `evaluate` or `score`, a CSV of `score`, a folder of score files or a
            system in a package (`submission.zip/1`), or NAME=A,B,… for runs of one system with
            several seeds.

    Raises:
        SettingError: fewer than two results, one twice, or two of one name.
        FormatError: what is none of these.
    """
    groups = [_asked(text) for text in asked]
    # Before any is read: with many seeds that takes a while.
    paths = [path for _, found in groups for path in found]
    for n, path in enumerate(paths):
        twin = next((p for p in paths[:n] if _same(p, path)), None)
        if twin is not None:
            raise SettingError(
                f"{place(path)}: named twice; a result differs from itself by nothing, so "
                "leave one out"
            )
    if len(paths) < 2:
        raise SettingError(
            f"{len(paths)} result; a comparison needs two at least, as in nearfar compare A.json "
            "B.json"
        )
    names = _names(groups)
    return tuple(
        Entrant(name, tuple(_attempt(path) for path in found))
        for name, (_, found) in zip(names, groups, strict=True)
    )


def truth_for(entrants: Sequence[Entrant], truth: Truth | None) -> Truth:
    """The labels by which all are judged: those given, or those that the results bring.

    Raises:
        SettingError: there are none.
        DatasetError: two results have other labels for one clip. With labels that were given that
            is a warning.
    """
    runs = _runs(entrants)
    told = [(run, run.truth) for run in runs if run.truth is not None]
    if truth is None and not told:
        raise SettingError(
            f"{place(runs[0].path)}: scores without labels; give --truth FILE, or {MAKE}"
        )
    # What the user gives goes before what files say of themselves.
    first, labels = (None, truth) if truth is not None else told[0]
    for run, other in told:
        if not (unlike := _unlike(labels, other)):
            continue
        what = f"{place(run.path)}: {counted(len(unlike), 'clip')} with another label or domain"
        if first is not None:
            raise DatasetError(
                f"{what} than in {place(first.path)}: {named(unlike)}; give the right ones with "
                "--truth FILE"
            )
        warn(f"{what} than in the ground truth, which counts: {named(unlike)}")
    return labels


def _unlike(labels: Truth, other: Truth) -> list[str]:
    """The clips of which two say different things."""
    index = index_of(labels)
    return [
        quoted(row.file)
        for row in other.rows
        if (mine := index.get((row.machine, row.section), {}).get(stem(row.file)))
        and (mine.label, mine.domain) != (row.label, row.domain)
    ]


def check_clips(entrants: Sequence[Entrant], truth: Truth) -> None:
    """Refuse results of different clips.

    Raises:
        DatasetError: names the clips, by result.
    """
    runs = _runs(entrants)
    index = index_of(truth)
    first = _clips(runs[0].scores, index)
    faults = []
    for run in runs[1:]:
        clips = _clips(run.scores, index)
        lacks, has = first.keys() - clips.keys(), clips.keys() - first.keys()
        # Both ways, for a renamed clip is one of either.
        told = [
            f"{counted(len(found), 'clip')} {what} ({named([_told(c) for c in sorted(found)])})"
            for found, what in ((lacks, "missing"), (has, "too many"))
            if found
        ]
        if told:
            faults.append(
                DatasetError(
                    f"{shown(run.path)} against {shown(runs[0].path)}: {', '.join(told)}; compare "
                    "results of the same clips"
                )
            )
    if faults:
        raise several(faults, f"{len(faults)} results are not of the first one's clips")


def rule_for(entrants: Sequence[Entrant], rule: RuleName | None) -> RuleName | None:
    """The year's rule that all are judged by; None leaves it to the clips.

    Raises:
        SettingError: the results were judged by several.
    """
    if rule is not None:
        return rule
    # Reversed, so that of each rule the first result stands for it.
    by: dict[Any, Attempt] = {run.rule: run for run in reversed(_runs(entrants)) if run.rule}
    if len(by) > 1:
        told = " and ".join(f"{place(run.path)} by {shown(name)}" for name, run in by.items())
        raise SettingError(f"judged by different rules: {told}; judge all by one with --rule YEAR")
    found: RuleName | None = next(iter(by), None)  # one of the years', or `contest` names it
    return found


def check_transductive(entrants: Sequence[Entrant], allowed: bool) -> tuple[str, ...]:
    """The names of systems whose scores were made with the other test clips.

    Raises:
        SettingError: there is one, and that is not allowed.
    """
    names = []
    for entrant in entrants:
        for run in entrant.runs:
            # By what scores look like too: most files do not say how they were made.
            found = "" if run.transductive else scaled_within(run.scores)
            if not (found or run.transductive):
                continue
            if not allowed:
                what = f"has {found}" if found else f"calls itself {TRANSDUCTIVE}"
                raise SettingError(
                    f"{place(run.path)}: {what}, so each score was made with the other test clips, "
                    "and no number of them may stand beside others; give the scores as they were, "
                    "or say --transductive"
                )
            names.append(entrant.name)
    return tuple(dict.fromkeys(names))


def warn_of_twins(entrants: Iterable[Entrant]) -> None:
    """Say where two runs of one system have the same scores: they are no two seeds."""
    for entrant in entrants:
        seen: dict[frozenset[Any], Path] = {}
        for run in entrant.runs:
            rows = frozenset((r.machine, r.section, stem(r.file), r.score) for r in run.scores.rows)
            if rows in seen:
                warn(
                    f"{place(run.path)}: has the scores of {place(seen[rows])}, so what seeds do "
                    f"to {shown(entrant.name)} looks smaller than it is"
                )
            seen.setdefault(rows, run.path)


def _runs(entrants: Iterable[Entrant]) -> list[Attempt]:
    return [run for entrant in entrants for run in entrant.runs]


def _clips(scores: ScoreTable, index: Any) -> dict[ClipName, None]:
    """The clips of a result, under the truth's own names where it knows them."""
    found: dict[ClipName, None] = {}
    for row in scores.rows:
        key = (row.machine, section_name(row.section))
        label = index.get(key, {}).get(stem(row.file))
        found[(*key, stem(label.file if label else row.file))] = None
    return found


def _told(clip: ClipName) -> str:
    # Long enough for names of the challenge: of two that differ in front both ends must show.
    return f"{shown(called(*clip[:2]), 30)}/{shown(clip[2], 56)}"


def _asked(text: str) -> tuple[str, list[Path]]:
    """A name, "" if none was given, and paths."""
    # A file may have = or a comma in its name: what is there is meant.
    if _is_there(text) or "=" not in text:
        return "", [Path(text)]
    name, _, rest = text.partition("=")
    places = [rest] if _is_there(rest) else rest.split(",")
    if not name.strip() or not all(places):
        raise SettingError(f"{quoted(text)}: need NAME=A.json,B.json, runs of one system")
    return name.strip(), [Path(one) for one in places]


def _names(groups: Sequence[tuple[str, list[Path]]]) -> list[str]:
    """What systems are called: as asked, or as their file, with folders where two are alike."""
    given = Counter(name for name, _ in groups if name)
    if twice := [name for name, count in given.items() if count > 1]:
        raise SettingError(
            f"two systems are called {quoted(twice[0])}; give each a name of its own, or all runs "
            "of one in a single NAME=A,B"
        )
    whole = [found[0].absolute() for _, found in groups]
    # A folder's name may hold dots; of a file the ending says nothing.
    parts = [(*p.parts[:-1], p.name if p.is_dir() else p.stem) for p in whole]
    # A system's number in a package is no name without the package.
    parts = [
        (*part[:-2], "/".join(part[-2:])) if p.name.isdigit() and in_zip(p) else part
        for p, part in zip(whole, parts, strict=True)
    ]
    for length in range(1, max(map(len, parts)) + 1):
        names = [
            name or "/".join(mine[-length:]) for (name, _), mine in zip(groups, parts, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    # a.json beside a.csv
    return [name or str(found[0]) for name, found in groups]


def _same(one: Path, other: Path) -> bool:
    return _is_there(one) and _is_there(other) and one.samefile(other)


def _is_there(path: str | Path) -> bool:
    # A list of twenty runs is longer than any name may be, at which pathlib raises.
    return os.path.exists(path)


def _attempt(path: Path) -> Attempt:
    # A system of a package is read as `evaluate` reads it.
    if (_is_there(path) and path.is_dir()) or in_zip(path):
        return Attempt(path, read_scores(path))
    if path.suffix.lower() == ".csv":
        return Attempt(path, read_table(path))
    # What is in a file tells what it is: people call JSON what they like.
    data = read_json(path)
    rows = data.get("scores") if isinstance(data, dict) else None
    if isinstance(data, dict) and "table" in data and not rows:
        raise FormatError(
            f"{place(path)}: has figures, but no scores of clips (a choice among settings keeps "
            f"none), so nothing in it can be paired; {MAKE}"
        )
    with as_ours(path, MAKE):
        if isinstance(data, dict) and isinstance(rows, list) and rows:
            return _of_json(path, data, rows)
        raise LookupError("scores")


def _of_json(path: Path, data: dict[str, Any], rows: list[Any]) -> Attempt:
    said = (data.get("settings") or {}).get("data", "")
    return Attempt(
        path, table_of(rows, path), truth_of(rows, path), str(data.get("rule") or ""),
        transductive=bool(data.get(TRANSDUCTIVE)), simulated=said if isinstance(said, str) else "",
    )  # fmt: skip
