"""The page before a real server, for whoever reads it with a screen reader or by keyboard alone."""

from contextlib import contextmanager

import pytest

from browser import DESK, LONGEST, PHONE, browser, until
from desks import heard_by_a_watch
from nearfar.page import hub
from nearfar.page.standby import Standby
from nearfar.service.plant import PageSettings
from page_server import served as page_served
from setups import as_parts, bad_files, pump_files
from setups import served as setup_served
from watches import Lines

pytestmark = pytest.mark.slow
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = (("en-US", False, DESK), ("ja-JP", True, PHONE))
DIALOGS = {
    "#/": [f".alarms li button >> nth={n}" for n in (0, 1)],
    "#/m/pump/00": ["[data-act=threshold]"],
    "clip": [".clip-answers .good", ".clip-answers .alarm"],
    "#/audit": [],
}
DRAWN = {"#/": ".tile .spark svg", "#/m/pump/00": ".chart .fine", "clip": ".moves",
         "#/audit": "tbody tr"}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where a page is served whose watch heard a pump sound normal, then wrong."""
    folder = tmp_path_factory.mktemp("access")
    plant = heard_by_a_watch(folder, normal=4, odd=4)
    settings = PageSettings("127.0.0.1:0", normals=(folder / "pump",))
    backend = Standby(plant, Lines())
    with page_served(settings, backend, routes=False) as made:
        backend.start(made.output.tell)
        yield made
    backend.close()


@contextmanager
def looked_at(language="en-US", dark=False, size=DESK):
    """A tab; leaving it fails if the console had anything."""
    context = browser().new_context(
        viewport={"width": size[0], "height": size[1]}, locale=language,
        color_scheme="dark" if dark else "light", reduced_motion="reduce",
    )  # fmt: skip
    said = []
    try:
        tab = context.new_page()
        tab.set_default_timeout(LONGEST)
        tab.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
        tab.on("pageerror", lambda error: said.append(str(error)))
        yield tab
    finally:
        context.close()
    assert said == []


def violations(tab):
    """What axe finds: rule and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(tab, options={"runOnly": RULES}).response["violations"]
    return [
        (one["id"], [(node["html"][:200], node.get("failureSummary")) for node in one["nodes"]])
        for one in found
    ]


def the_clip(made):
    """The address of the last clip that was anomalous."""
    asked = {"anomalous": True, "limit": 1}
    (clip,) = made.ask("GET", "/api/machines/pump/clips", params=asked)[1]["clips"]
    return f"#/c/pump/00/{clip['digest']}"


@pytest.mark.parametrize(("language", "dark", "size"), LOOKS)
def test_no_view_and_no_dialog_bars_anybody(place, language, dark, size):
    place.ask("POST", "/api/alarms/1/note", json={"note": "bearing", "who": "Kai"})
    with looked_at(language, dark, size) as tab:
        for where, buttons in DIALOGS.items():
            address = the_clip(place) if where == "clip" else where
            tab.goto("about:blank")
            tab.goto(place.output.url + address)
            tab.wait_for_selector(DRAWN[where], state="attached")
            assert violations(tab) == [], where
            for button in buttons:
                tab.click(button)
                tab.wait_for_selector("dialog[open]")
                assert violations(tab) == [], button
                tab.keyboard.press("Escape")
                until(tab, "!document.querySelector('dialog')")


@pytest.mark.parametrize(("language", "dark", "size"), LOOKS)
def test_the_first_run_bars_nobody(tmp_path, language, dark, size):
    with setup_served(tmp_path, settles=0.2) as (_, client):
        files = pump_files(12) | bad_files()
        client.post("/api/setup/recordings", files=as_parts(files))
        with looked_at(language, dark, size) as tab:
            tab.goto(str(client.base_url))
            tab.wait_for_selector(".setup-form")
            assert violations(tab) == []
            # Ways out that only a command line has are not offered here.
            assert "--" not in tab.inner_text(".setup-steps")


def tabbed(tab, words):
    """Tab until the focus is on a control that says so."""
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.textContent").strip().endswith(words):
            return
    raise AssertionError(f"{words}: not reached by keyboard")


def test_an_alarm_is_acknowledged_and_its_clip_called_normal_by_keyboard_alone(place):
    with looked_at() as tab:
        tab.goto(place.output.url)
        tab.wait_for_selector(".alarms li")
        tabbed(tab, "Acknowledge")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.keyboard.type("I listen to it")
        tab.keyboard.press("Tab")
        tab.keyboard.type("Kai")
        tab.keyboard.press("Enter")
        until(tab, "document.querySelector('.tile.acknowledged') !== null")
        tabbed(tab, "acknowledged")  # its tile
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".clips tbody tr.anomalous")
        tabbed(tab, "Open the clip")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".clip-answers .good")
        until(tab, "document.querySelector('.clip-image')?.naturalWidth > 0")
        tabbed(tab, "This was normal")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.keyboard.press("ArrowDown")  # only noted
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".clip-given")
        until(tab, "document.activeElement.matches('.clip-result')")
        tab.reload()
        tab.wait_for_selector(".clip-given")
        assert "Kai" in tab.inner_text(".clip-labels")


def test_a_page_that_too_many_listen_beside_says_so_and_shows_all(place, monkeypatch):
    monkeypatch.setattr(hub, "LISTENERS", 0)
    context = browser().new_context(locale="en-US")
    try:
        tab = context.new_page()
        tab.goto(place.output.url)
        tab.wait_for_selector("header .link.looks")
        assert "Too many pages listen already" in tab.inner_text("#banner")
        assert tab.locator(".tile").count() == 1
    finally:
        context.close()


def test_what_is_touched_is_as_large_as_a_finger(place):
    seen = "main button, header button, header select, header nav a, header .brand, main select"
    small = f"""[...document.querySelectorAll("{seen}")].filter((one) => one.checkVisibility()
        && one.getBoundingClientRect().height < 43.5).map((one) => one.outerHTML)"""
    context = browser().new_context(
        viewport={"width": PHONE[0], "height": PHONE[1]}, has_touch=True, is_mobile=True
    )
    try:
        tab = context.new_page()
        for where in ("#/", "#/m/pump/00", the_clip(place)):
            tab.goto("about:blank")
            tab.goto(place.output.url + where)
            tab.wait_for_selector(DRAWN.get(where, DRAWN["clip"]), state="attached")
            assert tab.evaluate(small) == [], where
    finally:
        context.close()
