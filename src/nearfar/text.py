"""Numbers and tables as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, columns below one another, the first to the left.

    >>> print(aligned([("machine", "Ω"), ("fan", "64.41")]))
    machine      Ω
    fan      64.41
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            # Names begin together; numbers end together, so that their digits stand in columns.
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def counted(count: int, what: str) -> str:
    """How many of something.

    >>> counted(1, "section"), counted(1200, "clip")
    ('1 section', '1,200 clips')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"


def one_line(error: object) -> str:
    """A message without its line breaks.

    >>> one_line(ValueError("no such file:" + chr(10) + "  a.wav"))
    'no such file: a.wav'
    """
    # Libraries' messages have several; a line of ours is read by `grep` and by cron (law 6).
    return " ".join(str(error).split())


def number(value: float, digits: int = 2) -> str:
    """A number people can compare by eye; a dash for none.

    >>> number(64.406), number(0.00012345), number(float("nan"))
    ('64.41', '0.000123', '–')
    """
    return (
        "–"
        if not math.isfinite(value)
        else f"{value:.{digits}f}"
        if abs(value) >= 0.01 or value == 0  # below, fixed digits would say 0.00
        else f"{value:.3g}"
    )
