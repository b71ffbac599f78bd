"""The site: built strictly and without network, all of it from the repository, nothing stale."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from tools import site, site_figure, site_settings
from tools.site_answers import answered
from tools.site_api import grouped
from tools.site_docstrings import apart, fenced
from tools.site_notebook import executed, markdown, stored

import nearfar as nf
from conftest import TESTS, finish

ROOT = TESTS.parent
DOCS = ROOT / "docs"
NOTEBOOK = DOCS / "tour.ipynb"
# What a browser fetches by itself, and the attributes that say from where.
FETCHED = {
    "link": ("href",), "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",),
    "source": ("src", "srcset"), "audio": ("src",), "video": ("src", "poster"),
    "object": ("data",), "embed": ("src",), "use": ("href", "xlink:href"),
}  # fmt: skip
# Nothing is asked of anybody: a socket that is opened to another machine fails the build.
WITHOUT_NETWORK = """
import socket, sys
def refuse(self, address, *more):
    raise OSError(f"the build asked {address}")
socket.socket.connect = socket.socket.connect_ex = refuse
from mkdocs.__main__ import cli
cli(["build", "--strict", "--site-dir", sys.argv[1]])  # --quiet would hide what strict counts
"""


class Asked(HTMLParser):
    """Where a page's elements lead: what is fetched, what is linked, what can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.fetched, self.linked, self.anchors, self.tags = [], [], set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.tags.add(tag)
        self.fetched += [said[name] for name in FETCHED.get(tag, ()) if said.get(name)]
        if tag == "a" and said.get("href"):
            self.linked.append(said["href"])
        self.anchors |= {said[name] for name in ("id", "name") if said.get(name)}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, but for what the notebook prints: that is run by a slow test."""
    pytest.importorskip("mkdocs", reason="make .venv/docs installs what the site needs")
    out = tmp_path_factory.mktemp("site") / "site"
    said = {"NEARFAR_RUN_NOTEBOOK": "false", "NO_MKDOCS_2_WARNING": "1"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT_NETWORK, str(out)],
        cwd=ROOT, env={**os.environ, **said, "PYTHONPATH": paths}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    told = finish(process)[0]
    assert process.returncode == 0, told
    return out


@pytest.fixture(scope="module")
def pages(built):
    """Page → what it asks for."""
    return {path: Asked(path) for path in sorted(built.rglob("*.html"))}


def test_what_is_generated_in_docs_is_that_of_now():
    for path, text in site.written().items():
        # Otherwise: python -m tools.site
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is stale"


@pytest.mark.slow
def test_every_page_of_docs_is_in_the_site(built):
    for source in [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")]:
        page = built / f"{source.stem}.html"
        # A heading that the page has in both: of the notebook its first line.
        assert "<h1" in page.read_text(encoding="utf-8"), source.name


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(pages, built):
    assert len(pages) > 20
    for path, page in pages.items():
        assert page.fetched, path.name
        for target in page.fetched:
            assert not urlsplit(target).netloc, f"{path.name} fetches {target}"
    for sheet in built.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", text), sheet.name


@pytest.mark.slow
def test_every_link_leads_somewhere(pages, built):
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin at the root of a server
            continue
        for target in (*page.fetched, *page.linked):
            where = urlsplit(target)
            if where.scheme or where.netloc:  # a paper's address, a picture in the page itself
                continue
            file = (path.parent / unquote(where.path)).resolve() if where.path else path
            assert file.is_file(), f"{path.name}: {target}"
            if where.fragment and file in pages:
                assert unquote(where.fragment) in pages[file].anchors, f"{path.name}: {target}"


@pytest.mark.slow
def test_the_search_knows_the_pages(built):
    found = json.loads((built / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert {"settings.html", "faq.html", "tour.html", "errors.html"} <= {
        entry["location"].split("#")[0] for entry in found["docs"]
    }


@pytest.mark.slow
def test_the_api_page_has_each_public_name_and_its_examples_as_code(pages, built):
    page = built / "api.html"
    assert set(nf.__all__) - {"__version__"} == {n for names in grouped().values() for n in names}
    anchors = {anchor.rsplit(".")[-1] for anchor in pages[page].anchors}
    assert set(nf.__all__) - {"__version__"} <= anchors
    assert "blockquote" not in pages[page].tags  # which Markdown makes of >>>
    assert "&gt;&gt;&gt;" in page.read_text(encoding="utf-8")


def test_a_docstring_loses_nothing_by_its_fences():
    text = "Adds.\n\n>>> 1\n1\n\nMore.\n\n>>> a = (\n...     1)\n"
    assert [line for line in fenced(text).splitlines() if "```" not in line] == text.splitlines()
    assert fenced(text).count("```pycon") == 2


def test_arguments_of_which_one_thing_is_said_are_told_apart_at_the_end_of_a_docstring_too():
    assert apart("Args:\n    a, b: one.") == "Args:\n    a: one.\n    b: one."
    assert apart("Args:\n    a: of b, c: one.") == "Args:\n    a: of b, c: one."


def test_every_part_has_its_settings_on_the_page():
    assert site_settings.shown_parts() == site_settings.public_parts()
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for name in site_settings.shown_parts():
        table = re.split(r"^### ", page.split(f"### `{name}`\n")[1], flags=re.MULTILINE)[0]
        assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [
            f.name for f in fields(getattr(nf, name))
        ]


def test_a_quoted_message_comes_from_the_page_of_messages():
    errors = "```\n$ nearfar fit\nerror: new words\n[2]\n```\n"
    page = "Q\n\n```\n$ nearfar fit\nerror: old\n[2]\n```\n\nA\n"
    assert answered(page, errors) == page.replace("old", "new words")
    with pytest.raises(ValueError, match="add it to CASES"):
        answered(page.replace("fit", "fot"), errors)


def test_the_switch_of_the_site_has_the_colours_of_the_figures():
    sheet = (DOCS / "assets" / "site.css").read_text(encoding="utf-8")
    for scheme, colours in (("default", site_figure.LIGHT), ("slate", site_figure.DARK)):
        rule = sheet.split(f'[data-md-color-scheme="{scheme}"] .nf {{')[1].split("}")[0]
        assert dict(re.findall(r"--(\w+): (#\w+);", rule)) == colours


def test_words_of_a_figure_fit_into_their_boxes(monkeypatch):
    """In DejaVu Sans, the widest of the fonts that it asks for."""
    text = pytest.importorskip("matplotlib.textpath")
    fonts = pytest.importorskip("matplotlib.font_manager")

    def width(words, size, weight):
        font = fonts.FontProperties(family="DejaVu Sans", weight=weight)
        return text.TextPath((0, 0), words, size=size, prop=font).get_extents().width

    boxes = []
    drawn = site_figure.Box.drawn
    monkeypatch.setattr(site_figure.Box, "drawn", lambda box: boxes.append(box) or drawn(box))
    site_figure.figures()
    assert len(boxes) > 20
    for box in boxes:
        assert box.x >= 0
        assert box.x + box.width <= site_figure.WIDTH
        assert width(box.title, 14, "bold") <= box.width - 6, box.title
        for line in box.lines:
            assert width(line, 12, "normal") <= box.width - 6, line


def test_a_figure_tells_of_the_system_that_is_fitted(monkeypatch):
    from nearfar.frontend import CoherenceMask

    before = site_figure.figures()["systems-1-2"]
    other = nf.System(CoherenceMask(floor=0.125), nf.Crops(nf.EAT("w")))
    monkeypatch.setattr(nf, "s1", lambda weights: other)
    assert "δ = 0.2" in before
    assert "δ = 0.125" in site_figure.figures()["systems-1-2"]


def test_the_notebook_is_kept_without_outputs():
    for cell in stored(NOTEBOOK)["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch):
    pytest.importorskip("nbclient", reason="make .venv/docs installs what the notebook needs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    book = executed(NOTEBOOK)
    outputs = [o for cell in book["cells"] for o in cell.get("outputs", ())]
    assert not [o for o in outputs if o["output_type"] == "error"]
    page = markdown(book)
    assert page.count("data:image/png") == 2
    assert "SIMULATED v1 seed 0" in page
    assert "ΔΩ" in page


@pytest.mark.slow
def test_no_page_has_lists_or_tables_that_markdown_does_not_see(built):
    """What stands without an empty line before it is a paragraph, with bars and stars in it."""
    apart = re.compile(r"<(pre|code|script|style|svg)\b.*?</\1>|<[^>]+>", re.DOTALL)
    for path in built.glob("*.html"):
        words = apart.sub("", path.read_text(encoding="utf-8"))
        assert not re.search(r"^ *(?:\|.*\|.*\||[*-] \w)", words, re.MULTILINE), path.name
