"""What is to be said of a package: a line each, with the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.scores.truth import shown
from nearfar.text import counted

SCHEMA = 1  # of the JSON; raised when a program that reads it could err


@dataclass(frozen=True)
class Remark:
    """One thing about a package.

    >>> Remark("task2/a.csv", "line 3 is blank; remove it").line
    'wrong: task2/a.csv: line 3 is blank; remove it'
    """

    place: str  # in the zip; "" for the zip itself
    text: str  # what, which value; the way out
    wrong: bool = True  # False: it may be meant so

    @property
    def line(self) -> str:
        """It, in one line."""
        kind = "wrong" if self.wrong else "look at"
        return f"{kind}: {shown(self.place, 160)}: {self.text}" if self.place else (
            f"{kind}: {self.text}"
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": "wrong" if self.wrong else "doubt", "place": self.place, "text": self.text}


@dataclass(frozen=True)
class CheckedPackage:
    """A package that was looked at.

    >>> CheckedPackage("a.zip", ("Kim_LUDO_task2_1",), {"fan": 200}, ()).text
    'a.zip: 1 system, 1 machine, 200 test clips: nothing wrong'
    """

    name: str
    systems: tuple[str, ...]
    machines: dict[str, int]  # machine → test clips of the first system
    remarks: tuple[Remark, ...]

    @property
    def wrong(self) -> bool:
        """Would it be refused, or be read as something else?"""
        return any(remark.wrong for remark in self.remarks)

    @property
    def text(self) -> str:
        """What a person reads: what is wrong, what to look at, and a sum."""
        bad = [remark for remark in self.remarks if remark.wrong]
        doubtful = [remark for remark in self.remarks if not remark.wrong]
        what = (
            f"{shown(self.name)}: {counted(len(self.systems), 'system')}, "
            f"{counted(len(self.machines), 'machine')}, "
            f"{counted(sum(self.machines.values()), 'test clip')}"
        )
        said = f"{len(bad)} wrong" if bad else "nothing wrong"
        tail = f", {len(doubtful)} to look at" if doubtful else ""
        return "\n".join([r.line for r in (*bad, *doubtful)] + [f"{what}: {said}{tail}"])

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        return {
            "schema": SCHEMA,
            "package": self.name,
            "systems": list(self.systems),
            "machines": self.machines,
            "wrong": self.wrong,
            "remarks": [remark.as_dict() for remark in self.remarks],
        }


def first_of(lines: Sequence[int]) -> str:
    """Which lines of a file, for a message.

    >>> first_of([3]), first_of([3, 7, 9])
    ('line 3', 'line 3 (and 2 more)')
    """
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"line {lines[0]}{more}"
