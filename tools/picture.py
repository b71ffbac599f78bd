"""A picture of a page of ours, for the docs: what a browser shows of it.

    python -m tools.picture PAGE.html PICTURE.png [HEIGHT]    1,000 px wide, in daylight

Needs chromium and playwright, as the tests of pages do.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH = 1000  # px: what a README shows without scaling


def main() -> None:
    """Open the page and write the picture."""
    page, picture = Path(sys.argv[1]), Path(sys.argv[2])
    height = int(sys.argv[3]) if len(sys.argv) > 3 else None
    place = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=place, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        tab = browser.new_page(viewport={"width": WIDTH, "height": height or 800})
        tab.goto(page.absolute().as_uri())
        tab.screenshot(path=str(picture), full_page=height is None)
        browser.close()


if __name__ == "__main__":
    main()
