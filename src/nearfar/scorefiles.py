"""Scores as files have them, each put beside its label: by name, never by order.

The official files of a system are one `anomaly_score_<machine>_section_<nn>_test.csv` and one
`decision_result_…` per machine and section, without header, one `file.wav,value` per clip.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nearfar.errors import DatasetError, FormatError, NearfarWarning
from nearfar.store import storage_errors, write_text
from nearfar.truth import BINARY, LabelledFile, Truth, lookup, read_lines, section_name, stem

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from nearfar.scores import Verdict
    from nearfar.truth import Line

Key = tuple[str, str]  # machine, section
Value = TypeVar("Value")

_FILE = re.compile(
    r"(?P<kind>anomaly_score|decision_result)_(?P<machine>.+)_(?:section|id)_(?P<section>[^_]+?)"
    r"(?:_(?:source|target))?(?:_test(?P<run>_seed.*)?)?\.csv"  # 2021 has a file for each domain
)
_BASELINE_PREFIX = re.compile(r"DCASE\d{4}T2")  # before the machine, in the baseline's own names


@dataclass(frozen=True)
class ScoredFile:
    """What a system said about one test clip."""

    machine: str
    section: str
    file: str
    score: float  # any finite number, high = anomalous
    decision: bool | None = None  # None: there is no decision
    where: str = ""  # file and line it was read from, for messages


@dataclass(frozen=True)
class ScoreTable:
    """What a system said about a test set, one row a clip, in any order."""

    rows: tuple[ScoredFile, ...]

    @classmethod
    def from_verdicts(cls, verdicts: Iterable[Verdict]) -> ScoreTable:
        """What a detector of ours said (`Scores`)."""
        return cls(
            tuple(
                ScoredFile(
                    machine=verdict.clip.machine,
                    section=section_name(verdict.clip.section),
                    file=verdict.clip.file,
                    score=float(verdict.score),
                    decision=None if math.isnan(verdict.threshold) else bool(verdict.anomalous),
                    where=str(verdict.clip.path),
                )
                for verdict in verdicts
            )
        )


@dataclass(frozen=True, eq=False)
class Section:
    """The scores and labels of one machine and section, clips sorted by file name."""

    machine: str
    section: str
    files: tuple[str, ...]
    scores: NDArray[np.float64]  # (clips,)
    anomalous: NDArray[np.bool_]  # (clips,)
    target: NDArray[np.bool_] | None  # (clips,); None: no domains
    decisions: NDArray[np.bool_] | None  # (clips,); None: some clip has none

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.machine}, section {self.section}"


def read_scores(folder: str | os.PathLike[str]) -> ScoreTable:
    """Read the score and decision files of one system.

    Args:
        folder: with `anomaly_score_<machine>_section_<nn>_test.csv` files and, beside them or not
            at all, `decision_result_…` of the same names. The names of earlier years (`_id_05`,
            `_section_03`, `_source_test`) and the baseline's own are known too; a header line,
            CRLF, a byte order mark and names without `.wav` are harmless. Machine names may
            contain `_`. Other files are left alone.

    Raises:
        FormatError: no score file, a name or a line that is not as it must be, a score that is not
            a finite number, a decision other than 0 and 1, a clip twice, or decisions that are not
            about the scored clips.
    """
    scores = _read_kind(Path(folder), "anomaly_score", _finite)
    decisions = _read_kind(Path(folder), "decision_result", _decision)
    if not scores:
        raise FormatError(
            f"{folder}: no anomaly_score_<machine>_section_<nn>_test.csv in this folder"
        )
    decided = {key[:2] for key in decisions}
    rows = []
    for key, (where, file, score) in scores.items():
        if key not in decisions and key[:2] in decided:
            raise FormatError(f"{where}: a score but no decision for {file!r}; decide on all clips")
        decision = decisions[key][2] if key in decisions else None
        rows.append(ScoredFile(*key[:2], file, score, decision, where))
    for key, (where, file, _) in decisions.items():
        if key not in scores:
            raise FormatError(f"{where}: a decision but no score for {file!r}; score the clip too")
    return ScoreTable(tuple(rows))


def write_scores(folder: Path, table: ScoreTable) -> list[Path]:
    """Write scores, and decisions where there are any, as the official evaluator reads them.

    Rows are sorted by file name; scores have all their digits, so that reading gives them back.

    Args:
        folder: made if it is not there; its files of the same names are replaced, each whole.
        table: what a system said.

    Returns:
        The files.

    Raises:
        DatasetError: a machine, a section or a clip whose name would not be read back, or a score
            that is not finite.
        StorageError: the folder cannot be written.
    """
    texts: dict[str, list[str]] = {}
    for row in sorted(table.rows, key=lambda row: (row.machine, row.section, row.file)):
        tail = f"{row.machine}_section_{row.section}_test.csv"
        _refuse_unreadable(row, Path(f"anomaly_score_{tail}"))
        texts.setdefault(f"anomaly_score_{tail}", []).append(_row(row.file, repr(float(row.score))))
        if row.decision is not None:
            decided = _row(row.file, str(int(row.decision)))
            texts.setdefault(f"decision_result_{tail}", []).append(decided)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, lines in texts.items():
        write_text(folder / name, "".join(lines))
    return [folder / name for name in texts]


def _refuse_unreadable(row: ScoredFile, path: Path) -> None:
    """What is written must be read back as it was."""
    name, key = path.name, (row.machine, section_name(row.section))
    fits = _FILE.fullmatch(name) is not None and _parse_name(path, "anomaly_score") == key
    if not fits or not _is_plain(row.machine + row.section) or "\\" in name:
        raise DatasetError(
            f"machine {row.machine!r}, section {row.section!r}: no score file can be called so; "
            "rename it"
        )
    if not row.file or row.file != row.file.strip() or not _is_plain(row.file):
        raise DatasetError(
            f"{row.machine}: no score file can hold the name {row.file!r}; rename the clip, "
            "without blanks before or behind"
        )
    if not math.isfinite(row.score):
        raise DatasetError(
            f"{row.machine}: the score of {row.file!r} is {row.score}, need a finite number; score "
            "the clip again"
        )


def _is_plain(name: str) -> bool:
    """Is it one line of text that UTF-8 can say?"""
    # A byte order mark would be taken for the file's own.
    return "\ufeff" not in name and not any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name
    )


def _row(file: str, value: str) -> str:
    """One line; quoted where a name has a comma."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([file, value])
    return out.getvalue()


def join(scores: Sequence[ScoredFile], truth: Truth) -> tuple[Section, ...]:
    """Put each score beside its label.

    Args:
        scores: what a system said, in any order; a clip is known by its file name without `.wav`
            or `.flac`, anonymous or labelled where the truth knows both.
        truth: the labels of exactly the same clips.

    Returns:
        One `Section` per machine and section, sorted by both: the order of rows leaves no trace.

    Raises:
        DatasetError: a clip twice, without a score or without a label, an unknown or missing
            machine, a score that is not finite, or domains for some clips only.
    """
    labels = _index(truth)
    joined: dict[Key, dict[str, tuple[LabelledFile, ScoredFile]]] = {key: {} for key in labels}
    for row in scores:
        if not math.isfinite(row.score):
            raise DatasetError(f"{row.where}: the score of {row.file!r} is {row.score}, need a "
                               "finite number; score the clip again")  # fmt: skip
        label = _label_of(row, labels)
        section = joined[row.machine, section_name(row.section)]
        if label.file in section:
            first = section[label.file][1]
            raise DatasetError(f"{row.where}: {row.file!r} has a score already, as {first.file!r} "
                               f"at {first.where}; keep one")  # fmt: skip
        section[label.file] = (label, row)
    _refuse_missing(joined, truth)
    _refuse_mixed_domains(truth)
    _warn_of_decisions(scores)
    return tuple(_section(key, joined[key]) for key in sorted(joined))


def _read_kind(
    folder: Path, kind: str, parse: Callable[[str, str, str], Value]
) -> dict[tuple[str, str, str], tuple[str, str, Value]]:
    """(machine, section, clip) → (`path:line`, file, value), of all files of one kind."""
    values: dict[tuple[str, str, str], tuple[str, str, Value]] = {}
    for path in sorted(folder.glob(f"{kind}*.csv")):
        machine, section = _parse_name(path, kind)
        for where, fields in _without_header(read_lines(path)):
            if len(fields) != 2 or not fields[0]:
                raise FormatError(f"{where}: {','.join(fields)!r}, need 'file.wav,value'")
            file, text = fields
            key = (machine, section, stem(file))
            if key in values:
                raise FormatError(
                    f"{where}: {file!r} is there twice, first at {values[key][0]}; keep one"
                )
            values[key] = (where, file, parse(text, file, where))
    return values


def _parse_name(path: Path, kind: str) -> Key:
    name = _FILE.fullmatch(path.name)
    if name is None:
        raise FormatError(
            f"{path}: the name tells no machine; it is {kind}_<machine>_section_<nn>_test.csv"
        )
    machine = name["machine"]
    if name["run"]:
        machine = _BASELINE_PREFIX.sub("", machine, count=1)
    return machine, section_name(name["section"])


def _without_header(lines: list[Line]) -> list[Line]:
    """Leave out `file,score`; a clip's name has a digit or a suffix, or a number beside it."""
    name, value = (*lines[0][1], "")[:2]
    clip = any(c.isdigit() for c in name) or stem(name) != name or _is_number(value)
    return lines if clip else lines[1:]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number, nobody else does


def _finite(text: str, file: str, where: str) -> float:
    if not _is_number(text):
        raise FormatError(f"{where}: the score of {file!r} is {text!r}, need a number")
    if not math.isfinite(float(text)):
        raise FormatError(f"{where}: the score of {file!r} is {text}, need a finite number; "
                          "score the clip again")  # fmt: skip
    return float(text)


def _decision(text: str, file: str, where: str) -> bool:
    return lookup(text, BINARY, f"decision on {file!r}", where)


def _index(truth: Truth) -> dict[Key, dict[str, LabelledFile]]:
    """Machine and section → clip → row, under both names of a clip."""
    labels: dict[Key, dict[str, LabelledFile]] = {}
    for row in truth.rows:
        names = labels.setdefault((row.machine, section_name(row.section)), {})
        for name in {stem(row.file), stem(row.alias or row.file)}:
            if name in names:
                raise DatasetError(
                    f"{row.where}: {name!r} of {row.machine}, section {row.section} is labelled "
                    f"twice, first at {names[name].where}; keep one or rename"
                )
            names[name] = row
    if not labels:
        raise DatasetError(
            "no labelled clips to evaluate; give the test set of at least one machine"
        )
    return labels


def _label_of(row: ScoredFile, labels: dict[Key, dict[str, LabelledFile]]) -> LabelledFile:
    names = labels.get((row.machine, section_name(row.section)))
    if names is None:
        known = ", ".join(f"{machine} {section}" for machine, section in sorted(labels))
        raise DatasetError(f"{row.where}: the truth has no machine {row.machine!r} with section "
                           f"{row.section!r}; it has: {known}")  # fmt: skip
    if stem(row.file) not in names:
        near = difflib.get_close_matches(stem(row.file), names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "correct it or leave the clip out"
        raise DatasetError(f"{row.where}: {row.file!r} is not in the truth of {row.machine}, "
                           f"section {row.section}; {hint}")  # fmt: skip
    return names[stem(row.file)]


def _refuse_missing(
    joined: dict[Key, dict[str, tuple[LabelledFile, ScoredFile]]], truth: Truth
) -> None:
    missing: dict[Key, list[LabelledFile]] = {}
    for row in truth.rows:
        key = (row.machine, section_name(row.section))
        if row.file not in joined[key]:
            missing.setdefault(key, []).append(row)
    for key, rows in missing.items():
        raise DatasetError(
            f"{rows[0].where}: no score for {rows[0].file!r} of {key[0]}, section {key[1]} "
            f"({len(rows)} of {len(rows) + len(joined[key])} clips lack one); "
            "score them or leave them out of the truth"
        )


def _refuse_mixed_domains(truth: Truth) -> None:
    without = [row for row in truth.rows if row.domain is None]
    if without and len(without) < len(truth.rows):
        raise DatasetError(
            f"{without[0].where}: {without[0].file!r} of {without[0].machine} has no domain, other "
            "clips have one; give all clips a domain, or none"
        )


def _warn_of_decisions(scores: Sequence[ScoredFile]) -> None:
    without = [row for row in scores if row.decision is None]
    if without and len(without) < len(scores):
        warnings.warn(
            f"{without[0].where}: {len(without)} of {len(scores)} clips have no decision, so there "
            "is no overall precision, recall and F1",
            NearfarWarning,
            stacklevel=4,
        )


def _section(key: Key, clips: dict[str, tuple[LabelledFile, ScoredFile]]) -> Section:
    files = sorted(clips)
    labels = [clips[file][0] for file in files]
    rows = [clips[file][1] for file in files]
    domains = np.array([label.domain == "target" for label in labels])
    decided = all(row.decision is not None for row in rows)
    return Section(
        machine=key[0],
        section=key[1],
        files=tuple(files),
        scores=np.array([row.score for row in rows], dtype=np.float64),
        anomalous=np.array([label.label == "anomaly" for label in labels]),
        target=domains if labels[0].domain is not None else None,
        decisions=np.array([bool(row.decision) for row in rows]) if decided else None,
    )
