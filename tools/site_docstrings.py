"""Docstrings as Markdown: what a person would type after `>>>` becomes a block of code.

An extension of griffe, which reads the docstrings for the site's page of the Python API. Without it
Markdown takes `>>>` for a quotation within quotations.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# A prompt, and all lines until the next empty one: what it prints, and the prompts that follow.
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    r"""A docstring whose examples stand in fences.

    >>> fenced("Adds.\n\n>>> 1 + 1\n2\n").splitlines()
    ['Adds.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    return EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)


class Examples(griffe.Extension):
    """Puts the examples of every docstring into fences, before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of each module, class, function and attribute that was read."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)
