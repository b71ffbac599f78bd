"""The tools that measure the house, on houses made here, whose sizes are counted by hand."""

from graphlib import CycleError
from pathlib import Path

import pytest
from tools.house import ROOT, circles, floors, imports, knots, layers
from tools.measure import ROWS, Files, count_comments, rooms, table
from tools.page import filled

LOW = '''"""The lowest."""

from typing import Any


def first(x: Any) -> Any:  # behind code
    return getattr(x, "name", None)  # noqa: B009


class Twice:
    def second(self):
        # why

        return hasattr(self, self.name)
'''
MIDDLE = '''"""Stands on low."""
from typing import TYPE_CHECKING

from nearfar import low

if TYPE_CHECKING:
    from nearfar.high.roof import Twice as T
'''
ROOF = '''"""Stands on the middle: a circle, though for types alone."""
import nearfar.middle


class Twice:
    pass
'''


@pytest.fixture
def house(tmp_path):
    """A package of a file, a file and a folder; the last two import each other."""
    root = tmp_path / "src" / "nearfar"
    (root / "high").mkdir(parents=True)
    for name, text in (
        ("low", LOW),
        ("middle", MIDDLE),
        ("high/roof", ROOF),
        ("high/__init__", ""),
    ):
        (root / f"{name}.py").write_text(text)
    (root / "__init__.py").write_text("")
    (tmp_path / "tests" / "high").mkdir(parents=True)
    (tmp_path / "tests" / "test_low.py").write_text("a = 1\nb = 2\n")
    (tmp_path / "tests" / "high" / "test_high_roof.py").write_text("a = 1\n")
    return root


def as_text(paths):
    return sorted(path.as_posix() for path in paths)


def test_type_imports_make_a_circle_too(house):
    low, middle, roof = (house / n for n in ("low.py", "middle.py", "high/roof.py"))
    assert as_text(imports(middle.relative_to(house), house)) == ["high/roof.py", "low.py"]
    assert as_text(imports(low.relative_to(house), house)) == []
    assert [as_text(circle) for circle in circles(house)] == [["high/roof.py", "middle.py"]]
    with pytest.raises(CycleError):
        floors(house)
    assert as_text(imports(roof.relative_to(house), house)) == ["middle.py"]


def test_imports_written_with_dots_are_seen(house):
    """Nobody may go round the table by leaving the package's name away."""
    (house / "high" / "cellar.py").write_text("from .roof import x\nfrom ..low import y\n")
    (house / "dotted.py").write_text("from . import low\nfrom .high import roof\n")
    assert as_text(imports(Path("high/cellar.py"), house)) == ["high/roof.py", "low.py"]
    assert as_text(imports(Path("dotted.py"), house)) == ["high/roof.py", "low.py"]


def test_a_circle_stands_on_one_floor():
    graph = {"a": set(), "b": {"a", "c"}, "c": {"b"}, "d": {"c"}, "e": {"a"}}
    assert layers(graph) == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 1}
    assert knots(graph) == {frozenset("a"), frozenset("bc"), frozenset("d"), frozenset("e")}


def test_a_floor_is_above_all_that_it_stands_on():
    below = {n: {m for m in range(1, n) if n % m == 0} for n in range(1, 49)}  # divisors
    floor = layers(below)
    assert all(floor[m] < floor[n] for n in below for m in below[n])
    assert all(floor[n] == 0 or any(floor[m] == floor[n] - 1 for m in below[n]) for n in below)


def test_sizes_are_those_counted_by_hand(house):
    found = {title: measured(house) for title, measured in ROWS.items()}
    assert found == {
        "files": "5",
        "of them at the top level": "3",
        "lines": "27",
        "longest file, lines": "14",
        "functions": "2",
        "lines a function: median / p90 / longest": "3 / 4 / 4",
        "comments per 100 lines": "11.8",  # 2 of 17; what speaks to a program is none
        "circles of files": "1, of 2 files",
        "imports within circles": "2",
        "imports against the table": "no table",
        "floors of rooms": "2",
        "floors of files": "2",
        "class names with two meanings": "1",
        "guesses: `getattr` and `hasattr`": "2",
        "of them with a name in quotes": "1",
        "modules without a test file of their name": "1 of 3",
        "longest test file, lines": "2",
    }


def test_a_shared_name_needs_a_test_in_its_own_folder(house):
    """`low.py` and `high/low.py`: one test file of that name tests one of them."""
    (house / "high" / "low.py").write_text("")
    untested = ROWS["modules without a test file of their name"]
    assert untested(house) == "2 of 4"  # middle, and high/low


@pytest.mark.slow
def test_the_table_has_a_column_for_each_tree(house):
    lines = table([("before", house), ("now", ROOT)]).splitlines()
    assert lines[0] == "|  | before | now |"
    assert {line.count("|") for line in lines} == {4}
    assert len(lines) == len(ROWS) + 2


@pytest.mark.slow
def test_rooms_together_are_the_whole():
    cells = [line.split("|")[1:-1] for line in rooms().splitlines()[2:]]
    paths = tuple(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    assert sum(int(row[1]) for row in cells) == len(paths)
    lines = sum(Files(ROOT, paths).lines)
    assert sum(int(row[2].replace(",", "")) for row in cells) == lines
    floors_shown = [int(row[-1]) for row in cells]
    assert floors_shown == sorted(floors_shown, reverse=True)


@pytest.mark.parametrize("pragma", ["# noqa", "#noqa: E501", "# type: ignore", "# fmt: skip"])
def test_what_speaks_to_a_program_is_no_comment(pragma):
    assert count_comments(f"x = 1  {pragma}\n") == 0
    assert count_comments("x = '# no comment'  # one\n") == 1


def test_a_block_is_replaced_and_nothing_else():
    page = "a\n<!-- x -->old<!-- end of x -->\nb <!-- y -->stays<!-- end of y -->\n"
    once = filled(page, "x", "new\n")
    assert once == "a\n<!-- x -->\n\nnew\n\n<!-- end of x -->\nb <!-- y -->stays<!-- end of y -->\n"
    assert filled(once, "x", "new") == once
    for broken in ("no marks", "<!-- x -->", "<!-- end of x --><!-- x -->"):
        with pytest.raises(ValueError, match="no <!-- x -->"):
            filled(broken, "x", "new")
