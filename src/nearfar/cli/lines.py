"""Lines that a person reads: on a terminal broken between words, elsewhere one line each."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TextIO

import typer

COLOURS = {"error": "red", "fault": "red", "warning": "yellow"}
NARROWEST = 40  # columns: in fewer, words themselves would have to be broken


def columns(stream: TextIO) -> int | None:
    """How wide the terminal of a stream is; None where it is none, so that nothing is broken.

    >>> import io
    >>> columns(io.StringIO()) is None
    True
    """
    if not stream.isatty():
        return None
    try:  # not shutil's answer: it asks standard output, which may be a file
        found = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        found = 0
    return max(found or 80, NARROWEST)


def wrapped(text: str, width: int | None, indent: str = "  ") -> str:
    """A line as several of at most `width` characters; a longer word stays whole.

    >>> print(wrapped("a.wav: 3 s are short", 14))
    a.wav: 3 s are
      short
    """
    if width is None or len(text) <= width:
        return text
    begins = text[: len(text) - len(text.lstrip())]
    # Names of files and flags have hyphens, and are copied from the screen.
    return textwrap.fill(
        text.lstrip(), width, initial_indent=begins, subsequent_indent=begins + indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


class Ledger:
    """What a command has written: named at its end, unless standard output is a table of its own.

    >>> Ledger().files, Ledger().taken
    ([], False)
    """

    def __init__(self) -> None:
        self.files: list[str] = []
        self.taken = False  # by JSON or CSV that a program reads

    def close(self) -> None:
        """Name the files, and forget them."""
        for file in [] if self.taken else self.files:
            say(f"wrote {file}")
        self.__init__()  # type: ignore[misc]


ledger = Ledger()  # of this run


def say(line: str) -> None:
    """Print a line of a result on standard output."""
    typer.echo("\n".join(wrapped(one, columns(sys.stdout)) for one in line.split("\n")))


def tell(kind: str, text: str) -> None:
    """Print a message on standard error, as in "error: a.wav: no such file".

    Args:
        kind: one of `COLOURS`, or "" for a line that is neither.
        text: one line, in the shell's words.
    """
    width = columns(sys.stderr)
    line = wrapped(f"{kind}: {text}" if kind else text, width)
    # https://no-color.org: any value but an empty one.
    if kind and width is not None and not os.environ.get("NO_COLOR"):
        line = typer.style(f"{kind}:", fg=COLOURS[kind], bold=True) + line[len(kind) + 1 :]
    typer.echo(line, err=True)
