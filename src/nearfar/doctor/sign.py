"""One line of what the doctor sees, and the asking of it so that nothing else can fail with it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nearfar.errors import visible
from nearfar.text import one_line

State = Literal["ok", "missing", "broken", "note"]
FAULTS = (Exception, SystemExit)  # some libraries leave so when they find nothing to stand on
LONGEST = 200  # characters of what a library says of its fault; some say pages


@dataclass(frozen=True)
class Sign:
    """What was seen of one thing.

    Args:
        group: of the table.
        name: of the thing.
        state: "missing" is not installed, which is no fault; "broken" is installed and does not
            work; a "note" is neither.
        told: what is to be said of it.
        way: out, where there is one: a line to be typed.

    >>> Sign("works", "FLAC", "ok", "read back as written").as_dict()["state"]
    'ok'
    """

    group: str
    name: str
    state: State
    told: str
    way: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"group": self.group, "name": self.name, "state": self.state, "told": self.told,
                "way": self.way}  # fmt: skip


def asked(group: str, name: str, ask: Callable[[], Any], way: str = "") -> Sign:
    """Ask one thing; whatever goes wrong is its sign and nobody else's.

    Args:
        group, name: of the sign.
        ask: gives what is to be said, or a sign.
        way: out, should it go wrong.

    >>> asked("works", "sums", lambda: 1 / 0).told
    'ZeroDivisionError: division by zero'
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tiny data, and of libraries about each other
            told = ask()
    # Whatever a damaged library can raise, for the others are still to be asked.
    except FAULTS as error:
        return Sign(group, name, "broken", fault(error), way)
    return told if isinstance(told, Sign) else Sign(group, name, "ok", str(told))


def fault(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = visible(one_line(error))
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


def timed(ask: Callable[[], str]) -> Callable[[], str]:
    """The same question, its answer with how long it took."""

    def ask_it() -> str:
        begin = time.perf_counter()
        told = ask()
        return f"{told}, {1000 * (time.perf_counter() - begin):.0f} ms"

    return ask_it
