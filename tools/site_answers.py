"""What docs/faq.md quotes: messages of docs/errors.md, which a program provokes.

A block of the page begins with the command, as `$ nearfar fit mono …`; what stands below it is that
command's message, put there by `python -m tools.site`.
"""

from __future__ import annotations

import re

BLOCK = re.compile(r"```\n\$ (nearfar .*)\n(?:.*\n)*?```")
SAID = re.compile(r"^\$ (nearfar .*)\n((?:.+\n)*?\[\d+\])$", re.MULTILINE)


def said(errors: str) -> dict[str, str]:
    r"""Command → what it says and its exit code, of the page of messages.

    >>> said("$ nearfar fit\nerror: DATA is missing\n[2]\n")
    {'nearfar fit': 'error: DATA is missing\n[2]'}
    """
    return dict(SAID.findall(errors))


def answered(page: str, errors: str) -> str:
    """The page with every quoted message as it is said now.

    Raises:
        ValueError: a command that docs/errors.md does not have.
    """
    known = said(errors)

    def block(found: re.Match[str]) -> str:
        command = found[1]
        if command not in known:
            raise ValueError(f"{command}: docs/errors.md has no such message; add it to CASES")
        return f"```\n$ {command}\n{known[command]}\n```"

    return BLOCK.sub(block, page)
