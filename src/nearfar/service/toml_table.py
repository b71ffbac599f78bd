"""A table of a TOML file, taken key by key; each mistake is a line with file, line and key."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from nearfar.errors import FormatError, NearfarError, SettingError, did_you_mean
from nearfar.service.toml_lines import Place, TomlText

T = TypeVar("T")
D = TypeVar("D")
# What must not be read over a shoulder, or be in a backup.
_MOST = 100  # unknown keys that are told one by one
_SECRET = re.compile(r".*(?:password|passwd|secret|token)|user(?:name)?", re.IGNORECASE)


class TomlTable:
    """One table of a file; whoever reads it takes each key once, and then says it is done.

    Mistakes are gathered in `faults`: people mend all at once.

    >>> text = TomlText("[mqtt]" + chr(10) + "port = 'x'", "plant.toml")
    >>> faults = []
    >>> mqtt = TomlTable(text, (), text.data, faults).table("mqtt")
    >>> mqtt.take("port", whole_number(1), 1883), str(faults[0])
    (1883, 'plant.toml:2: [mqtt] port is "x"; it is a whole number from 1 up')
    """

    def __init__(
        self, text: TomlText, place: Place, data: dict[str, Any], faults: list[FormatError],
        secrets: str = "",
    ) -> None:  # fmt: skip
        self._text, self._place, self._data, self._faults = text, place, data, faults
        self._secrets = secrets  # how a secret is told instead
        self._known: list[str] = []

    @property
    def name(self) -> str:
        """As its header is written; "" for the file itself."""
        names = ".".join(str(part) for part in self._place if isinstance(part, str))
        many = bool(self._place) and isinstance(self._place[-1], int)
        return f"[[{names}]]" if many else f"[{names}]" if names else ""

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def take(self, key: str, kind: Callable[[Any], T], default: D) -> T | D:
        """The value of a key, or what stands for it where it is not there or wrong.

        Args:
            key: of this table.
            kind: reads a value; raises SettingError, as in "5; it is a text".
            default: what it is otherwise.
        """
        self._known.append(key)
        if key not in self._data:
            return default
        try:
            return kind(self._data[key])
        except NearfarError as error:
            said = str(error)
            # Readers of other rooms name the setting and the value themselves, in a sentence.
            named = not said.startswith(key.replace("_", " "))
            a_noun = "; it is" in said or said.startswith(("a ", "an "))
            self.fault(key, f"is {said}" if named and a_noun else said, named=named)
            return default

    def need(self, key: str, kind: Callable[[Any], T], default: D, example: str) -> T | D:
        """As `take`, of a key that must be there."""
        if key not in self._data:
            self._known.append(key)
            self.fault("", f"has no {key}; add one, as {example}")
            return default
        return self.take(key, kind, default)

    def table(self, key: str) -> TomlTable:
        """A table in it; an empty one where there is none."""
        self._known.append(key)
        found = self._data.get(key, {})
        if isinstance(found, list):
            self.fault(key, "is there several times; write it once, with one pair of brackets")
            found = {}
        elif not isinstance(found, dict):
            self.fault(key, f"is {shown(found)}; it is a table, headed [{key}]")
            found = {}
        return self._inner((*self._place, key), found)

    def tables(self, key: str) -> Iterator[TomlTable]:
        """The tables of an array of them."""
        self._known.append(key)
        found = self._data.get(key, [])
        if isinstance(found, dict) or not all(isinstance(one, dict) for one in found):
            self.fault(
                key, f"is one of perhaps many; head it [[{key}]], with two pairs of brackets"
            )
            found = []
        for n, one in enumerate(found):
            yield self._inner((*self._place, key, n), one)

    def _inner(self, place: Place, data: dict[str, Any]) -> TomlTable:
        return TomlTable(self._text, place, data, self._faults, self._secrets)

    def done(self) -> None:
        """Refuse keys that nobody has taken, and secrets by where they belong."""
        strange = [key for key in self._data if key not in self._known]
        if len(strange) > _MOST:  # another program's file; to guess what each means takes minutes
            self.fault("", f"has {len(strange):,} keys that it does not take; the first is "
                       f"{strange[0]!r}. It has: {', '.join(sorted(self._known))}")  # fmt: skip
            return
        for key in strange:
            if _SECRET.fullmatch(key):
                self.fault(key, f"does not belong into a file; {self._secrets}")
            else:
                has = "there is no key" if not self._place else "has no key"
                self.fault(key, f"{has} {key!r}; {did_you_mean(key, self._known)}", named=False)

    def fault(self, key: str, why: str, *, named: bool = True) -> None:
        """Remember a mistake.

        Args:
            key: that it is in; "" for the table.
            why: goes on after the key's name; as a sentence of its own with ": " before it.
            named: begin with the key's name.
        """
        place = (*self._place, key) if key else self._place
        line = self._text.line(*place)
        head = " ".join(filter(None, (self.name, key if named else "")))
        said = f"{head}{'' if why.startswith(':') or not head else ' '}{why}"
        self._faults.append(FormatError(f"{self._text.name}:{line}: {said}"))


def shown(value: object) -> str:
    """A value as TOML writes it, or nearly so, and not too long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # a date; what is too long, or too deep
        text = _spelled(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _spelled(value: object) -> str:
    try:
        return str(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, tables in tables
        return "too much to be shown"


def text_of(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise SettingError(f"{shown(value)}; it is a text of one line, in quotes")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, or one."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list):
        raise SettingError(f'{shown(value)}; it is a list of texts, as ["a", "b"]')
    return tuple(text_of(one) for one in found)


def truth(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise SettingError(f"{shown(value)}; it is true or false, without quotes")
    return value


def one_of(words: Sequence[str]) -> Callable[[Any], Any]:
    """One of some words."""

    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise SettingError(f"{shown(value)}; it is one of: {', '.join(words)}")
        return value

    return read


def whole_number(least: int, most: int | None = None) -> Callable[[Any], int]:
    """A whole number between two bounds."""

    def read(value: Any) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < least or (most is not None and value > most):
            span = f"from {least} up" if most is None else f"from {least} to {most}"
            raise SettingError(f"{shown(value)}; it is a whole number {span}")
        return int(value)

    return read


def number_within(low: float, high: float) -> Callable[[Any], float]:
    """A number between two bounds."""

    def read(value: Any) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise SettingError(f"{shown(value)}; it is a number from {low:g} to {high:g}")
        return float(value)

    return read
