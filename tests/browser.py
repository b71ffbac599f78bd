"""A real browser for pages: Debian's chromium, asked by playwright.

Elsewhere than in `.ci/run`, which sets NEARFAR_BROWSER=required, its tests skip with a message.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LONGEST = 300_000  # ms that a busy machine may need; nothing waits that long otherwise
PHONE, DESK = (390, 844), (1280, 900)  # px
_open = []  # one browser a test process; it ends with it


def browser():
    """Chromium, started once; skips where there is none."""
    place = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        place, sync_playwright = None, None
    if place is None:
        why = "no chromium here (apt-get install chromium; pip install playwright)"
        if os.environ.get("NEARFAR_BROWSER") == "required":
            pytest.fail(why)
        pytest.skip(why)
    if not _open:
        started = sync_playwright().start()
        # Root has no sandbox to give away, and small machines have a small /dev/shm.
        flags = [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--autoplay-policy=no-user-gesture-required",
        ]
        _open.append(started.chromium.launch(executable_path=place, args=flags))
    return _open[0]


@contextmanager
def opened(page: Path, size=DESK, *, dark=False, said=None) -> Iterator:
    """A page of ours in the browser; leaving it fails if the console or the network had anything.

    Args:
        page: the file.
        size: width and height in px.
        dark: as by night.
        said: takes what the console said, instead of failing.
    """
    context = browser().new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        offline=True,
    )
    heard = [] if said is None else said
    try:
        tab = context.new_page()
        tab.set_default_timeout(LONGEST)
        tab.on("console", lambda line: heard.append(f"{line.type}: {line.text}"))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("requestfailed", lambda asked: heard.append(f"wanted {asked.url[:80]}"))
        tab.goto(page.absolute().as_uri())
        yield tab
    finally:
        context.close()
    if said is None:
        assert heard == []


def until(tab, true: str) -> None:
    """Wait until an expression is true, asked from outside: the page's own policy forbids eval."""
    end = time.monotonic() + LONGEST / 1000
    while not tab.evaluate(true):
        assert time.monotonic() < end, true
        tab.wait_for_timeout(20)


def overflow(tab) -> int:
    """Pixels by which a page is wider than its window; a person would have to scroll sideways."""
    return tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def drawn(tab) -> list[str]:
    """What pictures of a page are not drawn: images without pixels, SVG without area.

    Of a picture that is drawn for a desk and for a phone one must be seen.
    """
    return tab.evaluate(
        """[...document.querySelectorAll('img')].filter(i => !i.complete || !i.naturalWidth)
             .map(i => i.alt || i.src.slice(0, 40))
           .concat([...document.querySelectorAll('svg')]
             .filter(s => [...(s.closest('.either') ?? {querySelectorAll: () => [s]})
               .querySelectorAll('svg')].every(t => !t.getBoundingClientRect().height))
             .map(s => s.getAttribute('aria-label')))"""
    )
