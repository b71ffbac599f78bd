"""A table as people and programs read it: Markdown, and JSON-ready data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DASH = "–"  # where there is no value

Column = tuple[str, Callable[[Any], str]]  # its head, and how a row's cell is read off it


@dataclass(frozen=True)
class Table:
    """A title, columns, rows of cells, and notes below.

    >>> print(Table("t", "A table", ["", "Ω"], [["S1", "64.41"]]).markdown(), end="")
    ## A table
    <BLANKLINE>
    |      |     Ω |
    | ---- | ----: |
    | S1   | 64.41 |
    """

    name: str  # short and without spaces, as in the JSON
    title: str
    columns: Sequence[str]  # heads; the first column is text, the others are set to the right
    rows: Sequence[Sequence[str]]  # cells as people read them
    notes: Sequence[str] = ()  # paragraphs below the rows
    data: Mapping[str, Any] = field(default_factory=dict)  # for programs, in full precision

    @classmethod
    def of(
        cls, name: str, title: str, columns: Sequence[Column], rows: Iterable[Any],
        notes: Sequence[str] = (), data: Mapping[str, Any] | None = None,
    ) -> Table:  # fmt: skip
        """Read every cell off what its row is of: a row's figures are computed once, elsewhere."""
        cells = [[cell(row) for _, cell in columns] for row in rows]
        return cls(name, title, [head for head, _ in columns], cells, notes, data or {})

    def markdown(self, level: int = 2) -> str:
        """Title, table and notes; `level` is that of the title."""
        cells = [
            [" ".join(cell.split()).replace("|", "\\|") for cell in row]
            for row in (self.columns, *self.rows)
        ]
        # Columns of one width: a terminal shows the text as it is.
        widths = [max(4, *map(len, column)) for column in zip(*cells, strict=True)]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = []
        for first, *others in (cells[0], rule, *cells[1:]):  # the first to the left
            right = [c.rjust(width) for c, width in zip(others, widths[1:], strict=True)]
            lines.append(f"| {' | '.join([first.ljust(widths[0]), *right])} |")
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
    # What rounds to nothing has no sign.
    return text.replace("-", "−") if text.strip("+-0.") else text[1:]
