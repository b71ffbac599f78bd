"""Official files as the official evaluator reads them: what it would refuse, or take for another.

Ours is more lenient (`nearfar.scores.files`). That one joins by the order of names, knows no byte
order mark, and stops at a header or a blank line.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nearfar.scores.submission.remarks import Remark, first_of
from nearfar.scores.truth import quoted, stem

_BOM = b"\xef\xbb\xbf"
_VALUE = re.compile(r"'.*'")
_MIXED = 0.5  # share of different scores; fewer are many ties


@dataclass(frozen=True)
class OfficialRows:
    r"""What a file says, as far as it can be read.

    >>> found = read_rows("a.csv", b"a.wav,0.5\nb.wav,nan\n", decisions=False)
    >>> found.values, [remark.text for remark in found.remarks]
    ({'a.wav': 0.5}, ["line 2: 'nan' is no finite number; score the clip again"])
    """

    values: dict[str, float]  # file → score or decision
    remarks: tuple[Remark, ...]


def read_rows(name: str, content: bytes, *, decisions: bool) -> OfficialRows:
    """Read a score or decision file.

    Args:
        name: of the file, for remarks.
        content: its bytes.
        decisions: are its values 0 and 1?
    """
    remarks = [Remark(name, text, wrong) for text, wrong in _of_bytes(content)]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""  # nothing more can be said of it
        remarks.append(Remark(name, "not UTF-8 text; write it as UTF-8"))
    else:
        if not text.strip():
            remarks.append(Remark(name, "empty; it needs a line for every test clip"))
    values: dict[str, float] = {}
    faults: dict[str, tuple[str, list[int]]] = {}  # kind → the first of it, and its lines
    for number, fields in _lines(text):
        why = _fault(number, fields, values, decisions)
        if why:
            # Of 200 lines with one fault each has another value; the first one is enough.
            faults.setdefault(_VALUE.sub("", why), (why, []))[1].append(number)
        else:
            values[fields[0].strip()] = float(fields[1])
    remarks += [Remark(name, f"{first_of(lines)}: {why}") for why, lines in faults.values()]
    if len({stem(file) for file in values}) < len(values):
        remarks.append(Remark(name, "a clip is there with .wav and without; keep one"))
    remarks += [Remark(name, text, wrong=False) for text in _doubts(values, decisions, faults)]
    return OfficialRows(values, tuple(remarks))


def _of_bytes(content: bytes) -> Iterator[tuple[str, bool]]:
    """What shows before a line is read: (text, wrong?)."""
    if content.startswith(_BOM):
        yield (
            "begins with a byte order mark, which the official evaluator takes for a part of the "
            "first name, so that all rows shift; save as UTF-8 without it",
            True,
        )
    if b"\r" in content:
        yield (
            "lines end as on Windows (CRLF), which is read right; line feeds alone are official",
            (False),
        )
    # As bytes: to read lines as text takes blank ones away.
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    blank = [n for n, line in enumerate(lines[:-1], 1) if not line.strip()]
    blank += [len(lines)] * bool(lines[-1] and not lines[-1].strip())
    if content.strip() and blank:
        yield f"{first_of(blank)} is blank, at which the official evaluator stops; remove it", True


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, next(csv.reader([line], skipinitialspace=True))
            except (csv.Error, StopIteration):
                yield number, [line]


def _fault(number: int, fields: Sequence[str], values: dict[str, float], decisions: bool) -> str:
    """What is wrong with a line, and the way out; "" if nothing is."""
    if len(fields) != 2:
        return f"{len(fields)} columns; write file.wav,value and nothing else"
    file, value = fields[0].strip(), fields[1].strip()
    if not file or "/" in file or "\\" in file:
        return "no file name alone; write it as the test folder has it"
    try:
        said = float(value.replace("_", "x"))  # Python reads 1_000 as a number, nobody else does
    except ValueError:
        if number == 1 and not any(c.isdigit() for c in value):
            return "a header, at which the official evaluator stops; remove it"
        return f"{quoted(value)} is no number; write one"
    if decisions and said not in (0.0, 1.0):
        return f"the decision {quoted(value)} is neither 0 nor 1; write one of them"
    if not math.isfinite(said):
        return f"{quoted(value)} is no finite number; score the clip again"
    if file in values:
        return f"{quoted(file)} is there twice; keep one"
    return ""


def _doubts(values: dict[str, float], decisions: bool, faults: Collection[str]) -> Iterator[str]:
    """What may be right, and is more often a mistake."""
    if not values:
        return
    bare = [file for file in values if not file.endswith((".wav", ".flac"))]
    if bare:
        yield f"{quoted(bare[0])} has no .wav; names as the test folder has them are official"
    counts = Counter(values.values())
    if faults and len(counts) == 1:
        return  # of the lines that could be read: the others may have had another value
    if decisions and len(counts) == 1 and len(values) > 1:
        yield f"all decisions are {next(iter(counts)):.0f}; is the threshold the right one?"
    elif not decisions and len(counts) == 1 and len(values) > 1:
        yield f"all scores are {next(iter(counts))!r}, which says nothing of any clip; score again"
    elif not decisions and len(counts) < _MIXED * len(values):
        yield (
            f"{len(values)} clips share {len(counts)} scores; such ties cost pAUC most, write all "
            "digits"
        )
