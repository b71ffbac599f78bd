"""Bytes, texts and names, damaged by chance."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

T = TypeVar("T")

# What people and programs put into cells and names; each has broken some reader somewhere.
ODD_TEXTS = (
    "", " ", "nan", "NaN", "inf", "-inf", "1e400", "-1", "0.0", "1_000", "１２", "0x10", "1,5",
    "'", '"', '""', '"unclosed', "a\tb", "a\nb", "a\r\nb", "\x00", "\x1b[31mred\x1b[0m", "\x7f",
    "\ufeff", "\u202egnp", "\u2028", "é", "e\u0301", "ß" * 300, "x" * 5000, "../../etc", "/",
    "\\", "C:\\a.wav", "-rf", "%s%n", "{0}", "[red]", "=1+1", "2026-13-45T99:00",
    "section_00_source_train_normal_0000",
    ".wav", "a.wav", "A.WAV", "fan", "train", "abnormal", "0", "1", "2", "99999999999999999999",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252", "utf-32")
SEPARATORS = (",", ";", "\t", "|", ", ", " , ", " ")
ENDS = ("\n", "\r\n", "\r", "\n\n", "\x0b", "\u2028")


def flipped(
    data: bytes, rng: np.random.Generator, start: int = 0, stop: int | None = None
) -> bytes:
    """Some bytes of a part become others."""
    stop = len(data) if stop is None else min(stop, len(data))
    if stop <= start:
        return data
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        changed[int(rng.integers(start, stop))] = int(rng.integers(256))
    return bytes(changed)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Only the beginning is left."""
    return data[: int(rng.integers(0, max(len(data), 1)))]


def any_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One damage that knows nothing of the format."""
    kind = int(rng.integers(7))
    if kind == 0:
        return cut(data, rng)
    if kind == 1:
        return flipped(data, rng)
    if kind == 2:
        return data + rng.bytes(int(rng.integers(1, 200)))
    if kind == 3:
        return rng.bytes(int(rng.integers(0, 400)))
    if kind == 4:
        return data + data
    if kind == 5:  # a hole of zeros, as a full disk leaves it
        at = int(rng.integers(0, max(len(data), 1)))
        return data[:at] + bytes(min(len(data) - at, 64)) + data[at + 64 :]
    at, size = int(rng.integers(0, max(len(data), 1))), int(rng.integers(1, 50))
    return data[:at] + data[at + size :]


def odd(rng: np.random.Generator) -> str:
    """A text that is not what anybody expects."""
    return ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))]


def pick(options: tuple[T, ...] | list[T], rng: np.random.Generator) -> T:
    """One of some, unlike NumPy's own choice without making an array of them."""
    return options[int(rng.integers(len(options)))]


def written(rows: list[list[str]], rng: np.random.Generator) -> bytes:
    """Rows as some program might write them: separators, quotes, line ends, encodings."""
    plain = rng.random() < 0.4
    separator = "," if plain else pick(SEPARATORS, rng)
    end = "\n" if plain else pick(ENDS, rng)
    quoted = not plain and rng.random() < 0.3
    lines = [separator.join(f'"{c}"' if quoted else c for c in row) for row in rows]
    encoding = "utf-8" if plain else pick(ENCODINGS, rng)
    text = end.join(lines) + (end if rng.random() < 0.8 else "")
    data = text.encode(encoding, "replace")
    return any_bytes(data, rng) if rng.random() < 0.25 else data


def damaged_rows(rows: list[list[str]], rng: np.random.Generator) -> list[list[str]]:
    """Cells replaced, lines dropped, doubled, moved, made longer or shorter."""
    rows = [list(row) for row in rows]
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(len(rows)))
        kind = int(rng.integers(7))
        if kind <= 2 and rows[at]:
            rows[at][int(rng.integers(len(rows[at])))] = odd(rng)
        elif kind == 3:
            rows[at].append(odd(rng))
        elif kind == 4 and rows[at]:
            rows[at].pop()
        elif kind == 5:
            rows.insert(at, list(rows[int(rng.integers(len(rows)))]))
        elif len(rows) > 1:
            rows.pop(at)
    return rows
