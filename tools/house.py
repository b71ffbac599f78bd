"""The house: which folder may import which, and what the code's own imports say.

`test_architecture.py` holds the code to the table, `tools.draw` draws it, `tools.measure` prints
its sizes. Imports for type checkers count: what needs a name needs its folder. Every question can
be asked of another tree too, one of an earlier commit for instance: `root` is its `src/nearfar`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TypeVar

Node = TypeVar("Node")

ROOT = Path(__file__).resolve().parents[1] / "src" / "nearfar"

# What everybody may import; each of these has a row of its own below.
GROUND = {"errors", "files", "parts", "runtime", "text", "version"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": {"text"},
    "version": set(),
    "text": set(),
    "files": {"errors"},
    "parts": {"errors"},
    "runtime": {"errors", "files", "parts", "version"},
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
        "clips", "embedder", "embedding", "frontend", "health", "metrics", "scores", "scoring",
        "sound", "system",
    },
    "training": {"clips", "embedder", "embedding", "frontend", "sound", "system"},
    "testing": {"embedder", "frontend", "scoring", "sound", "system"},
    # Never a front end, a system or a detector: data are not set up by what they will judge.
    "sim": {"metrics", "scores", "sound"},
    "service": {"clips", "detector", "health", "scores", "sound"},
    # Looks at many rooms, and nobody but the command line looks at it.
    "doctor": {"clips", "detector", "embedder", "sound", "system"},
    "study": {
        "clips", "detector", "embedder", "embedding", "frontend", "metrics", "scores", "scoring",
        "sound", "system",
    },
    "report": {
        "clips", "detector", "embedder", "embedding", "frontend", "health", "metrics", "scores",
        "scoring", "sound", "study", "system",
    },
    "reproduce": {
        "clips", "detector", "embedder", "embedding", "frontend", "metrics", "scores", "scoring",
        "sound", "study", "system", "training",
    },
}  # fmt: skip
# The page beside a watch: it shows and asks all of these, and nobody but the command line it.
MAY_IMPORT["page"] = {
    "clips", "detector", "health", "report", "scores", "service", "sound", "system",
}  # fmt: skip
# The command line and the public face sit on top of everything.
TOP = ("__init__", "__main__", "cli")
MAY_IMPORT |= {room: set(MAY_IMPORT) for room in TOP}
MAY_IMPORT["__main__"] = {"cli"}
MAY_IMPORT["__init__"] -= {"testing", "cli", "doctor"}


def home(path: Path) -> str:
    """The room a file is in: its first folder, or its own name at the top."""
    return path.parts[0].removesuffix(".py")


@cache
def modules(root: Path = ROOT) -> tuple[Path, ...]:
    """Every file of the package, relative to it, sorted."""
    return tuple(sorted(path.relative_to(root) for path in root.rglob("*.py")))


@cache
def tree(path: Path, root: Path = ROOT) -> ast.Module:
    """A file of the package, parsed."""
    return ast.parse((root / path).read_text(encoding="utf-8"))


@cache
def imports(path: Path, root: Path = ROOT) -> frozenset[Path]:
    """Files of ours that a file imports, anywhere in it."""
    found = set()
    for node in _statements(tree(path, root)):
        if isinstance(node, ast.ImportFrom):
            module = _module(node, path)
            found |= {_file(f"{module}.{a.name}", root) or _file(module, root) for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {_file(alias.name, root) for alias in node.names}
    return frozenset(file for file in found if file is not None and file != path)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within one, however deep; expressions, which are most of a tree, aside."""
    for field in ("body", "orelse", "handlers", "finalbody", "cases"):
        within = getattr(node, field, ())
        for child in within if isinstance(within, list) else ():  # a lambda's is an expression
            yield child
            yield from _statements(child)


def _module(node: ast.ImportFrom, path: Path) -> str:
    """The module that names are imported from, in full, also where it is written with dots."""
    if not node.level:
        return str(node.module)
    # One dot is the file's own folder, each further dot the folder around it.
    folder = ("nearfar", *path.parent.parts)[: 2 + len(path.parent.parts) - node.level]
    return ".".join([*folder, *([node.module] if node.module else [])])


def arrows(root: Path = ROOT) -> dict[Path, frozenset[Path]]:
    """File → files that it imports."""
    return {path: imports(path, root) for path in modules(root)}


def below(root: Path = ROOT) -> dict[str, set[str]]:
    """Room → other rooms that its files import."""
    rooms: dict[str, set[str]] = {home(path): set() for path in modules(root)}
    for path, found in arrows(root).items():
        rooms[home(path)] |= {home(other) for other in found} - {home(path)}
    return rooms


def circles(root: Path = ROOT) -> list[list[Path]]:
    """Files that import each other, directly or through others; none is what it should find."""
    return sorted(sorted(circle) for circle in knots(arrows(root)) if len(circle) > 1)


def floors(root: Path = ROOT) -> dict[str, int]:
    """Room → how many rooms lie below it on the longest way down.

    Raises:
        graphlib.CycleError: rooms import each other in a circle.
    """
    rooms = below(root)
    TopologicalSorter(rooms).prepare()
    return layers(rooms)


def layers(graph: Mapping[Node, set[Node] | frozenset[Node]]) -> dict[Node, int]:
    """What `floors` gives, of any graph: nodes that form a circle share one floor."""
    knot = {node: circle for circle in knots(graph) for node in circle}
    under = {
        circle: {knot[other] for node in circle for other in graph[node]} - {circle}
        for circle in knot.values()
    }
    floor: dict[frozenset[Node], int] = {}
    for circle in TopologicalSorter(under).static_order():
        floor[circle] = 1 + max((floor[other] for other in under[circle]), default=-1)
    return {node: floor[knot[node]] for node in graph}


def knots(graph: Mapping[Node, set[Node] | frozenset[Node]]) -> set[frozenset[Node]]:
    """The nodes in groups that lead to each other; a node that is in no circle is its own."""
    reach = {node: _reachable(node, graph) for node in graph}
    return {frozenset({a, *(b for b in reach[a] if a in reach[b])}) for a in graph}


def _reachable(node: Node, graph: Mapping[Node, set[Node] | frozenset[Node]]) -> set[Node]:
    seen: set[Node] = set()
    todo = list(graph[node])
    while todo:
        other = todo.pop()
        if other not in seen:
            seen.add(other)
            todo += graph[other]
    return seen


def _file(name: str, root: Path) -> Path | None:
    """`nearfar.clips.clip` → clips/clip.py; None for what is not ours or no module."""
    if name != "nearfar" and not name.startswith("nearfar."):
        return None
    place = Path(*name.split(".")[1:])
    for file in (place.with_suffix(".py") if place.name else place, place / "__init__.py"):
        if (root / file).is_file():
            return file
    return None
