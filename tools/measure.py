"""`python -m tools.measure [OLD_SRC]`: the sizes of the house, beside those of an older one.

OLD_SRC is the `src` of another checkout (`git worktree add OLD fce83f6`, then `OLD/src`). With
--write PAGE the tables go between the page's marks instead of being printed.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import io
import re
import subprocess
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median

from tools.house import (
    GROUND,
    MAY_IMPORT,
    ROOT,
    arrows,
    below,
    circles,
    home,
    layers,
    modules,
    tree,
)
from tools.page import filled

PRAGMA = re.compile(r"#\s*(noqa|type:|fmt:|ruff:|pragma|mypy:)")  # speaks to programs, not people
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Files:
    """Some files of a tree, and their sizes."""

    root: Path  # the package
    paths: tuple[Path, ...]

    @cached_property
    def texts(self) -> list[str]:
        """What stands in them."""
        return [(self.root / path).read_text(encoding="utf-8") for path in self.paths]

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All of their syntax."""
        return [node for path in self.paths for node in ast.walk(tree(path, self.root))]

    @property
    def lines(self) -> list[int]:
        """How many each file has."""
        return [len(text.splitlines()) for text in self.texts]

    @property
    def functions(self) -> list[int]:
        """How many lines each function has, from `def` to its end, sorted."""
        found = [node for node in self.nodes if isinstance(node, FUNCTIONS)]
        return sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in found)

    @property
    def comments(self) -> float:
        """Comments per 100 lines that are not blank; pragmas are none."""
        lines = sum(1 for text in self.texts for line in text.splitlines() if line.strip())
        return 100 * sum(map(count_comments, self.texts)) / max(1, lines)

    @property
    def functions_text(self) -> str:
        """Median / p90 / longest function, in lines."""
        lengths = self.functions
        if not lengths:
            return "–"
        return f"{median(lengths):g} / {lengths[int(0.9 * len(lengths))]} / {lengths[-1]}"


def count_comments(text: str) -> int:
    r"""How many comments a file has, those behind code too.

    >>> count_comments("x = 1  # m\n# why\ny = 2  # noqa: E501\n")
    2
    """
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(t.type == tokenize.COMMENT and not PRAGMA.match(t.string) for t in tokens)


# ---- the whole: a line each, from a package's folder ------------------------------------------


def _in_circles(root: Path) -> str:
    found = circles(root)
    return f"{len(found)}, of {' and '.join(str(len(c)) for c in found)} files" if found else "0"


def _back_up(root: Path) -> str:
    """Imports between two files of one circle: each leads back to where it came from."""
    found = circles(root)
    return str(sum(len(arrows(root)[path] & set(circle)) for circle in found for path in circle))


def _against_the_table(root: Path) -> str:
    if root != ROOT:
        return "no table"
    count = 0
    for path, found in arrows(root).items():
        room = home(path)
        allowed = MAY_IMPORT[room] | {room} | (set() if room in GROUND else GROUND)
        count += sum(home(other) not in allowed for other in found)
    return str(count)


def _two_meanings(root: Path) -> str:
    nodes = _everything(root).nodes
    names = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    return str(sum(count > 1 for count in names.values()))


def _guesses(root: Path) -> list[ast.Call]:
    return [
        node
        for node in _everything(root).nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "hasattr")
    ]


def _quoted(root: Path) -> str:
    calls = _guesses(root)
    return str(sum(len(c.args) > 1 and isinstance(c.args[1], ast.Constant) for c in calls))


def _untested(root: Path) -> str:
    asked = [path for path in modules(root) if path.stem not in ("__init__", "__main__")]
    count = Counter(path.stem for path in asked)
    lacking = [path for path in asked if not _has_test(path, root, count[path.stem] == 1)]
    return f"{len(lacking)} of {len(asked)}"


def _has_test(path: Path, root: Path, only: bool) -> bool:
    """Is there test_<module>.py or test_<folder>_<module>.py?

    Where several modules have the name, the former counts in tests of the module's own folder.
    """
    folders = path.parent.parts or ("",)
    names = {f"test_{folder}_{path.stem}.py" for folder in folders}
    return any(
        test.name in names
        or (test.name == f"test_{path.stem}.py" and (only or test.parent.name in folders))
        for test in _tests(root)
    )


@cache
def _tests(root: Path) -> list[Path]:
    """The test files, relative to their folder."""
    folder = root.parents[1] / "tests"
    return sorted(path.relative_to(folder) for path in folder.rglob("test_*.py"))


def _longest_test(root: Path) -> str:
    return str(max(Files(root.parents[1] / "tests", tuple(_tests(root))).lines))


@cache
def _everything(root: Path) -> Files:
    return Files(root, modules(root))


ROWS: dict[str, Callable[[Path], str]] = {
    "files": lambda root: f"{len(modules(root)):,}",
    "of them at the top level": lambda root: str(sum(len(p.parts) == 1 for p in modules(root))),
    "lines": lambda root: f"{sum(_everything(root).lines):,}",
    "longest file, lines": lambda root: str(max(_everything(root).lines)),
    "functions": lambda root: f"{len(_everything(root).functions):,}",
    "lines a function: median / p90 / longest": lambda root: _everything(root).functions_text,
    "comments per 100 lines": lambda root: f"{_everything(root).comments:.1f}",
    "circles of files": _in_circles,
    "imports within circles": _back_up,
    "imports against the table": _against_the_table,
    "floors of rooms": lambda root: str(1 + max(layers(below(root)).values())),
    "floors of files": lambda root: str(1 + max(layers(arrows(root)).values())),
    "class names with two meanings": _two_meanings,
    "guesses: `getattr` and `hasattr`": lambda root: str(len(_guesses(root))),
    "of them with a name in quotes": _quoted,
    "modules without a test file of their name": _untested,
    "longest test file, lines": _longest_test,
}


def table(trees: Sequence[tuple[str, Path]]) -> str:
    """A Markdown table: a row each of `ROWS`, a column each of the trees."""
    rows = [["", *(name for name, _ in trees)]]
    rows += [[title, *(measured(root) for _, root in trees)] for title, measured in ROWS.items()]
    return _markdown(rows)


def rooms(root: Path = ROOT) -> str:
    """A Markdown table: a row each room, from the top floor down."""
    floor = layers(below(root))
    titles = ["room", "files", "lines", "median / p90 / longest", "comments per 100", "floor"]
    rows = [titles]
    for room in sorted(floor, key=lambda room: (-floor[room], room)):
        own = Files(root, tuple(path for path in modules(root) if home(path) == room))
        counts = [str(len(own.paths)), f"{sum(own.lines):,}", own.functions_text]
        rows.append([room, *counts, f"{own.comments:.1f}", str(floor[room])])
    return _markdown(rows)


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    ruler = "|---|" + "--:|" * (head.count("|") - 2)
    return "\n".join([head, ruler, *body])


def report(old: Path | None) -> str:
    """Both tables and where they come from; `old` is the package of an older tree."""
    trees = [("now", ROOT)]
    source, commit = "", ""
    if old is not None:
        commit = _commit(old)
        trees.insert(0, (f"before ({commit})", old))
        source = f" Before is commit {commit}."
    today = datetime.date.today().isoformat()
    printed = f"Printed by `python -m tools.measure` on {today}.{source}"
    return "\n\n".join([printed, table(trees), "Now, room by room:", rooms()])


def _commit(folder: Path) -> str:
    asked = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def main() -> None:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure", description=__doc__)
    parser.add_argument("old", nargs="?", type=Path, metavar="OLD_SRC", help="an older src folder")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="between its marks of sizes")
    chosen = parser.parse_args()
    old = None if chosen.old is None else chosen.old.resolve() / "nearfar"
    if old is not None and not old.is_dir():
        parser.error(f"{chosen.old}: no folder nearfar in it; name the src of a checkout")
    text = report(old)
    if chosen.write is None:
        print(text)
        return
    page = filled(chosen.write.read_text(encoding="utf-8"), "sizes", text)
    chosen.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
