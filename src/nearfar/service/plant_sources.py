"""Sources of a plant.toml: folders, raw sound and inputs, each a table with keys of its own."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nearfar.errors import NearfarError
from nearfar.service.amounts import duration
from nearfar.service.plant import FORMS, MachineSettings, SourceSettings, check_owner, usual_seconds
from nearfar.service.plant_values import pair_of, time_pattern
from nearfar.service.toml_table import (
    TomlTable,
    number_within,
    one_of,
    text_of,
    truth,
    whole_number,
)


def source_in(
    table: TomlTable, folder: Path, machines: tuple[MachineSettings, ...]
) -> SourceSettings | None:
    """The source of a table; None where it has a mistake.

    Args:
        table: takes its mistakes.
        folder: that paths in it start from.
        machines: that are watched.
    """
    kinds = [kind for kind in ("folder", "pcm", "device") if kind in table]
    places = {
        "folder": table.take("folder", partial(path_from, folder), None),
        "pcm": table.take("pcm", partial(_stream, folder), None),
        "device": table.take("device", _device, None),
    }
    common: dict[str, Any] = {
        "name": table.take("name", text_of, ""),
        "machine": table.take("machine", text_of, ""),
        "section": table.take("section", text_of, ""),
        "clip_seconds": table.take("clip_seconds", number_within(0.1, 86_400), None),
        "channels": _channels(table),
    }
    special = _of_folder(table) if kinds == ["folder"] else _of_stream(table, kinds)
    table.done()
    if len(kinds) != 1:
        why = f"{' and '.join(kinds)} exclude each other" if kinds else "hears nothing"
        table.fault("", f"{why}; give it one of: folder, pcm, device")
    place = places[kinds[0]] if len(kinds) == 1 else None
    if place is None:
        return None
    kind: Any = kinds[0]
    common["name"] = common["name"] or _usual_name(kind, str(place))
    source = SourceSettings(kind=kind, place=str(place), **common, **special)
    return _owned(table, source, machines)


def _owned(
    table: TomlTable, source: SourceSettings, machines: tuple[MachineSettings, ...]
) -> SourceSettings | None:
    """A source that belongs to somebody; a stream is cut as long as its normals are."""
    if not machines:  # said already
        return source
    try:
        check_owner(source, [machine.key for machine in machines])
        return with_seconds(source, machines)
    except NearfarError as error:
        # Where a key of the table is to blame, on its line.
        key = next((k for k in ("machine", "section") if str(error).startswith(f"{k} ")), "")
        table.fault(key if key in table else "", str(error), named=False)
        return None


def with_seconds(source: SourceSettings, machines: tuple[MachineSettings, ...]) -> SourceSettings:
    """A stream with the length of its clips: that of its machine's normals, if nobody says.

    Raises:
        FormatError: a damaged detector.
    """
    if source.kind == "folder" or source.clip_seconds is not None:
        return source
    mine = next(m for m in machines if source.machine in ("", m.name)
                and source.section in ("", m.section))  # fmt: skip
    return replace(source, clip_seconds=usual_seconds(mine))


def _of_folder(table: TomlTable) -> dict[str, Any]:
    """What is said of a folder alone."""
    return {
        "settle": table.take("settle", duration, SourceSettings.settle),
        "patience": table.take("patience", duration, SourceSettings.patience),
        "poll": table.take("poll", duration, None),
        "pair": table.take("pair", pair_of, None),
        "time_pattern": table.take("time_pattern", time_pattern, None),
        "existing": table.take("catch_up", truth, True),
    }


def _channels(table: TomlTable) -> tuple[int, int] | None:
    """The two channels of near and far, where there are several."""
    near = table.take("near", whole_number(1), None)
    far = table.take("far", whole_number(1), None)
    if (near is None) != (far is None) or (near is not None and near == far):
        table.fault("near" if near else "far", "goes with the other channel; say near and far, "
                    "two channels counted from 1")  # fmt: skip
    return (near, far) if near and far and near != far else None


def _of_stream(table: TomlTable, kinds: list[str]) -> dict[str, Any]:
    """What is said of a stream alone."""
    is_pcm = kinds == ["pcm"]
    rate = whole_number(1000, 768_000)
    found: dict[str, Any] = {
        # Nothing in raw sound tells it; a device knows its own.
        "rate": table.need("rate", rate, None, "rate = 48000")
        if is_pcm else table.take("rate", rate, None),
    }  # fmt: skip
    if is_pcm:
        found["form"] = table.take("format", one_of(FORMS), SourceSettings.form)
        found["count"] = table.take("channels", whole_number(1, 64), SourceSettings.count)
    return found


def _usual_name(kind: str, place: str) -> str:
    """What a source is called that is given no name."""
    if kind == "device":
        return place or "mic"
    return "pcm" if place == "-" else Path(place).name or place


def path_from(folder: Path, value: Any) -> Path:
    """A path, from a folder on."""
    return folder / os.path.expanduser(text_of(value))


def _stream(folder: Path, value: Any) -> str:
    """A pipe's path, or the dash of standard input."""
    return "-" if value == "-" else str(path_from(folder, value))


def _device(value: Any) -> str:
    """A device's name; the usual one is an empty text, or "default"."""
    return "" if value in ("", "default") else text_of(value)
