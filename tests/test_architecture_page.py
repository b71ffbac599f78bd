"""Pages and docstrings say what is there: the drawn house, every module and file they name."""

import pkgutil
import re
from pathlib import Path

import pytest
from tools.draw import drawn, picture
from tools.page import PAGE

from nearfar.embedding.chain import FIRST_ROOMS

REPO = Path(__file__).resolve()
while not (REPO / "pyproject.toml").is_file():  # tests lie in folders
    REPO = REPO.parent
PACKAGE = REPO / "src" / "nearfar"
# CHANGELOG tells of what was: its names are not held.
PAGES = [*sorted((REPO / "docs").glob("*.md")), REPO / "README.md", REPO / "CONTRIBUTING.md"]
SOURCES = [p for top in ("src", "bench", "tools") for p in sorted((REPO / top).rglob("*.py"))]
FILES = [p for top in ("src", "tests", "bench", "tools") for p in (REPO / top).rglob("*.py")]

NAME = re.compile(r"\bnearfar(?:\.[A-Za-z_]\w*)+")
QUOTED = re.compile(r"`([\w./-]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)\)")
PLACE = re.compile(r"\b(?:docs|tests|tools|bench)/[\w./-]*\w")
TOP = ("docs", "tests", "tools", "bench", "src")


def names(text: str) -> set[str]:
    return set(NAME.findall(text))


def resolves(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def missing_files(text: str, inside: bool = False) -> list[str]:
    """Files named in backticks that are nowhere; `inside`: folders of the package too."""
    return [token for token in QUOTED.findall(text) if not _is_there(token, inside)]


def _is_there(token: str, inside: bool) -> bool:
    if token.split("/")[0] in TOP and "/" in token:
        return (REPO / token).exists()
    if token.endswith(".py"):
        return any(path.as_posix().endswith(f"/{token}") for path in FILES)
    return not (inside and token.endswith("/")) or (PACKAGE / token).is_dir()


def test_the_drawn_house_is_the_codes():
    text = PAGE.read_text(encoding="utf-8")
    assert drawn(text) == text, "folders import otherwise now: python -m tools.draw"


def test_in_the_picture_nothing_stands_on_what_is_above_or_beside_it():
    storey, seen = -1, {}
    stands_on = []
    for line in reversed(picture().splitlines()):
        if "─" in line or "═" in line:
            storey += 1
        elif row := re.fullmatch(r"[\s\d]*│ ([\w/.]+) +│ *(.*)", line):
            room = row[1].removesuffix("/").removesuffix(".py")
            seen[room] = storey
            if row[2] and row[2] != "the ground":
                stands_on += [(room, other) for other in row[2].split(", ")]
    assert len(stands_on) > 20
    for room, other in stands_on:
        assert seen[other] < seen[room], f"{room} stands on {other}"


def test_the_picture_fits_a_terminal():
    assert max(map(len, picture().splitlines())) <= 80


def test_the_sizes_name_the_commit_of_before():
    assert "| before (fce83f6) | now |" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_what_a_page_names_is_there(path):
    text = path.read_text(encoding="utf-8")
    assert sorted(name for name in names(text) if not resolves(name)) == []
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []
    assert missing_files(text, inside=path == PAGE) == []


def test_what_sources_name_is_there():
    """In code, docstrings and comments; but for the rooms that cache keys remember."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        held = names(text) - (set(FIRST_ROOMS.values()) if path.stem == "chain" else set())
        assert sorted(name for name in held if not resolves(name)) == [], path
        assert [p for p in PLACE.findall(text) if not (REPO / p).exists()] == [], path


def test_a_name_or_a_file_that_is_gone_is_found():
    assert not resolves("nearfar.recipe")
    assert not resolves("nearfar.parts.data.no_such_function")
    assert resolves("nearfar.parts.data.to_data")
    assert resolves("nearfar.fit")
    assert missing_files("`scoring/rule.py` `scoring/no.py` `tests/no`") == [
        "scoring/no.py",
        "tests/no",
    ]
    assert missing_files("`scoring/` `hearing/`", inside=True) == ["hearing/"]
