"""docs/benchmarks.md: a column for each maker of processors, of which a run writes its own.

A section is Markdown as a benchmark prints it, of one machine. On the page the numbers of all
makers stand beside one another, and what a sentence says of one machine begins with its maker's
name. So the page can be taken apart again, and a run leaves the others' numbers as they were.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TITLE = "# Benchmarks"
NUMBER = re.compile(r"\d[\d,.]*(?:e-?\d+)?")
MAKERS = {"AuthenticAMD": "AMD", "GenuineIntel": "Intel"}  # vendor_id of /proc/cpuinfo
# Flags of /proc/cpuinfo, the widest first, and what people call them.
VECTORS = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON"}

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of one machine: its columns of numbers are flush right."""

    head: Cells
    right: tuple[bool, ...]
    rows: tuple[Cells, ...]

    def names(self, row: Cells) -> Cells:
        """The cells that say what a row is about."""
        return tuple(cell for cell, right in zip(row, self.right, strict=True) if not right)

    def numbers(self, row: Cells) -> Cells:
        """The cells that were measured."""
        return tuple(cell for cell, right in zip(row, self.right, strict=True) if right)


Block = Table | str
Section = tuple[Block, ...]
Page = dict[str, dict[str, Section]]  # maker → title → section; "" has what a machine is


def processor() -> tuple[str, str]:
    """Who made this machine's processor, and its name with the widest vectors that it has."""
    info = Path("/proc/cpuinfo")
    said: dict[str, str] = {}
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            said.setdefault(key.strip(), value.strip())
    name = said.get("model name") or platform.processor() or platform.machine()
    flags = (said.get("flags") or said.get("Features") or "").split()
    widest = next((called for flag, called in VECTORS.items() if flag in flags), "")
    # macOS has no such file; its own processors are called by their architecture.
    maker = MAKERS.get(said.get("vendor_id", ""), "Intel" if "86" in name else "ARM")
    return maker, f"{name}, {widest}" if widest else name


def parsed(text: str) -> Page:
    """A page taken apart; of one that names no makers all is of whom its machine is."""
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    machines = re.findall(r"^(?:Machine|- (\w+)): (.+)$", head, flags=re.MULTILINE)
    known = {name or ("AMD" if "AMD" in said else "Intel"): said for name, said in machines}
    page: Page = {maker: {"": (said,)} for maker, said in known.items()}
    for section in sections:
        title, _, body = section.partition("\n")
        blocks = [_block(part) for part in body.strip().split("\n\n")]
        for maker, others in ((maker, set(known) - {maker}) for maker in known):
            mine = (_of_maker(block, maker, others, len(known) == 1) for block in blocks)
            if kept := tuple(block for block in mine if block is not None):
                page[maker][title] = kept
    return page


def _block(part: str) -> Block:
    lines = part.strip().splitlines()
    if len(lines) < 2 or not re.fullmatch(r"[|:\- ]+", lines[1]):
        return " ".join(lines)
    head, marks, *rows = (
        tuple(c.strip() for c in line.strip().strip("|").split("|")) for line in lines
    )
    return Table(head, tuple(mark.endswith(":") for mark in marks), tuple(rows))


def _of_maker(block: Block, maker: str, others: set[str], alone: bool) -> Block | None:
    """What a block says of one maker's machine; None if nothing."""
    if isinstance(block, str):
        if any(block.startswith(f"{other}: ") for other in others):
            return None
        return block.removeprefix(f"{maker}: ")
    if alone and not any(name.endswith(f", {maker}") for name in block.head):
        return block
    keep = [
        not right or name.endswith(f", {maker}")
        for name, right in zip(block.head, block.right, strict=True)
    ]

    def cut(cells: Sequence[str]) -> Cells:
        return tuple(cell for cell, kept in zip(cells, keep, strict=True) if kept)

    found = Table(
        tuple(name.removesuffix(f", {maker}") for name in cut(block.head)),
        tuple(right for right, kept in zip(block.right, keep, strict=True) if kept),
        tuple(cut(row) for row in block.rows),
    )
    rows = tuple(row for row in found.rows if any(n not in ("", "–") for n in found.numbers(row)))
    return Table(found.head, found.right, rows) if rows else None


def printed(page: Page, intro: str) -> str:
    """The whole page: sections and their blocks in the order of the maker that has most of them."""
    makers = sorted(page)
    parts = [TITLE, intro, "\n".join(f"- {maker}: {page[maker][''][0]}" for maker in makers)]
    fullest = sorted(makers, key=lambda maker: -len(page[maker]))
    titles = dict.fromkeys(title for maker in fullest for title in page[maker] if title)
    for title in titles:
        known = {maker: page[maker][title] for maker in makers if title in page[maker]}
        parts += [f"## {title}", *_merged(known, len(makers))]
    return "\n\n".join(parts) + "\n"


def _merged(known: dict[str, Section], makers: int) -> Iterator[str]:
    """Blocks of all makers: alike ones together, in the order of whoever has most of them."""
    left = {maker: list(section) for maker, section in known.items()}
    longest = max(known, key=lambda maker: len(known[maker]))
    order = [*known[longest], *(b for maker in known if maker != longest for b in known[maker])]
    for block in order:
        same: dict[str, Block] = {}
        for maker, blocks in left.items():
            found = next((b for b in blocks if _kind(b) == _kind(block)), None)
            if found is not None:
                blocks.remove(found)
                same[maker] = found
        if not same:  # it came with an earlier one
            continue
        texts = {maker: b for maker, b in same.items() if isinstance(b, str)}
        tables = {maker: b for maker, b in same.items() if isinstance(b, Table)}
        if tables:
            yield _beside(tables)
        elif len(set(texts.values())) == 1 and len(texts) == makers:
            yield next(iter(texts.values()))
        else:
            yield from (f"{maker}: {text}" for maker, text in texts.items())


def _kind(block: Block) -> Cells | str:
    """What blocks of the same matter have in common."""
    if isinstance(block, Table):
        return block.head
    return NUMBER.sub("0", block)[:60]  # behind its begin a sentence may name other things


def _beside(tables: dict[str, Table]) -> str:
    """One table of several makers': each number's columns side by side."""
    first = next(iter(tables.values()))
    rows = dict.fromkeys(t.names(row) for t in tables.values() for row in t.rows)
    said = {m: {t.names(row): t.numbers(row) for row in t.rows} for m, t in tables.items()}
    numbers = len(first.numbers(first.head))

    def line(names: Cells, of: dict[str, Cells]) -> str:
        cells, measured = iter(names), iter(range(numbers))
        out: list[str] = []
        for right in first.right:
            if right:
                column = next(measured)
                out += [of[maker][column] for maker in tables]
            else:
                out.append(next(cells))
        return f"| {' | '.join(out)} |"

    heads = {m: tuple(f"{name}, {m}" for name in first.numbers(first.head)) for m in tables}
    marks = {m: ("--:",) * numbers for m in tables}
    dashes = tuple("---" for right in first.right if not right)
    none = ("–",) * numbers
    return "\n".join(
        [
            line(first.names(first.head), heads),
            line(dashes, marks).replace(" ", ""),
            *(line(name, {m: said[m].get(name, none) for m in tables}) for name in rows),
        ]
    )
