"""Blocks of docs/architecture.md that programs write, between two marks that nobody sees."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"


def filled(text: str, name: str, block: str) -> str:
    """A page with what stands between the marks of a name replaced.

    Raises:
        ValueError: the page has no such marks.

    >>> print(filled("before <!-- size -->old<!-- end of size --> after", "size", "new"))
    before <!-- size -->
    <BLANKLINE>
    new
    <BLANKLINE>
    <!-- end of size --> after
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no {begin} … {end} to write between")
    return f"{before}{begin}\n\n{block.strip()}\n\n{end}{after}"
