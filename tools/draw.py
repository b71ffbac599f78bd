"""`python -m tools.draw`: draw the house from the code's own imports into docs/architecture.md.

Floors from the top down, the rooms on each, and what each stands on: the rooms directly below it;
what those stand on it may use as well. `test_architecture_page.py` fails when page and code differ.
"""

from __future__ import annotations

import argparse
import ast
import sys
from itertools import groupby
from pathlib import Path

from tools.house import GROUND, MAY_IMPORT, ROOT, below, floors, modules, tree
from tools.page import PAGE, filled

ORDER = {room: place for place, room in enumerate(MAY_IMPORT)}  # the street, as the table has it
MARGIN = " " * 7  # where the floor's number stands


def picture() -> str:
    """The house as lines of text, at most 80 columns."""
    upper, ground = _storeys(grounded=False), _storeys(grounded=True)
    wide = max(len(label(room)) for room in MAY_IMPORT) + 2
    line = f"{MARGIN}├{'─' * wide}┤"
    blocks = [f"\n{line}\n".join(_storey(*one, wide) for one in part) for part in (upper, ground)]
    return "\n".join(
        [
            f"floor   {'room':{wide}}   stands on",
            f"{MARGIN}┌{'─' * wide}┐",
            blocks[0],
            f"{MARGIN}╞{'═' * wide}╡  the ground: all of the above stand on it",
            blocks[1],
            f"{MARGIN}└{'─' * wide}┘",
        ]
    )


def _storeys(grounded: bool) -> list[tuple[int, list[str]]]:
    """Each floor's number and rooms, from the top down; of the ground, or of what is above it."""
    floor = floors()
    if unknown := sorted(set(floor) - set(ORDER)):
        sys.exit(
            f"{', '.join(unknown)}: not in the table of tools/house.py; say what it may import"
        )
    rooms = [room for room in floor if (room in GROUND) == grounded]
    rooms.sort(key=lambda room: (-floor[room], ORDER[room]))
    return [(number, list(group)) for number, group in groupby(rooms, key=floor.__getitem__)]


def _storey(number: int, rooms: list[str], wide: int) -> str:
    lines = [f"│ {label(room):{wide - 2}} │  {_stands_on(room)}".rstrip() for room in rooms]
    numbers = [f"{number:>5}  ", *[MARGIN] * (len(rooms) - 1)]
    return "\n".join(map(str.__add__, numbers, lines))


def _stands_on(room: str) -> str:
    """The rooms that it imports and that no other of these stands on."""
    rooms = below()
    used = rooms[room] if room in GROUND else rooms[room] - GROUND
    through = {lower for other in used for lower in _under(other, rooms)}
    if rooms[room] and not used:
        return "the ground"
    return ", ".join(sorted(used - through, key=ORDER.__getitem__))


def _under(room: str, rooms: dict[str, set[str]]) -> set[str]:
    return rooms[room].union(*(_under(other, rooms) for other in rooms[room]))


def captions() -> str:
    """A Markdown table: each room, what it says of itself, and what it imports but the ground."""
    rooms = below()
    lines = ["| room | what it is | imports |", "|---|---|---|"]
    for room in sorted(rooms, key=lambda room: (room in GROUND, ORDER[room])):
        used = rooms[room] if room in GROUND else rooms[room] - GROUND
        named = ", ".join(sorted(used, key=ORDER.__getitem__)) or "–"
        lines.append(f"| `{label(room)}` | {caption(room)} | {named} |")
        lines += [f"| `{inner}/` | {caption(inner)} | |" for inner in _inside(room)]
    return "\n".join(lines)


def _inside(room: str) -> list[str]:
    """The folders of a room, `embedder/eat` for instance."""
    faces = [path.parent for path in modules() if path.name == "__init__.py"]
    return [face.as_posix() for face in faces if len(face.parts) > 1 and face.parts[0] == room]


def caption(room: str) -> str:
    """The first paragraph of what a folder or file says of itself."""
    face = Path(room) / "__init__.py"
    text = ast.get_docstring(tree(face if (ROOT / face).is_file() else Path(f"{room}.py"))) or ""
    return " ".join(text.partition("\n\n")[0].split())


def label(room: str) -> str:
    """A room as a listing shows it: folders end in a stroke, files in .py."""
    return f"{room}/" if (ROOT / room).is_dir() else f"{room}.py"


def drawn(text: str) -> str:
    """A page with the picture and the captions as the code is now."""
    return filled(filled(text, "picture", f"```\n{picture()}\n```"), "rooms", captions())


def main() -> None:
    """Write the page, or with --check only say whether it is right."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw", description="Draw the house.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it differs")
    check = parser.parse_args().check
    text = PAGE.read_text(encoding="utf-8")
    if not check:
        PAGE.write_text(drawn(text), encoding="utf-8")
    elif drawn(text) != text:
        sys.exit(f"{PAGE.name} is not what the code is; write it with python -m tools.draw")


if __name__ == "__main__":
    main()
