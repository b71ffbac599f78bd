"""Where in a TOML text a key stands: the standard library keeps no lines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from nearfar.errors import FormatError

Place = tuple[str | int, ...]  # as one goes through what was read: ("source", 0, "settle")
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
# Longest first: three quotes are no empty text, and the last ones of five belong to the text.
_TEXT = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\])*"|\'[^\']*\'', re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n\r]+")  # numbers, dates (with a blank in them), true, false
_ENDLESS = re.compile(r"[0-9_]{1000,}")
# A dotted key of more pieces than anybody has tables; no piece is looked at twice.
_CHAIN = re.compile(r"""(?:(?<![\w-])(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")
DEEPEST = 8  # keys one within the other; deeper none is asked for, and what it is in is named
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class TomlText:
    """What a TOML text says, and on which line.

    Raises:
        FormatError: not TOML; names the line.

    >>> text = TomlText('[mqtt]' + chr(10) + 'url = "mqtt://broker"', "plant.toml")
    >>> text.data, text.line("mqtt", "url")
    ({'mqtt': {'url': 'mqtt://broker'}}, 2)
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name  # of the file, for messages
        if (chain := _CHAIN.search(text)) is not None:  # takes the library gigabytes
            line = text.count("\n", 0, chain.start()) + 1
            raise FormatError(_too_deep(f"{name}:{line}"))
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise FormatError(_syntax(error, text, name)) from None
        except ValueError:  # the library's own refusal is one too, and has gone above
            raise FormatError(_endless(text, name)) from None
        except RecursionError:
            raise FormatError(_too_deep(name)) from None
        try:
            # As the library has it, so that places in it are the same.
            self._lines = dict(_Scan(text.replace("\r\n", "\n")))
        except RecursionError:
            raise FormatError(_too_deep(name)) from None

    def line(self, *place: str | int) -> int:
        """The line of a key or table; of what is not there that of the table around it."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines[place] if place else 1


def _syntax(error: Exception, text: str, name: str) -> str:
    """The library's words, with the line where an editor wants it."""
    said = str(error)
    found = _AT.search(said)
    line = found[1] if found and found[1] else text.count("\n") + 1
    said = _AT.sub("", said)
    return f"{name}:{line}: not TOML: {said[:1].lower()}{said[1:]}; mend this line"


def _endless(text: str, name: str) -> str:
    """A number that Python does not read, for that would take too long."""
    found = _ENDLESS.search(text)
    line = text.count("\n", 0, found.start()) + 1 if found else 1
    return f"{name}:{line}: a number of thousands of digits; mend this line"


def _too_deep(name: str) -> str:
    return f"{name}: too deep; a plant's file has tables of two levels"


class _Scan:
    """Goes once through a text that is known to be TOML, and gives each place with its line."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line, self._counted = 1, 0  # lines up to a character
        self._tables: dict[Place, int] = {}  # arrays of tables → how many so far
        self._seen: set[Place] = set()  # a table may be declared after keys in it

    def __iter__(self) -> Iterator[tuple[Place, int]]:
        table: Place = ()
        self._skip()
        while self._at < len(self._text):
            if self._here("["):
                line = self._now()
                table = self._header()
                # The tables around it are declared by it, if by nothing before.
                yield from self._implied(table, line)
            else:
                yield from self._pair(table)
            self._skip()

    def _header(self) -> Place:
        many = self._text.startswith("[[", self._at)
        self._at += 1 + many
        *around, last = self._key()
        self._at = self._text.index("]" * (1 + many), self._at) + 1 + many
        place = (*self._resolved((), around), last)
        if many:
            self._tables[place] = self._tables.get(place, 0) + 1
            return (*place, self._tables[place] - 1)
        return place

    def _resolved(self, table: Place, keys: list[str]) -> Place:
        """Keys within a table; of an array of tables they mean its last."""
        place = table
        for key in keys:
            place = (*place, key)
            if place in self._tables:
                place = (*place, self._tables[place] - 1)
        return place

    def _pair(self, table: Place) -> Iterator[tuple[Place, int]]:
        line = self._now()
        place = (*table, *self._key())
        self._skip()
        self._at += 1  # =
        yield from self._implied(place, line, len(table))
        yield from self._value(place)

    def _implied(self, place: Place, line: int, known: int = 0) -> Iterator[tuple[Place, int]]:
        # A dotted key of a megabyte would be terabytes of places.
        for end in range(known + 1, min(len(place), DEEPEST) + 1):
            if place[:end] not in self._seen:
                self._seen.add(place[:end])
                yield place[:end], line

    def _value(self, place: Place) -> Iterator[tuple[Place, int]]:
        self._skip()
        if self._here("["):
            yield from self._items(place)
        elif self._here("{"):
            yield from self._inline(place)
        else:
            found = _TEXT.match(self._text, self._at) or _BARE_VALUE.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _items(self, place: Place) -> Iterator[tuple[Place, int]]:
        self._at += 1
        count = 0
        while self._more("]"):
            yield (*place, count), self._now()
            yield from self._value((*place, count))
            count += 1
        self._at += 1

    def _inline(self, place: Place) -> Iterator[tuple[Place, int]]:
        self._at += 1
        while self._more("}"):
            yield from self._pair(place)
        self._at += 1

    def _more(self, end: str) -> bool:
        """Past blanks and commas, is there something before the end?"""
        self._skip()
        while self._here(","):
            self._at += 1
            self._skip()
        return not self._here(end) and self._at < len(self._text)

    def _key(self) -> list[str]:
        """The pieces of a dotted key."""
        pieces = []
        while True:
            self._skip()
            found = _BARE_KEY.match(self._text, self._at)
            if found is not None:
                pieces.append(found[0])
            else:
                found = _TEXT.match(self._text, self._at)
                if found is None:
                    raise ValueError("no key where TOML has one")
                # Escapes in a quoted key are the library's business.
                pieces.append(str(tomllib.loads(f"key = {found[0]}")["key"]))
            self._at = found.end()
            self._skip()
            if not self._here("."):
                return pieces
            self._at += 1

    def _here(self, sign: str) -> bool:
        return self._text.startswith(sign, self._at)

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _now(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line
