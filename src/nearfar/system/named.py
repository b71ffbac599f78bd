"""From a name on the command line to a system."""

from __future__ import annotations

from typing import Any

from nearfar.errors import NearfarError, SettingError, did_you_mean, first_line


def system_of(
    name: str,
    settings: list[str] | None,
    weights: list[str] | None = None,
    rate: float | None = None,
) -> Any:
    """The system that -s, --weights, --set and --false-alarm-rate describe.

    Raises:
        SettingError: no such system or setting, or weights that it does not take.
    """
    # Here and not above: the command line shows its help without them.
    from nearfar.parts.change import with_setting, with_settings
    from nearfar.parts.own import from_file
    from nearfar.system.presets import PRESETS
    from nearfar.system.system import Ensemble, System

    if ".py:" in name:  # also C:\mine.py:system, so it is not split at the first colon
        system = _made(name, from_file(name), weights or [])
    elif name in PRESETS:
        system = PRESETS[name](name, weights or [])
    else:
        raise SettingError(f"no system {name!r}; {did_you_mean(name, PRESETS)}, or file.py:name")
    if not isinstance(system, System | Ensemble):
        raise SettingError(f"{name} is {type(system).__name__}, need a System or an Ensemble")
    # In the order given: a later one sees the earlier.
    system = with_settings(system, settings or ())
    # Last and as a setting, so that it is checked and refused like one.
    return system if rate is None else with_setting(system, f"false_alarm_rate={rate}")


def published(name: str) -> list[str]:
    """The weights that a preset is meant for, to show it; nothing is looked for or loaded."""
    from nearfar.system.presets import PRESETS, PUBLISHED

    return [PUBLISHED] * PRESETS[name].encoders if name in PRESETS else []


def _made(name: str, system: Any, weights: list[str]) -> Any:
    """A person's own system, or what their function makes of the weights."""
    if not callable(system):
        if weights:
            raise SettingError(f"{name} is a system already; make it a function of its weights")
        return system
    try:
        return system(*weights)
    except NearfarError:
        raise
    except Exception as error:  # a person's own code may fail in any way
        what = first_line(f"{type(error).__name__}: {error}")
        given = f"given {len(weights)} weights" if weights else "it takes no arguments"
        raise SettingError(f"{name}() failed ({what}); {given}") from error


def types_of(parts: list[str] | None) -> tuple[type, ...]:
    """The classes that --part names."""
    from nearfar.parts.own import from_file

    return tuple(from_file(part) for part in parts or ())
