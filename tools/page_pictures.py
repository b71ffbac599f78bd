"""Pictures of the page for the docs: a real watch of a simulated pump, looked at in Chromium.

    python -m tools.page_pictures [FOLDER]    into docs/pictures, or another folder

Recordings are named as if they were of the last days, so that the page shows them as it would.
Needs chromium and playwright, as the tests of the page do.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
DESK, PHONE = (1080, 800), (390, 844)  # px
LARGEST, COLOURS = 150_000, 256  # bytes of a picture; what would be larger has so many colours
FORM = "%Y%m%d_%H%M%S"
PATIENCE = 120_000  # ms
SCROLLED = 260  # px, on a phone: past what stands above
PROGRAM = [sys.executable, "-m", "nearfar"]


def main() -> None:
    """Simulate, watch, click, and write the pictures."""
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        here = Path(name) / "plant"
        here.mkdir()
        subprocess.run([*PROGRAM, "simulate", "pump/", "--preset", "wear"], cwd=here, check=True)
        (here / "arriving").mkdir()
        place = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(
            executable_path=place, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        with watching(here) as url:
            look(browser, url, here, to)
        browser.close()


@contextmanager
def watching(here: Path) -> Iterator[str]:
    """The address of a watch that has no detector yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = ["watch", "pump.detector", "arriving/", "--page", address]
    words += ["--history", "plant.db", "--normals", "pump/normal"]
    with (here / "log").open("w") as log:
        watch = subprocess.Popen([*PROGRAM, *words], cwd=here, stdout=log, stderr=log)
    try:
        while not (found := re.search(r"http://\S+/", (here / "log").read_text())):
            if watch.poll() is not None:
                raise SystemExit((here / "log").read_text())
            time.sleep(0.1)
        yield found[0]
    finally:
        watch.terminate()
        watch.wait()


def look(browser: Any, url: str, here: Path, to: Path) -> None:
    """Go through all views, first at a desk, then on a phone and by night."""
    context = browser.new_context(viewport=size(DESK), locale="en-GB", timezone_id="UTC")
    tab = context.new_page()
    tab.set_default_timeout(PATIENCE)
    tab.goto(url)
    tab.click(".setup-offered button")
    tab.fill(".setup-form [name=who]", "Kim")
    tab.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    keep(tab, to / "page-setup.png", 1120)
    tab.click(".setup-form .primary")
    tab.click("text=To the machines")
    hear(tab, here)
    keep(tab, to / "page-machines.png", 480)
    tab.click("text=Open the clip")
    shown(tab)
    clip = tab.url
    keep(tab, to / "page-clip.png", 820)
    tab.click(".clip-back")
    tab.click("text=Day >> nth=0")
    tab.wait_for_selector(".alarm-row")
    tab.wait_for_timeout(1000)
    machine = tab.url
    keep(tab, to / "page-machine.png", 980)
    state = context.storage_state()
    for name, place, dark in (("phone-clip", clip, False), ("phone-dark", machine, True)):
        small = browser.new_context(
            viewport=size(PHONE), has_touch=True, color_scheme="dark" if dark else "light",
            locale="en-GB", timezone_id="UTC", storage_state=state,
        ).new_page()  # fmt: skip
        small.set_default_timeout(PATIENCE)
        small.goto(place)
        shown(small) if place == clip else small.wait_for_selector(".chart")
        small.locator(".clip-player" if place == clip else ".chart").scroll_into_view_if_needed()
        small.evaluate(f"scrollBy(0, {SCROLLED})")
        keep(small, to / f"page-{name}.png", PHONE[1])


def hear(tab: Page, here: Path) -> None:
    """Two healthy days and the bearing's last hours, named as if they ended now."""
    tab.wait_for_selector(".tile")
    found = sorted((here / "pump" / "watched").glob("*.wav"))
    taken = [path for path in found if path.name[:8] >= "20260308"][:60] + found[-6:]
    end = datetime.now().replace(minute=0, second=0)
    for number, path in enumerate(taken):
        at = end - timedelta(hours=len(taken) - 1 - number)
        shutil.copy(path, here / "arriving" / f"{at:{FORM}}.wav")
    tab.wait_for_selector(".alarm-row")
    tab.wait_for_selector(".spark path.strange[d*=M]", state="attached")
    # At once: news that an answer has made old goes by itself while it is looked for.
    tab.evaluate("document.querySelectorAll('.toast button').forEach((one) => one.click())")


def shown(tab: Page) -> None:
    """Wait until a clip is explained and drawn."""
    tab.wait_for_selector(".clip-image")
    tab.wait_for_selector(".clip-choice.loading", state="detached")
    tab.wait_for_timeout(1500)
    # At once: news that an answer has made old goes by itself while it is looked for.
    tab.evaluate("document.querySelectorAll('.toast button').forEach((one) => one.click())")


def size(of: tuple[int, int]) -> Any:
    """As playwright has it."""
    return {"width": of[0], "height": of[1]}


def keep(tab: Page, path: Path, height: int) -> None:
    """Write a picture of the window, so high."""
    before = tab.viewport_size or size(DESK)
    tab.set_viewport_size({"width": before["width"], "height": height})
    tab.mouse.move(0, 0)
    tab.wait_for_timeout(300)
    tab.screenshot(path=str(path))
    with Image.open(path) as drawn:
        packed = drawn.convert("RGB").quantize(
            COLOURS, Image.Quantize.FASTOCTREE, 2, dither=Image.Dither.NONE
        )
    if path.stat().st_size > LARGEST:
        packed.save(path, optimize=True)
    tab.set_viewport_size(before)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
