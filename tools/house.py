"""The house: which folder may import which, and what the code's own imports say.

`tests/test_architecture.py` holds the code to the table; `tools.measure` prints what stands.
Imports for type checkers count: what needs a name needs its folder.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "src" / "nearfar"

# What everybody may import; each of these has a row of its own below.
GROUND = {"errors", "files", "parts", "runtime", "text", "version"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "text": set(),
    "files": {"errors"},
    "parts": {"errors"},
    "runtime": {"errors", "files", "parts"},
    "sound": set(),
    "scoring": set(),
    "clips": {"sound"},
    "frontend": {"sound"},
    "embedder": {"sound"},
    "embedding": {"clips", "embedder", "frontend", "sound"},
    "scores": {"clips"},
    "health": {"clips", "frontend", "sound"},
    "metrics": {"clips", "scores"},
    "system": {"embedder", "embedding", "frontend", "scoring"},
    "detector": {
        "clips", "embedder", "embedding", "frontend", "scores", "scoring", "sound", "system",
    },
    "training": {"clips", "embedder", "embedding", "frontend", "sound", "system"},
    "testing": {"embedder", "frontend", "scoring", "sound", "system"},
    # Never a front end, a system or a detector: data are not set up by what they will judge.
    "sim": {"metrics", "scores", "sound"},
    "study": {
        "clips", "detector", "embedder", "embedding", "frontend", "metrics", "scores", "scoring",
        "sound", "system",
    },
    "reproduce": {
        "clips", "detector", "embedder", "frontend", "metrics", "scores", "scoring", "sound",
        "study", "system", "training",
    },
}  # fmt: skip
# The command line and the public face sit on top of everything.
TOP = {"__init__", "__main__", "cli"}
MAY_IMPORT |= {room: set(MAY_IMPORT) for room in TOP}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] -= {"testing", "cli"}


def home(path: Path) -> str:
    """The room a file is in: its first folder, or its own name at the top."""
    return path.parts[0].removesuffix(".py")


@cache
def modules() -> tuple[Path, ...]:
    """Every file of the package, relative to it, sorted."""
    return tuple(sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """A file of the package, parsed."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> frozenset[Path]:
    """Files of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found |= {
                _file(f"{node.module}.{a.name}") or _file(str(node.module)) for a in node.names
            }
        elif isinstance(node, ast.Import):
            found |= {_file(alias.name) for alias in node.names}
    return frozenset(found - {None, path})


def circles() -> list[list[Path]]:
    """Files that import each other, directly or through others; none is what it should find."""
    reach = {path: _reachable(path) for path in modules()}
    together = {
        frozenset({a, *(b for b in reach[a] if a in reach[b])}) for a in modules() if a in reach[a]
    }
    return sorted(sorted(circle) for circle in together)


def floors() -> dict[str, int]:
    """Room → how many rooms lie below it on the longest way down.

    Raises:
        graphlib.CycleError: rooms import each other in a circle.
    """
    below: dict[str, set[str]] = {home(path): set() for path in modules()}
    for path in modules():
        below[home(path)] |= {home(other) for other in imports(path)} - {home(path)}
    floor: dict[str, int] = {}
    for room in TopologicalSorter(below).static_order():
        floor[room] = 1 + max((floor[other] for other in below[room]), default=-1)
    return floor


def _reachable(path: Path) -> set[Path]:
    seen: set[Path] = set()
    todo = list(imports(path))
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += imports(other)
    return seen


def _file(name: str) -> Path | None:
    """`nearfar.clips.clip` → clips/clip.py; None for what is not ours or no module."""
    if name != "nearfar" and not name.startswith("nearfar."):
        return None
    place = Path(*name.split(".")[1:])
    for file in (place.with_suffix(".py") if place.name else place, place / "__init__.py"):
        if (ROOT / file).is_file():
            return file
    return None
