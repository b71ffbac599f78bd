"""Numbers and tables as people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMED = 3  # of many names; a person looks at the first, a program reads a file
LINE = 480  # characters of a line that sums up many; printed, it has a word in front
LEFT_OUT = "left out: "  # how a message begins that says why a clip was not used
# What sounds are called in messages: no blank, a suffix, and perhaps the span of a part.
_FILE = re.compile(
    r"(?:[A-Za-z][\w+.-]+://(?:[^\s/:,;'\"()]+:\d+)?)?"  # of a URL
    r"[^\s,;:'\"()]+\.[A-Za-z][A-Za-z0-9]{1,4}(?:@[\d:.-]*\d)?(?![\w.])"
)
_SUMMED = re.compile(r" \(and \d+ more like it[:,]")  # as `_summed` has it
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of text, columns below one another, the first to the left.

    >>> print(aligned([("machine", "Ω"), ("fan", "64.41")]))
    machine      Ω
    fan      64.41
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            # Names begin together; numbers end together, so that their digits stand in columns.
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def turned(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """As `aligned`; what is wider than `width` has a line for each column of it instead.

    >>> print(turned([("machine", "Ω", "pAUC"), ("fan", "64.41", "52.00")], 15))
    machine    fan
    Ω        64.41
    pAUC     52.00
    """
    text = aligned(rows)
    if width is None or len(text.partition("\n")[0]) <= width or len(rows) < 2:
        return text
    blocks: list[list[Sequence[str]]] = [[rows[0]]]
    for row in rows[1:]:
        told = aligned(list(zip(*blocks[-1], row, strict=True)))
        if len(blocks[-1]) > 1 and len(told.partition("\n")[0]) > width:
            blocks.append([rows[0]])
        blocks[-1].append(row)
    return "\n\n".join(aligned(list(zip(*block, strict=True))) for block in blocks)


def counted(count: int, what: str) -> str:
    """How many of something.

    >>> counted(1, "section"), counted(1200, "clip")
    ('1 section', '1,200 clips')
    """
    return f"{count:,} {what}{'s' * (count != 1)}"


def one_line(error: object) -> str:
    """A message without its line breaks.

    >>> one_line(ValueError("no such file:" + chr(10) + "  a.wav"))
    'no such file: a.wav'
    """
    # Libraries' messages have several; a line of ours is read by `grep` and by cron (law 6).
    text = str(error)
    # What prints is one line already, and blanks may be in a file's name.
    return text if text.isprintable() else " ".join(text.split())


def number(value: float, digits: int = 2) -> str:
    """A number people can compare by eye; a dash for none.

    >>> number(64.406), number(0.00012345), number(float("nan"))
    ('64.41', '0.000123', '–')
    """
    return (
        "–"
        if not math.isfinite(value)
        else f"{value:.{digits}f}"
        if abs(value) >= 0.01 or value == 0  # below, fixed digits would say 0.00
        else f"{value:.3g}"
    )


def figure(value: float) -> str:
    """A speed or a count as people read it: three digits that tell, no power of ten.

    >>> figure(1664.2), figure(14.44), figure(0.5)
    ('1,660', '14.4', '0.5')
    """
    if not math.isfinite(value):
        return "–"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:g}"


def lasting(seconds: float) -> str:
    """A length of time as people say it.

    >>> lasting(10), lasting(1200), lasting(1234), lasting(0.256)
    ('10 s', '20 min', '1,234 s', '0.256 s')
    """
    minutes = round(seconds / 60)
    if minutes >= 2 and abs(seconds - 60 * minutes) < 0.05:
        return f"{minutes:,} min"
    return f"{seconds:,.0f} s" if seconds >= 999.5 else f"{seconds:.3g} s"


def plain(value: Any) -> Any:
    """Data for JSON: numbers that it does not know as null.

    >>> plain({"ratio": float("nan"), "s": (1.0, float("inf"))})
    {'ratio': None, 's': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are.

    >>> named(["a.wav", "b.wav"]), named([f"{i}.wav" for i in range(42)])
    ('a.wav, b.wav', '0.wav, 1.wav, 2.wav and 39 more')
    """
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def called(machine: str, section: str) -> str:
    """A machine and its section in a message; the section that most have alone is not named.

    >>> called("fan", "00"), called("fan", "02")
    ('fan', 'fan 02')
    """
    return machine if section == "00" else f"{machine} {section}"


def in_markdown(text: str) -> str:
    r"""Text as Markdown shows it, in a table too: no sign of it is markup or HTML.

    >>> in_markdown("a|b <i>*c*</i>"), in_markdown("my_fan 01")
    ('a\\|b \\<i\\>\\*c\\*\\</i\\>', 'my_fan 01')
    """
    return re.sub(r"([\\`*\[\]<>|&#~])", r"\\\1", text)


def in_rows(names: Sequence[str], length: int, between: str = ", ") -> list[str]:
    """All names, in rows of no more characters than `length`, if no name is longer.

    >>> in_rows(["a.wav", "b.wav", "c.wav"], 12)
    ['a.wav, b.wav', 'c.wav']
    """
    rows: list[str] = []
    for name in names:
        if rows and len(rows[-1]) + len(between) + len(name) <= length:
            rows[-1] += between + name
        else:
            rows.append(name)
    return rows


def alike(messages: Iterable[str], names: Mapping[str, str] | None = None) -> list[str]:
    """One line for messages that differ in file names and numbers alone, the first one in full.

    In the order of the first of each kind. Messages without a file's name stay as they are, each
    once: what differs in them may be a machine. Of clips left out every one is named, in as many
    lines as that takes: nothing goes without its name.

    Args:
        messages: as they are printed.
        names: message → the file's name in it, where that is known; elsewhere it is guessed, by
            its suffix, and has no blanks.

    >>> alike(["a.wav: 3 s are short", "fan: few clips", "b.wav: 2.5 s are short"])
    ['a.wav: 3 s are short (and 1 more like it: b.wav)', 'fan: few clips']
    >>> alike(["Rec 1: silent", "Rec 2: silent"], {f"Rec {n}: silent": f"Rec {n}" for n in (1, 2)})
    ['Rec 1: silent (and 1 more like it: Rec 2)']
    >>> alike(f"s3://b/{name}.wav: no such file" for name in "ab")
    ['s3://b/a.wav: no such file (and 1 more like it: s3://b/b.wav)']
    """
    known = names or {}
    kinds: dict[str, dict[str, str]] = {}  # each of a kind with the name in it
    seen: set[tuple[str, str]] = set()
    for message in dict.fromkeys(messages):
        name = known.get(message) or _named_in(message)
        kind = _kind(message, name)
        # Of one file they are things of their own: its name alone would not tell the second.
        kind = message if (kind, name) in seen else kind
        seen.add((kind, name))
        kinds.setdefault(kind, {})[message] = name
    return [line for kind in kinds.values() for line in _summed(kind)]


def _named_in(message: str) -> str:
    """The first name in a message whose writer has not told it; "" if there is none."""
    if message.startswith(LEFT_OUT):
        return message.removeprefix(LEFT_OUT).partition(": ")[0]
    return found.group() if (found := _FILE.search(message)) else ""


def _kind(message: str, name: str) -> str:
    """What alike messages have in common."""
    # A line that sums up others names them: summed again with its like, their names would go.
    if not name or message == LEFT_OUT + name or _SUMMED.search(message):
        return message
    return _NUMBER.sub("0", _FILE.sub("FILE", message.replace(name, "FILE")))


def _summed(kind: Mapping[str, str]) -> list[str]:
    """Messages of one kind as one line, or as several that name all clips left out."""
    (first, *others), (_, *names) = kind, kind.values()
    if not others:
        return [first]
    count = f"and {len(others)} more like it"
    if not first.startswith(LEFT_OUT):
        return [f"{first} ({count}: {named(names)})"]
    if len(line := f"{first} ({count}: {', '.join(names)})") <= LINE:
        return [line]
    below = [LEFT_OUT + row for row in in_rows(names, LINE - len(LEFT_OUT))]
    return [f"{first} ({count}, named below)", *below]
