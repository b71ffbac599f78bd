"""The page of the Python API: a table of the public names, and for the site their docstrings.

The table is kept in docs/api.md, so that it can be read in the repository; docstrings come in when
the site is built, through mkdocstrings.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import nearfar as nf
from tools.site_settings import GROUPS

# Title → names. What is in none of them is a part of a system, and has its own title below.
HELD = {
    "What you do": ("fit", "load", "evaluate", "compare", "finetune"),
    "What you hold": ("Clip", "Clips", "Detector", "Verdict", "Scores", "Evaluation"),
    "The systems of the report, and the floor": ("s1", "s2", "s3", "s4", "logmel"),
    "How to compute and to train": ("Runtime", "FineTuning"),
    "What goes wrong": ("NearfarError", "NearfarWarning"),
}
PARTS = "Parts of a system"
NOT_TOLD = {"__version__"}  # a text


def grouped() -> dict[str, tuple[str, ...]]:
    """Every public name under one title; those of new kinds come last, under the parts.

    >>> sorted(n for names in grouped().values() for n in names) == sorted(
    ...     set(nf.__all__) - NOT_TOLD)
    True
    """
    placed = {name for names in HELD.values() for name in names}
    order = [name for names, _ in GROUPS.values() for name in names]
    rest = sorted(
        set(nf.__all__) - placed - NOT_TOLD,
        key=lambda n: (n not in order, order.index(n) if n in order else 0, n),
    )
    return {**HELD, PARTS: tuple(rest)}


def table() -> str:
    """Name and first sentence of each, as Markdown."""
    lines = []
    for title, names in grouped().items():
        lines += [f"**{title}**", "", "| name | what it is |", "|---|---|"]
        lines += [f"| `nf.{name}` | {_sentence(name)} |" for name in names]
        lines.append("")
    return "\n".join(lines).strip()


def directives() -> Iterator[str]:
    """What mkdocstrings replaces by docstrings."""
    for title, names in grouped().items():
        yield f"## {title}"
        for name in names:
            yield f"::: nearfar.{name}"


def _sentence(name: str) -> str:
    text = inspect.getdoc(getattr(nf, name)) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.sub(r"\s*\|\s*", " or ", first)
