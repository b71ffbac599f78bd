"""The site in a real browser, opened from a folder: drawn, searched, read by night, on a phone."""

import pytest

import browser
from test_site import DOCS, built  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow
PAGES = sorted(source.stem for source in [*DOCS.glob("*.md"), *DOCS.glob("*.ipynb")])


@pytest.mark.parametrize("dark", [False, True], ids=["day", "night"])
def test_every_page_is_drawn_and_fits(built, dark):  # noqa: F811
    # Each by day or by night, for a page is read once for both sizes.
    for name in PAGES[dark::2]:
        with browser.opened(built / f"{name}.html", dark=dark) as tab:
            assert tab.evaluate("document.body.dataset.mdColorScheme") == (
                "slate" if dark else "default"
            )
            for width, height in (browser.DESK, browser.PHONE):
                tab.set_viewport_size({"width": width, "height": height})
                assert browser.overflow(tab) <= 0, (name, width)


def test_the_search_finds_a_page_without_a_server(built):  # noqa: F811
    with browser.opened(built / "index.html") as tab:
        tab.keyboard.press("s")  # as the page says: the keyboard is enough
        tab.keyboard.type("exit codes")
        browser.until(tab, "document.querySelectorAll('.md-search-result__link').length > 0")
        links = tab.locator(".md-search-result__link")
        found = [links.nth(n).get_attribute("href") for n in range(links.count())]
        assert any("outputs.html" in link for link in found)


def test_the_switch_turns_the_figures_too(built):  # noqa: F811
    ink = "getComputedStyle(document.querySelector('.nf text')).fill"
    with browser.opened(built / "systems.html") as tab:
        light = tab.evaluate(ink)
        tab.locator("label[for=__palette_1]").click()
        browser.until(tab, "document.body.dataset.mdColorScheme == 'slate'")
        assert tab.evaluate(ink) != light


def test_settings_are_cards_on_a_telephone(built):  # noqa: F811
    """A name above its words, and not beside them in a column that is one word wide."""
    shown = "getComputedStyle(document.querySelector('.cards td')).display"
    for size, how in ((browser.PHONE, "block"), (browser.DESK, "table-cell")):
        with browser.opened(built / "settings.html", size) as tab:
            assert tab.evaluate(shown) == how
