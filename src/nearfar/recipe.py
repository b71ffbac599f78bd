"""Systems as plain data and back, and settings by name.

A part is a frozen dataclass. As data it is `{"type": "KNN", "weights": [1.0], …}`: tuples become
lists, parts become objects. Reading it back, a type name must be on the list below or among the
types the caller passes in; nothing is ever imported because a file says so.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from nearfar.errors import FormatError, NearfarError, SettingError, did_you_mean

TYPES = {
    "System": "nearfar.system",
    "Ensemble": "nearfar.system",
    "Near": "nearfar.frontend",
    "Far": "nearfar.frontend",
    "Stereo": "nearfar.frontend",
    "CoherenceMask": "nearfar.frontend",
    "FarCancel": "nearfar.frontend",
    "DIF": "nearfar.dif",
    "LogMel": "nearfar.embedder",
    "EAT": "nearfar.eat",
    "Crops": "nearfar.crops",
    "MeanShift": "nearfar.adapt",
    "UnitLength": "nearfar.adapt",
    "Standardise": "nearfar.adapt",
    "ZCA": "nearfar.whiten",
    "ResidualAugmentation": "nearfar.enrich",
    "PseudoTarget": "nearfar.enrich",
    "KNN": "nearfar.bank",
    "Raw": "nearfar.calibrate",
    "ZScore": "nearfar.calibrate",
    "Percentile": "nearfar.calibrate",
}
# What a part of anybody's may raise over a value that it does not expect.
REFUSALS = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError)
UNSAVED_DEFAULT = MappingProxyType({"unsaved": "default"})  # of a setting older nearfars lack
USER_PREFIX = "nearfar_user_"  # name of a module made from a person's own file


def to_data(part: Any) -> Any:
    """A part as JSON-ready data.

    Raises:
        SettingError: a value that is neither a part, a finite number, a text, nor a tuple of such.
    """
    if is_dataclass(part) and not isinstance(part, type):
        values = {f.name: to_data(getattr(part, f.name)) for f in fields(part) if _saved(part, f)}
        return {"type": _name(type(part), values), **values}
    if isinstance(part, tuple | list):
        return [to_data(x) for x in part]
    if part is None or isinstance(part, bool | int | str):
        return part
    if isinstance(part, float) and math.isfinite(part):  # JSON has no other
        return part
    if isinstance(part, Path):
        return part.as_posix()
    raise SettingError(f"{part!r} of type {type(part).__name__} cannot be saved with a detector")


def _saved(part: Any, setting: Field[Any]) -> bool:
    if setting.metadata == UNSAVED_DEFAULT and getattr(part, setting.name) == setting.default:
        return False
    return setting.init


def _name(cls: type, values: Mapping[str, Any]) -> str:
    """What a part is called, where it cannot be taken for another."""
    name = cls.__name__
    if name in TYPES and getattr(importlib.import_module(TYPES[name]), name) is not cls:
        raise SettingError(f"{cls.__module__}.{name} has the name of a part of ours; rename it")
    if "type" in values:
        raise SettingError(f"{name}.type cannot be saved: the word is taken; rename the setting")
    return name


def from_data(data: Any, types: Sequence[type] = ()) -> Any:
    """The part that some data describe.

    Args:
        data: what `to_data` gave.
        types: classes of the caller's own parts.

    Raises:
        FormatError: an unknown type or setting, or a value the part refuses.
    """
    try:
        return _part(data, types)
    except RecursionError:
        raise FormatError("the system's data are nested too deeply; fit again") from None


def _part(data: Any, types: Sequence[type]) -> Any:
    if isinstance(data, list):
        return tuple(_part(x, types) for x in data)
    if not isinstance(data, dict):
        return data
    name = data.get("type")
    cls = _find_type(name, types)
    known = {f.name for f in fields(cls) if f.init}
    values = {key: _part(value, types) for key, value in data.items() if key != "type"}
    for key in values:
        if key not in known:
            raise FormatError(f"{name} has no setting {key!r}; {did_you_mean(key, known)}")
    try:
        return cls(**values)
    except NearfarError as error:
        raise FormatError(str(error)) from None
    except REFUSALS as error:
        raise FormatError(f"{name} cannot be made of {sorted(values)}: {_line(error)}") from None


def _find_type(name: object, types: Sequence[type]) -> Any:
    for cls in types:
        if isinstance(cls, type) and cls.__name__ == name and is_dataclass(cls):
            return cls
    if not isinstance(name, str) or name not in TYPES:
        theirs = name if isinstance(name, str) and name.isidentifier() else "Part"
        raise FormatError(
            f"the detector has a part of type {name!r}, which is not one of ours; "
            f"pass your own parts in: load(dir, types=({theirs},)) or --part file.py:{theirs}"
        )
    return getattr(importlib.import_module(TYPES[name]), name)


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
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise SettingError(
            f"{assignment!r} is not part.setting=value, as in whitening.shrinkage=0.1"
        )
    return _replaced(system, path.strip().split("."), _value(text.strip()))


def _value(text: str) -> Any:
    """A Python literal, lists as tuples; anything else is a bare word."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes and the like, to no line of a file
            return _tuples(ast.literal_eval(text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def _tuples(value: Any) -> Any:
    return tuple(_tuples(x) for x in value) if isinstance(value, list | tuple) else value


def _replaced(part: Any, path: list[str], value: Any) -> Any:
    if not path:
        return _named(part, value)
    if isinstance(part, tuple):
        index = _index(part, path[0])
        return (*part[:index], _replaced(part[index], path[1:], value), *part[index + 1 :])
    if not is_dataclass(part) or isinstance(part, type):
        raise SettingError(f"{part!r} has no settings, so no {'.'.join(path)!r}")
    names = [f.name for f in fields(part) if f.init]
    if path[0] not in names:
        raise SettingError(
            f"{type(part).__name__} has no setting {path[0]!r}; {did_you_mean(path[0], names)}"
        )
    changed = {path[0]: _replaced(getattr(part, path[0]), path[1:], value)}
    try:
        return replace(part, **changed)
    except NearfarError:
        raise
    except REFUSALS as error:
        raise SettingError(
            f"{type(part).__name__}.{path[0]} cannot be {value!r}: {_line(error)}"
        ) from None


def _named(old: Any, value: Any) -> Any:
    """A part of ours by its name, where a part is or could be; any other value as it is."""
    if not isinstance(value, str) or not (old is None or is_dataclass(old)):
        return value
    name = value.removesuffix("()")
    if name not in TYPES:
        if type(old).__name__ not in TYPES:
            return value  # None may stand for a text, and a part of theirs for anything
        raise SettingError(f"no part {value!r}; {did_you_mean(name, TYPES)}")
    try:
        return getattr(importlib.import_module(TYPES[name]), name)()
    except TypeError as error:
        raise SettingError(
            f"{name} needs settings, so give it in a file ({_line(error)})"
        ) from None


def _index(parts: tuple[Any, ...], name: str) -> int:
    names = [type(p).__name__ for p in parts]
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(parts):
        return int(name)
    known = {*names, *(str(i) for i in range(len(parts)))}
    raise SettingError(
        f"no part {name!r}; {did_you_mean(name, known) if parts else 'there is none'}"
    )


def user_module(path: Path) -> ModuleType:
    """Run a person's own Python file as a module, once.

    Raises:
        SettingError: no such file, or it fails.
    """
    path = path.resolve()
    name = USER_PREFIX + hashlib.sha256(str(path).encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise SettingError(f"{path}: no such Python file; give file.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise SettingError(f"{path}: {type(error).__name__}: {_line(error)}") from error
        raise
    return module


def _line(error: BaseException) -> str:
    """What an error says, its first line."""
    return next(iter(str(error).splitlines()), "")


def from_file(reference: str) -> Any:
    """What `file.py:name` names: a system, a function that makes one, a class.

    Raises:
        SettingError: no such file or name.
    """
    file, _, name = reference.rpartition(":")
    module = user_module(Path(file))
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise SettingError(f"{file} has no {name!r}; {did_you_mean(name, public)}")
    return getattr(module, name)


def user_files() -> tuple[str, ...]:
    """Files run by `user_module` so far, for worker processes to run too."""
    return tuple(
        str(m.__file__) for n, m in sorted(sys.modules.items()) if n.startswith(USER_PREFIX)
    )
