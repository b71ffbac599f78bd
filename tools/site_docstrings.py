"""Docstrings as Markdown: what a person would type after `>>>` becomes a block of code.

An extension of griffe, which reads the docstrings for the site's page of the Python API. Without it
Markdown takes `>>>` for a quotation within quotations.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# A prompt, and all lines until the next empty one: what it prints, and the prompts that follow.
# Several arguments of which one thing is said, and the lines of it.
TOGETHER = re.compile(r"^( +)(\w+(?:, \w+)+):( .*\n?(?:^\1 +\S.*\n?)*)", re.MULTILINE)
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    r"""A docstring whose examples stand in fences.

    >>> fenced("Adds.\n\n>>> 1 + 1\n2\n").splitlines()
    ['Adds.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)


def apart(text: str) -> str:
    r"""A docstring in which each argument has a line of its own, as its reader wants it.

    >>> print(apart("    a, b: as for\n        `fit`.\n    c: more."))
        a: as for
            `fit`.
        b: as for
            `fit`.
        c: more.
    """

    def each(found: re.Match[str]) -> str:
        said = found[3].rstrip("\n")
        lines = "\n".join(f"{found[1]}{name}:{said}" for name in found[2].split(", "))
        return lines + found[3][len(said) :]

    return TOGETHER.sub(each, text)


class Examples(griffe.Extension):
    """Puts the examples of every docstring into fences, and its arguments apart."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of each module, class, function and attribute that was read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(apart(obj.docstring.value))
