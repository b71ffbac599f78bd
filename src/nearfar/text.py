"""Numbers and tables as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, columns below one another, the first to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def one_line(error: object) -> str:
    """A message without its line breaks."""
    return " ".join(str(error).split())


def number(value: float, digits: int = 2) -> str:
    """A number people can compare by eye; a dash for none."""
    return (
        "–"
        if not math.isfinite(value)
        else f"{value:.{digits}f}"
        if abs(value) >= 0.01 or value == 0
        else f"{value:.3g}"
    )
