"""Scores of clips as our own files have them: rows of JSON or CSV, with labels where known."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.clips import words
from nearfar.errors import FormatError
from nearfar.scores.join import ScoredFile, ScoreTable, index_of
from nearfar.scores.truth import (
    BINARY,
    LabelledFile,
    Truth,
    lookup,
    place,
    quoted,
    section_name,
    stem,
)

_DOMAINS = {"source": "source", "target": "target"}
_LABELS = {"normal": "normal", "anomaly": "anomaly"}
_FLAGS: Mapping[str, bool | None] = {**BINARY, "True": True, "False": False, "": None}


def rows_of(table: ScoreTable, truth: Truth | None = None) -> list[dict[str, Any]]:
    """What `evaluate --json` says of clips: a row each, in the table's order.

    Args:
        table: scores, and decisions where there are any.
        truth: the labels of its clips; None writes none.

    >>> table = ScoreTable((ScoredFile("fan", "00", "a.wav", 0.7, True),))
    >>> truth = Truth((LabelledFile("fan", "00", "a.wav", "source", "anomaly"),))
    >>> rows_of(table, truth)[0]["label"]
    'anomaly'
    """
    labels = index_of(truth) if truth is not None else {}
    rows = []
    for one in table.rows:
        row: dict[str, Any] = {
            "machine": one.machine, "section": one.section, "file": one.file, "score": one.score,
            "anomalous": one.decision,
        }  # fmt: skip
        known = labels.get((one.machine, section_name(one.section)), {}).get(stem(one.file))
        if known is not None:
            row |= {"domain": known.domain, "label": known.label}
            # By this name clips are sorted, and by their order a bootstrap draws.
            if stem(known.file) != stem(one.file):
                row["labelled_as"] = known.file
        rows.append(row)
    return rows


def table_of(rows: Sequence[Mapping[str, Any]], path: Path) -> ScoreTable:
    """Scores of clips from rows; those of clips that were not judged have none, and stay out.

    Args:
        rows: of `evaluate --json`, `score --json` or `score --csv`.
        path: where they are from, for messages.

    Raises:
        FormatError: a score that is no finite number.
        LookupError, TypeError, ValueError: rows of something else.
    """
    return ScoreTable(
        tuple(
            ScoredFile(
                str(row["machine"]), section_name(str(row["section"])), _key(row),
                _finite(row, path), _flag(row), place(path),
            )
            for row in rows
            if row["score"] is not None
        )
    )  # fmt: skip


def truth_of(rows: Sequence[Mapping[str, Any]], path: Path) -> Truth | None:
    """The labels in rows; None of rows without, as older files and those of `score` are.

    Raises:
        FormatError: a label of some clips only, or one that is none.
    """
    # Clips that were not judged stay out here as they do of the scores: both fit one to one.
    told = [row for row in rows if row["score"] is not None]
    if not any("label" in row for row in told):
        return None
    where, labelled = place(path), []
    for row in told:
        file, domain = _key(row), row.get("domain")
        label = lookup(str(row.get("label")), _LABELS, f"label of {quoted(file)}", where)
        labelled.append(
            LabelledFile(
                str(row["machine"]), section_name(str(row["section"])),
                str(row.get("labelled_as", file)),
                None if domain is None else lookup(str(domain), _DOMAINS, "domain", where),
                label, alias=file, where=where,
            )
        )  # fmt: skip
    return Truth(tuple(labelled))


def read_json(path: Path) -> Any:
    """What a JSON file holds; None of a file that holds none.

    Raises:
        FormatError: missing, or it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        return None


@contextmanager
def as_ours(path: Path, way: str) -> Iterator[None]:
    """Say in one line that a JSON is none of ours, or not as we write it; `way` is the way out.

    The body raises LookupError where the file is of neither kind.
    """
    try:
        yield
    except FormatError:  # said already
        raise
    # Of another version, or written by hand.
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        raise FormatError(
            f"{place(path)}: not what nearfar evaluate --json or nearfar score --json writes; {way}"
        ) from None


def read_table(path: Path) -> ScoreTable:
    """Read what `nearfar score --csv` wrote.

    Raises:
        FormatError: missing, or not that.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        for row in rows:
            # Empty cells are clips that were not judged.
            row["score"] = row["score"] or None
            row["anomalous"] = _FLAGS[row["anomalous"]]
        if rows:
            return table_of(rows, path)
    except OSError as error:
        raise FormatError(f"{place(path)}: cannot be read ({error.strerror})") from None
    except FormatError:  # said already
        raise
    except (csv.Error, LookupError, TypeError, ValueError):
        pass  # somebody else's table
    raise FormatError(
        f"{place(path)}: not what nearfar score --csv writes; of score files in the official form "
        "name the folder"
    )


def _flag(row: Mapping[str, Any]) -> bool | None:
    flag = row.get("anomalous")
    if flag is not None and not isinstance(flag, bool):
        raise TypeError(f"{flag!r} is no decision")
    return flag


def _finite(row: Mapping[str, Any], path: Path) -> float:
    # Python takes true for 1: a file with decisions where scores should be has no order in it.
    if isinstance(row["score"], bool):
        raise TypeError("a decision is no score")
    score = float(row["score"])
    if not math.isfinite(score):
        raise FormatError(
            f"{place(path)}: the score of {quoted(_key(row))} is {score}, need a finite number; "
            "score the clip again"
        )
    return score


def _key(row: Mapping[str, Any]) -> str:
    """What a clip is joined by; see `Clip.key`."""
    if "file" in row:
        return str(row["file"])
    file = str(row["clip"]).rsplit("/", 1)[-1]
    folder = Path(str(row["path"])).parent.name
    return f"{folder}/{file}" if words.label_of(folder) else file
