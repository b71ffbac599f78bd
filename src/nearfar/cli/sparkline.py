"""A line of blocks a machine: its recordings in order, alarms above the rest and in colour."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from nearfar.errors import visible
from nearfar.scores.alarms import History
from nearfar.scores.verdict import Verdict

BLOCKS = "▁▂▃▄▅▆▇█"  # the lower half of normal recordings, the upper half of those above
DIGITS = "12345678"  # the same where a terminal knows no blocks
GAP = "·"  # not judged
STYLES = {"lasting": "bold red", "above": "yellow", "silent": "dim", "": ""}
ORDERS = ("recordings in order", "in order")  # the head of the blocks, as there is room
SHARE = 5  # a machine's name has at most this part of the width: blocks are what is looked at
WHEN = 19  # cells of the first alarm: a time to the second, or the end of a file's name
NARROWEST = 10  # cells of a line of blocks; a terminal below has its lines broken


def table(histories: Sequence[History], width: int) -> list[Text]:
    """A head and a line a machine, each at most `width` cells wide.

    Args:
        histories: at least one.
        width: of the terminal, in cells.
    """
    names = [visible(history.name) for history in histories]
    wide = min(max(map(cell_len, ["machine", *names])), width // SHARE)
    gaps = any(history.silent for history in histories)
    head = ["first lasting alarm", "above", *["not judged"] * gaps]
    rows = [[_first(h), f"{h.above} of {len(h.verdicts) - h.silent}",
             *[str(h.silent)] * gaps] for h in histories]  # fmt: skip
    sizes = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    room = max(width - wide - 2 - sum(size + 2 for size in sizes), NARROWEST)
    room = min(room, max(max(len(h.verdicts) for h in histories), cell_len(ORDERS[0])))
    order = next((text for text in ORDERS if len(text) <= room), ORDERS[-1])
    lines = [Text(_row("machine", wide) + "  " + _row(order, room), style="bold")]
    lines += [Text(_row(name, wide) + "  ") + _blocks(h, room)
              for name, h in zip(names, histories, strict=True)]  # fmt: skip
    for line, cells in zip(lines, [head, *rows], strict=True):
        told = "".join(f"  {set_cell_size(cell, n)}" for cell, n in zip(cells, sizes, strict=True))
        line.append(told.rstrip())
    return lines


def _row(name: str, wide: int) -> str:
    if cell_len(name) <= wide:
        return set_cell_size(name, wide)
    return set_cell_size(set_cell_size(name, wide - 1).rstrip() + "…", wide)


def _first(history: History) -> str:
    if not history.spells:
        return "none"
    told = visible(history.when(history.spells[0].first))
    if cell_len(told) <= WHEN:
        return told
    while cell_len(told) > WHEN - 1:  # the end of a name is what differs
        told = told[1:]
    return f"…{told}"


def _blocks(history: History, room: int) -> Text:
    """As many blocks as there is room for, and blanks up to its end."""
    drawn = Text()
    for character, kind in bars(history, room):
        drawn.append(character, style=STYLES[kind])
    return drawn + Text(" " * (room - len(drawn)))


def legend() -> str:
    """What a block's height means, in blocks that standard output can write."""
    alphabet = BLOCKS if _knows(BLOCKS) else DIGITS
    return f"{alphabet[:4]} below the threshold, {alphabet[4:]} above it"


def bars(history: History, room: int) -> list[tuple[str, str]]:
    """A character and what it is, for every recording, or for every few of too many.

    Returns:
        At most `room` of them: "lasting" where an alarm stands, "above" where a recording alone is
        above its threshold, "silent" where none was judged, or "".
    """
    count = len(history.verdicts)
    columns = min(room, count)
    alphabet = BLOCKS if _knows(BLOCKS) else DIGITS
    top = max((_excess(v) for v in history.verdicts if v.anomalous), default=0.0)
    cells = []
    for n in range(columns):
        places = range(n * count // columns, (n + 1) * count // columns)
        judged = [p for p in places if history.verdicts[p].judged]
        level = max((_level(history.verdicts[p], top) for p in judged), default=-1)
        # An alarm that stands is coloured through quiet recordings too: it has not ended.
        lasts = any(history.lasting[p] for p in places)
        kind = "lasting" if lasts else "silent" if level < 0 else "above" if level > 3 else ""
        cells.append((alphabet[level] if level >= 0 else GAP if _knows(GAP) else "?", kind))
    return cells


def _level(verdict: Verdict, top: float) -> int:
    """0–3 by percentile below the threshold, 4–7 above it by how far."""
    if not verdict.anomalous:
        return min(int(4 * verdict.percentile), 3)
    return 4 + min(int(4 * _excess(verdict) / top), 3) if top > 0 else 4


def _excess(verdict: Verdict) -> float:
    """How far a score is above its threshold, in orders of magnitude where both have one."""
    if verdict.threshold > 0:
        return math.log(verdict.score / verdict.threshold)
    return verdict.score - verdict.threshold


def _knows(text: str) -> bool:
    """Can standard output write it?"""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except (UnicodeError, LookupError):
        return False
    return True
