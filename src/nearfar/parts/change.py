"""One setting of a part changed by name: `part.setting=value`."""

from __future__ import annotations

import ast
import importlib
import warnings
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from nearfar.errors import NearfarError, SettingError, did_you_mean, first_line
from nearfar.parts.data import (
    REFUSALS,
    TYPES,
)
from nearfar.parts.own import lacking

# Where parts live that a setting may hold: a typo is answered with these alone.
_ROOMS: dict[str, str | tuple[str, ...]] = {
    "frontend": "nearfar.frontend", "embedder": "nearfar.embedder",
    "rule": ("nearfar.scoring.rule", "nearfar.scoring.local", "nearfar.scoring.parted"),
    "adaptation": "nearfar.scoring.adapt", "whitening": "nearfar.scoring.whiten",
    "enrichment": "nearfar.scoring.enrich", "calibration": "nearfar.scoring.calibrate",
}  # fmt: skip


def with_setting(system: Any, assignment: str) -> Any:
    """A system with one setting changed.

    Args:
        system: any part.
        assignment: `"part.setting=value"`; parts of a tuple are named by number or by type, the
            value is a Python literal, a bare word, or a part by its name, with settings where it is
            not to have its defaults: `"whitening=ZCA"`, `"rule=LocalDensity(k=1)"`. A rule that
            does not say its metric keeps that of the rule before it, for it belongs to the rows;
            an embedder that wraps one, as `"embedder=Pooled"`, wraps that before it.

    Raises:
        SettingError: unknown part or setting, or a value the part refuses.
    """
    path, text = _parsed(assignment)
    try:
        return _replaced(system, path, _value(text), "")
    except _NoSuch as error:
        # A setting of another part is a slip of the path, and that one is the way out.
        named = sorted(_paths(system, path[-1]), key=lambda p: p[: len(path) - 2] != path[:-2])
        there = " or ".join(".".join(p) for p in named[:3])
        raise SettingError(f"{error}. There is {there}" if there else str(error)) from None


def with_settings(system: Any, assignments: Sequence[str]) -> Any:
    """A system with settings changed, one after the other.

    Some fit only together, as `frontend=Near` and `embedder=LogMel` in a system of two channels:
    one that is refused is tried with those behind it that are of the same part.

    Raises:
        SettingError: as `with_setting`.

    >>> from nearfar.system.presets import s4
    >>> short = ["frontend=Near", "enrichment=()", "embedder=LogMel(64)"]
    >>> with_settings(s4(), short).embedder.n_mels
    64
    """
    waiting = list(assignments)
    while waiting:
        try:
            system = with_setting(system, waiting[0])
            waiting = waiting[1:]
        except SettingError:
            owner = _parsed(waiting[0])[0][:-1]
            beside = [one for one in waiting if _parsed(one)[0][:-1] == owner]
            part = _at(system, owner)
            if len(beside) == 1 or isinstance(
                part, tuple
            ):  # parts of a tuple are not held together
                raise
            system = _replaced(system, owner, _together(part, beside), "")
            waiting = [one for one in waiting if one not in beside]
    return system


def _together(part: Any, assignments: Sequence[str]) -> Any:
    """A part with some of its own settings changed at once."""
    made = {}
    for path, text in map(_parsed, assignments):
        made[path[-1]] = _replaced(_at(part, path[-1:]), [], _value(text), path[-1])
    return _changed(part, made)


def _at(part: Any, path: list[str]) -> Any:
    """What lies at a path."""
    for name in path:
        part = part[_index(part, name)] if isinstance(part, tuple) else _setting(part, name)
    return part


def _setting(part: Any, name: str) -> Any:
    """What a part has for a setting, if it has one of that name."""
    if not is_dataclass(part) or isinstance(part, type):
        raise SettingError(f"{part!r} has no settings, so no {name!r}")
    names = [f.name for f in fields(part) if f.init]  # `replace` can set no others
    if name not in names:
        raise _NoSuch(f"{type(part).__name__} has no setting {name!r}; {did_you_mean(name, names)}")
    return getattr(part, name)


class _NoSuch(SettingError):
    """A part lacks the setting."""


def _paths(part: Any, name: str) -> list[list[str]]:
    """Where in a part, and in the parts in it, there is a setting of a name."""
    found = []
    if isinstance(part, tuple):
        inside = [(str(k), one) for k, one in enumerate(part)]
    elif is_dataclass(part) and not isinstance(part, type):
        inside = [(f.name, getattr(part, f.name)) for f in fields(part) if f.init]
        found = [[name]] * any(key == name for key, _ in inside)
    else:
        return []
    return found + [[key, *rest] for key, one in inside for rest in _paths(one, name)]


def _changed(part: Any, made: dict[str, Any]) -> Any:
    try:
        return replace(part, **made)
    except NearfarError:
        raise
    except REFUSALS as error:
        name, value = next(iter(made.items()))
        raise SettingError(
            f"{type(part).__name__}.{name} cannot be {value!r}: {first_line(error)}"
        ) from None


def _parsed(assignment: str) -> tuple[list[str], str]:
    """Path and value of `"part.setting=value"`."""
    path, equals, text = assignment.partition("=")  # the first one: a value may have more
    if not equals or not path.strip():
        raise SettingError(
            f"{assignment!r} is not part.setting=value, as in whitening.shrinkage=0.1"
        )
    return path.strip().split("."), text.strip()


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
    inner = _replaced(_setting(part, path[0]), path[1:], value, path[0])
    return _changed(part, {path[0]: inner})


def _named(old: Any, value: Any, setting: str) -> Any:
    """A part of ours by its name, where a part is or could be; any other value as it is."""
    if not isinstance(value, str) or not (old is None or is_dataclass(old)):
        return value
    call = _call(value)
    if ast.unparse(call.func) in TYPES if call else value in TYPES:
        return _made(call or ast.Call(ast.Name(value), [], []), setting, old)
    if type(old).__name__ not in TYPES:
        return value  # None may stand for a text, and a part of theirs for anything
    raise SettingError(f"{setting} has no part {value!r}; {_guess(value, setting)}")


def _call(text: str) -> ast.Call | None:
    """What a text calls, as in `KNN(metric="cosine")`; None if it calls nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    return tree if isinstance(tree, ast.Call) else None


def _guess(text: str, setting: str) -> str:
    fitting = [n for n, room in TYPES.items() if room.startswith(_ROOMS.get(setting, ""))]
    return did_you_mean(text.partition("(")[0], fitting)


def _made(call: ast.Call, setting: str, old: Any) -> Any:
    """The part of ours that a call describes; nothing is run but the part's own making."""
    name = ast.unparse(call.func)
    if name not in TYPES:
        raise SettingError(f"{setting} has no part {name!r}; {_guess(name, setting)}")
    cls: Any = getattr(importlib.import_module(TYPES[name]), name)
    names = [f.name for f in fields(cls) if f.init]
    given = dict(zip(names, call.args, strict=False))
    given |= {word.arg or "**": word.value for word in call.keywords}
    unknown = [word for word in given if word not in names]
    if unknown or len(call.args) > len(names):
        first = unknown[0] if unknown else ast.unparse(call.args[-1])
        raise SettingError(f"{name} has no setting {first!r}; {did_you_mean(first, names)}")
    values = {word: _argument(node, word, old) for word, node in given.items()}
    values = _kept(cls, setting, old) | values
    try:
        return cls(**values)
    except NearfarError:
        raise
    except REFUSALS as error:
        raise SettingError(
            f"{name} needs settings, so give it in a file ({first_line(error)})"
        ) from None


def _kept(cls: Any, setting: str, old: Any) -> dict[str, Any]:
    """What a new part takes from the one before it, where it says nothing else."""
    names = [f.name for f in fields(cls) if f.init]
    if setting == "embedder" and setting in names:  # one that wraps another
        return {setting: old}
    if setting != "rule" or lacking(old, "metric"):
        return {}
    kept: dict[str, Any] = {"metric": old.metric} if "metric" in names else {}
    for f in fields(cls):  # of a rule within it that nobody named, too
        if f.name == setting and is_dataclass(f.default):
            kept[setting] = replace(f.default, metric=old.metric)  # type: ignore[type-var]
    return kept


def _argument(node: ast.expr, setting: str, old: Any) -> Any:
    """A setting within a call: a literal, a bare word, or another part."""
    if isinstance(node, ast.Call):
        return _made(node, setting, old)
    if isinstance(node, ast.Name) and node.id in TYPES:
        return _made(ast.Call(node, [], []), setting, old)
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(_argument(one, setting, old) for one in node.elts)
    return _value(ast.unparse(node))  # a shell takes quotes away: form=difference


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
