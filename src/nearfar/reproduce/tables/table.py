"""A table as people and programs read it: Markdown, and JSON-ready data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DASH = "–"  # where there is no value


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of cells, and notes below.

    Args:
        name: short and without spaces, as in the JSON.
        title: what it shows, and whose table it is.
        columns: the heads; the first column is text, the others are set to the right.
        rows: (rows, columns) cells as people read them.
        notes: paragraphs of text below the rows.
        data: the same figures for a program, JSON-ready, in full precision.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    def markdown(self, level: int = 2) -> str:
        """Title, table and notes; `level` is that of the title."""
        cells = [[_cell(c) for c in row] for row in (self.columns, *self.rows)]
        # Columns of one width: a terminal shows the text as it is.
        widths = [max(4, *map(len, column)) for column in zip(*cells, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = [_line(row, widths) for row in (cells[0], rule, *cells[1:])]
        parts = [f"{'#' * level} {self.title}", "\n".join(lines), *self.notes]
        return "\n\n".join(parts) + "\n"

    def to_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"name": self.name, "title": self.title, **self.data, "notes": list(self.notes)}


def per_cent(share: float | None, digits: int = 2) -> str:
    """A share as per cent, or a dash.

    >>> per_cent(0.64412)
    '64.41'
    """
    return DASH if share is None else f"{100 * share:.{digits}f}"


def points(share: float | None, digits: int = 2) -> str:
    """A difference of shares as points with their sign, or a dash.

    >>> points(-0.008)
    '−0.80'
    >>> points(-0.00001)
    '0.00'
    """
    if share is None:
        return DASH
    text = f"{100 * share:+.{digits}f}"
    if not text.strip("+-0."):  # what rounds to nothing has no sign
        return text[1:]
    return text.replace("-", "−")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, the others to the right."""
    pairs = zip(cells, widths, strict=True)
    padded = [c.rjust(w) if n else c.ljust(w) for n, (c, w) in enumerate(pairs)]
    return f"| {' | '.join(padded)} |"
