"""A page is one file: nothing outside of it is asked, names in it are no HTML, a rerun knows it."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from browser import PHONE, drawn, opened, overflow
from nearfar.errors import StorageError
from nearfar.report import page
from nearfar.report.page import (
    breakable,
    check_page,
    check_report,
    is_page,
    render,
    templates,
    write_page,
)

EVIL = "<img src=x onerror=alert(1)>&\"'.wav"


class Resources(HTMLParser):
    """Where a page would load something from."""

    def __init__(self, text):
        super().__init__()
        self.places, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag != "a":
            self.places += [v for name, v in attributes if name in ("src", "href", "srcset")]


@pytest.fixture
def plain(monkeypatch):
    """A template with nothing but a name in it."""
    body = (
        '{% extends "base.html.j2" %}{% block content %}<p id="name">{{ name }}</p>{% endblock %}'
    )
    real = templates()
    mixed = Environment(loader=DictLoader({"plain.html.j2": body}), autoescape=True)
    mixed.loader.mapping["base.html.j2"] = real.loader.get_source(real, "base.html.j2")[0]
    monkeypatch.setattr(page, "templates", lambda: mixed)


def test_a_page_asks_nothing_of_the_network(plain):
    text = render("plain", "a title", {"name": "pump"})
    found = Resources(text)
    assert found.places
    assert all(place.startswith(("data:", "#")) for place in found.places)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "default-src &#39;none&#39;" in text


def test_a_name_with_html_in_it_is_shown_and_not_obeyed(plain, tmp_path):
    place = write_page(tmp_path / "p.html", "plain", EVIL, {"name": EVIL})
    assert "img" not in Resources(place.read_text(encoding="utf-8")).tags
    with opened(place) as tab:
        assert tab.title() == EVIL
        assert tab.text_content("#name") == EVIL


def test_only_our_script_runs(plain, tmp_path):
    place = write_page(tmp_path / "p.html", "plain", "t", {"name": "pump"})
    text = place.read_text(encoding="utf-8")
    place.write_text(text.replace("</main>", "<script>document.title = 'hacked'</script></main>"))
    said = []
    with opened(place, said=said) as tab:
        assert tab.title() == "t"
    assert any("Content Security Policy" in line for line in said)


def test_a_page_of_ours_is_known_and_nothing_else_is(plain, tmp_path):
    place = write_page(tmp_path / "p.html", "plain", "t", {"name": ""})
    assert is_page(place)
    assert is_page(place, "plain")
    assert not is_page(place, "report")
    other = tmp_path / "other.html"
    other.write_text("<!doctype html>\n<title>mine</title>\n")
    assert not is_page(other)
    assert not is_page(tmp_path / "none.html")


def test_a_page_of_one_kind_is_not_written_over_by_another(plain, tmp_path):
    place = write_page(tmp_path / "p.html", "plain", "t", {"name": ""})
    check_page(place, "plain")
    with pytest.raises(StorageError, match=r"--replace|replace=True"):
        check_page(place, "report")
    check_page(place, "report", replace=True)
    # A shell's word for standard output is no name of a file.
    with pytest.raises(StorageError, match=r"page\.html"):
        check_page(Path("-"), "plain")


def test_a_page_fits_a_phone(plain, tmp_path):
    place = write_page(tmp_path / "p.html", "plain", "t" * 200, {"name": "pump" * 50})
    with opened(place, PHONE, dark=True) as tab:
        tab.add_style_tag(content="#name{overflow-wrap:anywhere}")
        assert overflow(tab) <= 0
        assert drawn(tab) == []


@pytest.mark.parametrize("name", ["jinja2", "matplotlib"])
def test_what_is_missing_is_told_with_its_extra(monkeypatch, name):
    import sys

    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(Exception, match=r"pip install 'nearfar\[report\]', or "):
        check_report()


def test_a_name_breaks_after_its_parts_and_keeps_its_letters():
    made = breakable("hall/<b>_a&b/20260101_0800.wav")
    assert made.replace("<wbr>", "") == html.escape("hall/<b>_a&b/20260101_0800.wav")
    assert [len(part) > 0 for part in made.split("<wbr>")] == [True] * 5
