"""One setting of a part changed by name: `part.setting=value`."""

from __future__ import annotations

import ast
import importlib
import warnings
from dataclasses import fields, is_dataclass, replace
from typing import Any

from nearfar.errors import NearfarError, SettingError, did_you_mean, first_line
from nearfar.parts.data import (
    REFUSALS,
    TYPES,
)

# Where parts live that a setting may hold: a typo is answered with these alone.
_ROOMS = {
    "frontend": "nearfar.frontend", "embedder": "nearfar.embedder", "rule": "nearfar.scoring.rule",
    "adaptation": "nearfar.scoring.adapt", "whitening": "nearfar.scoring.whiten",
    "enrichment": "nearfar.scoring.enrich", "calibration": "nearfar.scoring.calibrate",
}  # fmt: skip


def with_setting(system: Any, assignment: str) -> Any:
    """A system with one setting changed.

    Args:
        system: any part.
        assignment: `"part.setting=value"`; parts of a tuple are named by number or by type, the
            value is a Python literal, a bare word, or the name of a part with its defaults, as in
            `"whitening=ZCA"`.

    Raises:
        SettingError: unknown part or setting, or a value the part refuses.
    """
    path, equals, text = assignment.partition("=")  # the first one: a value may have more
    if not equals or not path.strip():
        raise SettingError(
            f"{assignment!r} is not part.setting=value, as in whitening.shrinkage=0.1"
        )
    return _replaced(system, path.strip().split("."), _value(text.strip()), "")


def _value(text: str) -> Any:
    """A Python literal, lists as tuples; anything else is a bare word."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes and the like, to no line of a file
            return _tuples(ast.literal_eval(text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text  # so that a shell's user need not quote twice: metric=cosine


def _tuples(value: Any) -> Any:
    return tuple(_tuples(x) for x in value) if isinstance(value, list | tuple) else value


def _replaced(part: Any, path: list[str], value: Any, setting: str) -> Any:
    """The part with a value at a path; `setting` is what it is itself, by name."""
    if not path:
        return _named(part, value, setting)
    if isinstance(part, tuple):
        index = _index(part, path[0])
        changed = _replaced(part[index], path[1:], value, setting)
        return (*part[:index], changed, *part[index + 1 :])
    if not is_dataclass(part) or isinstance(part, type):
        raise SettingError(f"{part!r} has no settings, so no {'.'.join(path)!r}")
    names = [f.name for f in fields(part) if f.init]  # `replace` can set no others
    if path[0] not in names:
        raise SettingError(
            f"{type(part).__name__} has no setting {path[0]!r}; {did_you_mean(path[0], names)}"
        )
    made = {path[0]: _replaced(getattr(part, path[0]), path[1:], value, path[0])}
    try:
        return replace(part, **made)
    except NearfarError:
        raise
    except REFUSALS as error:
        raise SettingError(
            f"{type(part).__name__}.{path[0]} cannot be {value!r}: {first_line(error)}"
        ) from None


def _named(old: Any, value: Any, setting: str) -> Any:
    """A part of ours by its name, where a part is or could be; any other value as it is."""
    if not isinstance(value, str) or not (old is None or is_dataclass(old)):
        return value
    name = value.removesuffix("()")
    if name not in TYPES:
        if type(old).__name__ not in TYPES:
            return value  # None may stand for a text, and a part of theirs for anything
        fitting = [n for n, room in TYPES.items() if room.startswith(_ROOMS.get(setting, ""))]
        raise SettingError(f"{setting} has no part {value!r}; {did_you_mean(name, fitting)}")
    try:
        return getattr(importlib.import_module(TYPES[name]), name)()
    except TypeError as error:
        raise SettingError(
            f"{name} needs settings, so give it in a file ({first_line(error)})"
        ) from None


def _index(parts: tuple[Any, ...], name: str) -> int:
    names = [type(p).__name__ for p in parts]
    if name in names:
        return names.index(name)  # of two of a type the first; the other has a number
    if name.isdecimal() and int(name) < len(parts):
        return int(name)
    known = {*names, *(str(i) for i in range(len(parts)))}
    raise SettingError(
        f"no part {name!r}; {did_you_mean(name, known) if parts else 'there is none'}"
    )
