"""Systems as plain data and back.

A part is a frozen dataclass. As data it is `{"type": "KNN", "weights": [1.0], …}`: tuples become
lists, parts become objects. Reading it back, a type name must be on the list below or among the
types the caller passes in; nothing is ever imported because a file says so.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nearfar.errors import FormatError, NearfarError, SettingError, did_you_mean, first_line

# The only names that a file may ask for, and where each lies: a file says what, never from where.
TYPES = {
    "System": "nearfar.system.system",
    "Ensemble": "nearfar.system.system",
    "Near": "nearfar.frontend",
    "Far": "nearfar.frontend",
    "Stereo": "nearfar.frontend",
    "CoherenceMask": "nearfar.frontend",
    "FarCancel": "nearfar.frontend",
    "DIF": "nearfar.embedder.dif",
    "ENV": "nearfar.embedder.envelope",
    "LTAS": "nearfar.embedder.ltas",
    "Concatenated": "nearfar.embedder.concatenated",
    "LogMel": "nearfar.embedder.logmel",
    "EAT": "nearfar.embedder.eat",
    "BEATs": "nearfar.embedder.beats",
    "YAMNet": "nearfar.embedder.yamnet",
    "OnnxEncoder": "nearfar.embedder.onnx",
    "Crops": "nearfar.embedder.crops",
    "FarSubtracted": "nearfar.embedder.behind",
    "Pooled": "nearfar.embedder.pooling",
    "Mean": "nearfar.embedder.pooling",
    "Bands": "nearfar.embedder.pooling",
    "RelativeDeviation": "nearfar.embedder.pooling",
    "MeanShift": "nearfar.scoring.adapt",
    "UnitLength": "nearfar.scoring.adapt",
    "Standardise": "nearfar.scoring.adapt",
    "ZCA": "nearfar.scoring.whiten",
    "ResidualAugmentation": "nearfar.scoring.enrich",
    "PseudoTarget": "nearfar.scoring.enrich",
    "KNN": "nearfar.scoring.rule",
    "LocalDensity": "nearfar.scoring.local",
    "VarMin": "nearfar.scoring.local",
    "PerBand": "nearfar.scoring.parted",
    "PerDomain": "nearfar.scoring.parted",
    "Raw": "nearfar.scoring.calibrate",
    "ZScore": "nearfar.scoring.calibrate",
    "Percentile": "nearfar.scoring.calibrate",
}
# What a part of anybody's may raise over a value that it does not expect.
REFUSALS = (TypeError, ValueError, AttributeError, ArithmeticError, LookupError)
UNSAVED_DEFAULT = MappingProxyType({"unsaved": "default"})  # of a setting older nearfars lack


def unsaved_as(before: Any) -> Mapping[str, Any]:
    """Metadata of a later setting: what data without it mean, which is not its default.

    >>> unsaved_as(False)["before"]
    False
    """
    return MappingProxyType({"before": before})


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
        return part.as_posix()  # read on any system
    raise SettingError(f"{part!r} of type {type(part).__name__} cannot be saved with a detector")


def _saved(part: Any, setting: Field[Any]) -> bool:
    if setting.metadata == UNSAVED_DEFAULT and getattr(part, setting.name) == setting.default:
        return False  # so that an older nearfar reads what does not use it
    if "before" in setting.metadata and getattr(part, setting.name) == setting.metadata["before"]:
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
    # Written before a setting was there, it means what was done then.
    for f in fields(cls):
        if "before" in f.metadata:
            values.setdefault(f.name, f.metadata["before"])
    # Not left to the class: its TypeError would name no way out.
    for key in values:
        if key not in known:
            raise FormatError(f"{name} has no setting {key!r}; {did_you_mean(key, known)}")
    try:
        return cls(**values)
    except NearfarError as error:  # a value that is refused is here a fault of the file
        raise FormatError(str(error)) from None
    except REFUSALS as error:
        raise FormatError(
            f"{name} cannot be made of {sorted(values)}: {first_line(error)}"
        ) from None


def _find_type(name: object, types: Sequence[type]) -> Any:
    for cls in types:  # the caller's come first: who passes one in means it
        if isinstance(cls, type) and cls.__name__ == name and is_dataclass(cls):
            return cls
    if not isinstance(name, str) or name not in TYPES:
        theirs = name if isinstance(name, str) and name.isidentifier() else "Part"
        raise FormatError(
            f"the detector has a part of type {name!r}, which is not one of ours; "
            f"name your own parts: load(dir, types=({theirs},))"
        )
    return getattr(importlib.import_module(TYPES[name]), name)


def described(data: Any) -> str:
    """A part's data as they are written in Python."""
    settings = ", ".join(f"{k}={v!r}" for k, v in data.items() if k != "type")
    return f"{data['type']}({settings})"
