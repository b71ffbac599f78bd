"""Mistakes in how a command was called, as one line: what, which value, the way out.

The command-line library would draw boxes of several lines, which neither `grep` nor a log can use.
"""

from __future__ import annotations

import difflib
from typing import Any

import typer

from nearfar.errors import printable

# Every mistake of usage is one. The library moved its errors between versions; this name stayed.
AS_IN = {"false_alarm_rate": "0.01", "tau": "0.5"}  # what values of an option look like
UsageError: Any = typer.BadParameter.__mro__[1]


def explained(error: Any) -> str:
    """A usage error as one printable line; `error` is a `UsageError`.

    >>> import typer
    >>> explained(typer.BadParameter("it is far", param_hint="--near"))
    '--near: it is far; see nearfar --help'
    """
    said = _said(error).strip().rstrip(".?")
    question = "?" if "did you mean" in said.casefold() else ";"
    see = "See" if question == "?" else "see"
    return printable(f"{said}{question} {see} {_command(error.ctx)} --help")


def _command(context: Any) -> str:
    """What to type for the help of whatever was called, as in "nearfar weights check"."""
    names: list[str] = []
    # The program's own name is left out: it may be "python -m nearfar", or a path.
    while context is not None and context.parent is not None:
        names.insert(0, str(context.info_name))
        context = context.parent
    return " ".join(["nearfar", *names])


def _said(error: Any) -> str:
    kind = type(error).__name__
    if kind == "NoSuchOption":
        # The best alone: the help has the others.
        parameters = [] if error.ctx is None else error.ctx.command.params
        known = [o for p in parameters for o in (*p.opts, *p.secondary_opts) if o[:1] == "-"]
        guess = _guess(error.option_name, known)
        return f"no such option {error.option_name}{guess and f'; did you mean {guess}?'}"
    if kind == "MissingParameter":
        return f"{_place(error)} is missing"
    if isinstance(error, typer.BadParameter):
        return f"{_place(error)}: {_wrong(error)}"
    return _small(error.message).replace(". Did", "; did")


def _guess(given: str, known: list[str]) -> str:
    """The option that was meant, "" if none is near: one begun so, else one spelled so."""
    begun = [option for option in known if option.startswith(given)] if len(given) > 3 else []
    bare = {option.lstrip("-"): option for option in known}  # dashes are alike in all
    spelled = difflib.get_close_matches(given.lstrip("-"), bare, n=1, cutoff=0.7)
    return begun[0] if len(begun) == 1 else bare[spelled[0]] if spelled else ""


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _place(error: Any) -> str:
    """Whose value it is: an option as it is typed, an argument as help writes it."""
    if error.param is None:
        return str(error.param_hint or "a value").strip("'\"")
    if error.param.param_type_name == "argument":
        return str(error.param.name).upper()
    return str(max(error.param.opts, key=len))  # -o, --output: the long one says what it is


def _wrong(error: Any) -> str:
    """What is wrong with a value; of numbers in our words, for the library's name its own types."""
    value, _, why = str(error.message).partition(" is not ")
    kind: Any = None if error.param is None else error.param.type
    number = "" if kind is None else str(kind.name).removesuffix(" range")
    if not why or number not in ("int", "integer", "float"):
        return _small(error.message)
    if why.startswith("in the range"):
        low, high = kind.min, kind.max
        under = low is not None and float(value) < low
        return f"{value}; it is at {f'least {low}' if under else f'most {high}'}"
    as_in = AS_IN.get(str(error.param.name), "10")
    return f"{value}; it is a {f'number, as in {as_in}' if number == 'float' else 'whole number'}"
