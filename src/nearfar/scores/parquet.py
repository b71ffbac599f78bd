"""Verdicts as a Parquet table: typed columns, the same as the CSV's, for whatever reads tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nearfar.errors import needs
from nearfar.files import as_bytes, atomic_file

_OURS = "nearfar."  # begins each key of ours
SCHEMA_KEY = f"{_OURS}schema"  # of the file's metadata; by it a file of ours is known
_FLOATS = ("score", "percentile", "threshold", "p_value")
_BOOLS = ("anomalous", "lasting")
_LONGEST = 1 << 24  # bytes of a footer; longer ones are not looked into


def check_installed() -> None:
    """Refuse before any work what could not be written.

    Raises:
        NearfarError: pyarrow is not installed, with the line that installs it.
    """
    with needs("parquet", "Parquet needs pyarrow"):
        import pyarrow  # noqa: F401


def as_parquet(columns: Mapping[str, Sequence[Any]], about: Mapping[str, str]) -> bytes:
    """A Parquet file of some columns.

    Args:
        columns: name → its values, None where nothing is known; those that are no texts are
            known by their names, `time` has datetimes.
        about: the file's metadata, without "nearfar." before each name.

    Raises:
        NearfarError: pyarrow is not installed.
    """
    check_installed()
    import pyarrow as arrow
    from pyarrow.parquet import write_table

    kinds = _kinds(columns)
    known = {f"nearfar.{name}": _plain(text) for name, text in about.items()}
    filled = {
        name: _times(values) if name == "time" else [_plain(value) for value in values]
        for name, values in columns.items()
    }
    table = arrow.table(
        [arrow.array(values, type=kinds[name]) for name, values in filled.items()],
        schema=arrow.schema([(name, kinds[name]) for name in filled], metadata=known),
    )
    out = io.BytesIO()
    write_table(table, out)
    return out.getvalue()


def write_parquet(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    with atomic_file(path) as file:
        file.write(content)


def is_score_parquet(path: Path) -> bool:
    """Is a file plainly a Parquet table of verdicts that we wrote, of any version?"""
    try:
        with path.open("rb") as file:
            # It ends with its footer, the footer's length and a mark.
            size = file.seek(0, io.SEEK_END)
            file.seek(max(size - 8, 0))
            length, mark = file.read(4), file.read(4)
            footer = int.from_bytes(length, "little")
            if mark != b"PAR1" or footer + 8 > min(size, _LONGEST):
                return False
            file.seek(size - 8 - footer)
            return SCHEMA_KEY.encode() in file.read(footer)
    except OSError:
        return False


def _plain(value: Any) -> Any:
    # As in CSV and JSON: bytes of a name that are no text are spelled out.
    return as_bytes(value).decode() if isinstance(value, str) else value


def _kinds(columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Name → Arrow's type."""
    import pyarrow as arrow

    kinds = dict.fromkeys(columns, arrow.string())  # what is not named below is text
    kinds |= dict.fromkeys(_FLOATS, arrow.float64()) | dict.fromkeys(_BOOLS, arrow.bool_())
    zoned = _zones(columns.get("time", ()))
    if zoned != {True, False}:  # else text: such clocks are not of one kind
        kinds["time"] = arrow.timestamp("us", tz="UTC" if zoned == {True} else None)
    return kinds


def _zones(times: Iterable[datetime | None]) -> set[bool]:
    """Do the times that are known say their zone?"""
    return {time.tzinfo is not None for time in times if time is not None}


def _times(times: Sequence[datetime | None]) -> list[Any]:
    """Times as the column has them: in UTC where all say their zone, text where some do."""
    zoned = _zones(times)
    if zoned == {True}:
        return [time and time.astimezone(UTC) for time in times]
    return [time.isoformat() if time and len(zoned) == 2 else time for time in times]
