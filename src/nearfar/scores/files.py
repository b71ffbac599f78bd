"""Scores as files have them, written and read.

The official files of a system are one `anomaly_score_<machine>_section_<nn>_test.csv` and one
`decision_result_…` per machine and section, without header, one `file.wav,value` per clip.
"""

from __future__ import annotations

import csv
import io
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nearfar.errors import DatasetError, FormatError
from nearfar.files import storage_errors, write_text
from nearfar.scores.join import Key, ScoredFile, ScoreTable
from nearfar.scores.submission.archive import in_zip, score_files
from nearfar.scores.truth import (
    BINARY,
    lines_of,
    lookup,
    place,
    quoted,
    read_lines,
    section_name,
    shown,
    stem,
)

if TYPE_CHECKING:
    import os

    from nearfar.scores.truth import Line


Value = TypeVar("Value")

# The last `_section_` counts, since machine names may contain `_`.
_FILE = re.compile(
    r"(?P<kind>anomaly_score|decision_result)_(?P<machine>.+)_(?:section|id)_(?P<section>[^_]+?)"
    r"(?:_(?:source|target))?(?:_test(?P<run>_seed.*)?)?\.csv"  # 2021 has a file for each domain
)
KINDS = ("anomaly_score", "decision_result")  # how the two files of a section begin
_BASELINE_PREFIX = re.compile(r"DCASE\d{4}T2")  # before the machine, in the baseline's own names


def read_scores(folder: str | os.PathLike[str]) -> ScoreTable:
    """Read the score and decision files of one system.

    Args:
        folder: with `anomaly_score_<machine>_section_<nn>_test.csv` files and, beside them or not
            at all, `decision_result_…` of the same names. The names of earlier years (`_id_05`,
            `_section_03`, `_source_test`) and the baseline's own are known too; a header line,
            CRLF, a byte order mark and names without `.wav` are harmless. Machine names may
            contain `_`. Other files are left alone. A package's zip is read too, and a system in
            it by its name or number: `submission.zip/Kim_LUDO_task2_1`, `submission.zip/1`.

    Raises:
        FormatError: no score file, a name or a line that is not as it must be, a score that is not
            a finite number, a decision other than 0 and 1, a clip twice, or decisions that are not
            about the scored clips.
    """
    found = _files_of(Path(folder))
    scores = _read_kind(found, "anomaly_score", _finite)
    decisions = _read_kind(found, "decision_result", _decision)
    if not scores:
        raise FormatError(
            f"{place(Path(folder))}: no anomaly_score_<machine>_section_<nn>_test.csv in this "
            "folder"
        )
    decided = {key[:2] for key in decisions}  # all clips of a machine and section, or none
    rows = []
    for key, (where, file, score) in scores.items():
        if key not in decisions and key[:2] in decided:
            raise FormatError(
                f"{where}: a score but no decision for {quoted(file)}; decide on all clips"
            )
        decision = decisions[key][2] if key in decisions else None
        rows.append(ScoredFile(*key[:2], file, score, decision, where))
    for key, (where, file, _) in decisions.items():
        if key not in scores:
            raise FormatError(
                f"{where}: a decision but no score for {quoted(file)}; score the clip too"
            )
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
    texts = score_texts(table)  # all of them, before the first file is written
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def score_texts(table: ScoreTable) -> dict[str, str]:
    """Name → text of each file that `write_scores` writes.

    Raises:
        DatasetError: what would not be read back, as `write_scores` says.
    """
    texts: dict[str, list[str]] = {}
    for row in sorted(table.rows, key=lambda row: (row.machine, row.section, row.file)):
        tail = f"{row.machine}_section_{row.section}_test.csv"
        _refuse_unreadable(row, Path(f"anomaly_score_{tail}"))
        # repr: with fewer digits different scores would become equal ones, and AUC would change.
        texts.setdefault(f"anomaly_score_{tail}", []).append(_row(row.file, repr(float(row.score))))
        if row.decision is not None:
            decided = _row(row.file, str(int(row.decision)))
            texts.setdefault(f"decision_result_{tail}", []).append(decided)
    return {name: "".join(lines) for name, lines in texts.items()}


def _refuse_unreadable(row: ScoredFile, path: Path) -> None:
    """What is written must be read back as it was."""
    name, key = path.name, (row.machine, section_name(row.section))
    # The reader itself is asked, so that the two cannot drift apart.
    if (
        named_key(name, "anomaly_score") != key
        or not _is_plain(row.machine + row.section)
        or "\\" in name
    ):
        raise DatasetError(
            f"machine {quoted(row.machine)}, section {quoted(row.section)}: no score file can be "
            f"called so; "
            "rename it"
        )
    if not row.file or row.file != row.file.strip() or not _is_plain(row.file):
        raise DatasetError(
            f"{shown(row.machine)}: no score file can hold the name {quoted(row.file)}; rename "
            f"the clip, "
            "without blanks before or behind"
        )
    if not math.isfinite(row.score):
        raise DatasetError(
            f"{shown(row.machine)}: the score of {quoted(row.file)} is {row.score}, need a "
            f"finite number; score "
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


def _files_of(folder: Path) -> dict[Path, Callable[[], list[Line]]]:
    """Score and decision files of a folder, or of a system in a zip → what reads their lines."""
    zipped = in_zip(folder)
    if zipped is not None:
        inside = score_files(*zipped, KINDS)
        return {path: partial(lines_of, content, path) for path, content in inside.items()}
    paths = [path for kind in KINDS for path in sorted(folder.glob(f"{kind}*.csv"))]
    return {path: partial(read_lines, path) for path in paths}


def _read_kind(
    found: Mapping[Path, Callable[[], list[Line]]],
    kind: str,
    parse: Callable[[str, str, str], Value],
) -> dict[tuple[str, str, str], tuple[str, str, Value]]:
    """(machine, section, clip) → (`path:line`, file, value), of all files of one kind."""
    values: dict[tuple[str, str, str], tuple[str, str, Value]] = {}
    for path, lines in found.items():
        if not path.name.startswith(kind):
            continue
        machine, section = _parse_name(path, kind)
        for where, fields in _without_header(lines()):
            if len(fields) != 2 or not fields[0]:
                raise FormatError(f"{where}: {quoted(','.join(fields))}, need 'file.wav,value'")
            file, text = fields
            key = (machine, section, stem(file))  # with and without suffix it is one clip
            if key in values:
                raise FormatError(
                    f"{where}: {quoted(file)} is there twice, first at {values[key][0]}; keep one"
                )
            values[key] = (where, file, parse(text, file, where))
    return values


def _parse_name(path: Path, kind: str) -> Key:
    key = named_key(path.name, kind)
    if key is None:
        raise FormatError(
            f"{place(path)}: the name tells no machine; it is "
            f"{kind}_<machine>_section_<nn>_test.csv"
        )
    return key


def named_key(name: str, kind: str) -> Key | None:
    """Machine and section that the name of a score or decision file tells; None if none.

    >>> named_key("anomaly_score_fan_section_00_test.csv", "anomaly_score")
    ('fan', '00')
    """
    found = _FILE.fullmatch(name)
    if found is None or found["kind"] != kind:
        return None
    machine = found["machine"]
    if found["run"]:  # only such names have the prefix; a machine may be called so, too
        machine = _BASELINE_PREFIX.sub("", machine, count=1)
    return machine, section_name(found["section"])


def _without_header(lines: list[Line]) -> list[Line]:
    """Leave out `file,score`; a clip's name has a digit or a suffix, or a number beside it."""
    # Only the first line can be one: a word among numbers further down is an error to be told.
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
        raise FormatError(f"{where}: the score of {quoted(file)} is {quoted(text)}, need a number")
    if not math.isfinite(float(text)):
        raise FormatError(f"{where}: the score of {quoted(file)} is {quoted(text)}, need a "
                          f"finite number; "
                          "score the clip again")  # fmt: skip
    return float(text)


def _decision(text: str, file: str, where: str) -> bool:
    return lookup(text, BINARY, f"decision on {quoted(file)}", where)
