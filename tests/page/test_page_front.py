"""The page in a real browser, before a server with made-up machines."""

import copy
import re
from contextlib import contextmanager

import pytest

from browser import DESK, LONGEST, PHONE, browser, overflow, until
from page_fake import STRANGE, Fake, alarm_made, hundred, machine_made, serving, three

pytestmark = pytest.mark.slow
LOST = re.compile("Failed to load resource|Failed to fetch|no machine")


@contextmanager
def looked_at(fake, where="#/", size=DESK, *, dark=False, language="en-US", allowed=None):
    """The page in the browser; leaving it fails if the console or the network had anything."""
    with serving(fake) as url:
        context = browser().new_context(
            viewport={"width": size[0], "height": size[1]}, locale=language,
            color_scheme="dark" if dark else "light", has_touch=size is PHONE,
        )  # fmt: skip
        said, outside = [], []
        try:
            tab = context.new_page()
            tab.set_default_timeout(LONGEST)
            tab.on("console", lambda line: said.append(f"{line.type}: {line.text}"))
            tab.on("pageerror", lambda error: said.append(str(error)))
            tab.on("request", lambda asked: asked.url.startswith((url, "data:"))
                   or outside.append(asked.url))  # fmt: skip
            tab.goto(url + where)
            tab.wait_for_selector("main .view h1")
            yield tab
        finally:
            context.close()
        assert outside == []
        assert [one for one in said if not (allowed and allowed.search(one))] == []


def names(tab):
    """The machines as the tiles have them, from the first."""
    return tab.eval_on_selector_all(".tile .name", "all => all.map(one => one.textContent)")


def told_of(name, number, verb="raised"):
    """News of an alarm, as the stream has them."""
    event = {"id": number, "alarm": number, "kind": "machine", "condition": "sound",
             "machine": name, "section": "00", "verb": verb, "at": "2026-11-30T01:00:00+00:00",
             "told": "3 of the last 5", "silent": False}  # fmt: skip
    said = machine_made(name, [alarm_made(number, name)])
    for only_listed in ("label", "threshold_p"):
        del said[only_listed]
    return {"schema": 1, "row": 1, "observation": None, "events": [event], "machine": said}


@pytest.mark.parametrize(
    ("size", "dark", "language"), [(DESK, False, "ja-JP"), ((765, 900), False, "de-DE"),
                                   (PHONE, True, "de-DE")]
)  # fmt: skip
def test_every_view_fits_its_window_in_every_language(size, dark, language):
    fake = Fake(hundred())
    fake.machines |= {one["machine"]: one for one in three()}
    with looked_at(fake, size=size, dark=dark, language=language) as tab:
        assert overflow(tab) <= 0
        for where, drawn in (("#/m/pump/00", "svg.plot .fine"), ("#/audit", "tbody tr")):
            tab.evaluate(f"location.hash = '{where}'")
            tab.wait_for_selector(drawn)
            assert overflow(tab) <= 0, where
            assert tab.evaluate("document.documentElement.lang") == language[:2]


def test_what_needs_a_person_comes_first():
    with looked_at(Fake(three())) as tab:
        assert names(tab) == ["pump", "fan 2", "Lüfter 7"]
        assert "Alarm" in tab.inner_text(".tile.alarm")
        assert "far microphone: dead" in tab.inner_text(".tile.sensor")
        tab.check("input[type=checkbox]")
        assert names(tab) == ["pump", "fan 2"]
        tab.fill("input[type=search]", "LÜF")
        assert names(tab) == []
        tab.uncheck("input[type=checkbox]")
        assert names(tab) == ["Lüfter 7"]


def test_names_of_any_kind_are_text():
    with looked_at(Fake(hundred())) as tab:
        assert tab.locator(".tile").count() == 100
        assert set(STRANGE) <= set(names(tab))
        assert tab.locator("img[src=x]").count() == 0
        for name in STRANGE:
            tile = tab.locator(".tile").nth(names(tab).index(name))
            tile.click()
            tab.wait_for_selector("svg.plot .fine")
            assert tab.eval_on_selector("h1", "one => one.textContent") == name
            tab.click(".crumb a")
            tab.wait_for_selector(".tile")


def test_news_are_shown_as_they_come_and_read_out():
    fake = Fake(three())
    with looked_at(fake) as tab:
        until(tab, "document.querySelectorAll('.tile.normal').length === 1")
        while not fake.listeners:
            tab.wait_for_timeout(20)
        fake.machines["Lüfter 7"] = machine_made("Lüfter 7", [alarm_made(11, "Lüfter 7")])
        fake.send("bulletin", told_of("Lüfter 7", 11))
        tab.wait_for_selector("#toasts [role=alert]")
        until(tab, "document.querySelectorAll('.tile.alarm').length === 2")
        assert tab.locator('.alarms li[data-id="11"]').count() == 1
        assert tab.title().startswith("▲ 3")
        # What the list alone says of a machine is not forgotten with its news.
        assert tab.locator(".tile.alarm .bar b").count() == 2


def test_an_alarm_is_acknowledged_by_keyboard_alone():
    fake = Fake(three())
    with looked_at(fake) as tab:
        button = tab.locator('.alarms li[data-id="7"] button').first
        button.focus()
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.keyboard.press("Escape")
        until(tab, "!document.querySelector('dialog')")
        assert button.evaluate("one => one === document.activeElement")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.keyboard.type("The bearing is hot <b>")
        tab.keyboard.press("Tab")
        tab.keyboard.type("Kai")
        tab.keyboard.press("Enter")
        until(tab, "!document.querySelector('dialog')")
        until(tab, "!document.querySelector('.alarms li[data-id=\"7\"]')")
        said = {"note": "The bearing is hot <b>", "who": "Kai"}
        assert fake.answers == [(7, "acknowledge", said)]
        tab.reload()
        tab.wait_for_selector(".tile.acknowledged")
        assert tab.inner_text("button.who") == "Kai"


def test_an_alarm_leads_to_the_clip_that_raised_it():
    fake = Fake(three())
    fake.machines["pump"]["alarms"].append(alarm_made(9, "pump"))
    with looked_at(fake, allowed=LOST) as tab:  # the clip's own view is not served here
        tab.click('.alarms li[data-id="7"] button:has-text("Open the clip")')
        until(tab, f"location.hash === '#/c/pump/00/{107:064x}'")


def test_who_may_only_look_has_no_buttons_that_change():
    fake = Fake(three())
    fake.role = "reader"
    with looked_at(fake) as tab:
        assert tab.locator(".alarms li button").all_inner_texts() == ["Open the clip"] * 2
        tab.evaluate("location.hash = '#/m/pump/00'")
        tab.wait_for_selector("svg.plot")
        assert tab.locator("[data-act=threshold]").count() == 0


def test_the_timeline_is_read_point_by_point():
    # The clip's own view is not served here: that it is asked for is what counts.
    with looked_at(Fake(three()), "#/m/pump/00", allowed=LOST) as tab:
        tab.wait_for_selector("svg.plot .strange")
        tab.focus(".chart")
        tab.keyboard.press("End")
        read = ".timeline [aria-live]"
        until(tab, f"document.querySelector('{read}').textContent.length > 0")
        last = tab.text_content(read)
        assert "Anomalous" in last
        tab.keyboard.press("ArrowLeft")
        until(tab, f"document.querySelector('{read}').textContent !== {last!r}")
        tab.keyboard.press("+")
        tab.keyboard.press("+")
        until(tab, "location.hash.includes('since=')")
        tab.keyboard.press("Enter")
        until(tab, "location.hash.startsWith('#/c/pump/00/')")


def test_a_month_is_zoomed_into_and_found_again_after_a_reload():
    with looked_at(Fake(three()), "#/m/pump/00") as tab:
        tab.wait_for_selector("svg.plot .fine")
        tab.click("[data-span=month]")
        until(tab, "document.querySelectorAll('.strip').length === 3")
        box = tab.locator(".chart").bounding_box()
        tab.mouse.move(box["x"] + 300, box["y"] + 100)
        tab.mouse.down()
        tab.mouse.move(box["x"] + 500, box["y"] + 120, steps=4)
        tab.mouse.up()
        until(tab, "!document.querySelector('[data-span=month][aria-pressed=true]')")
        place = tab.evaluate("location.hash")
        label = tab.get_attribute(".chart", "aria-label")
        tab.reload()
        tab.wait_for_selector("svg.plot .fine")
        assert tab.evaluate("location.hash") == place
        until(tab, f"document.querySelector('.chart').getAttribute('aria-label') === {label!r}")


def test_older_clips_come_on_demand_and_the_focus_stays_there():
    with looked_at(Fake(three()), "#/m/pump/00") as tab:
        tab.wait_for_selector(".clips tbody tr")
        first = tab.locator(".clips tbody tr").count()
        tab.click(".clips > button")
        until(tab, f"document.querySelectorAll('.clips tbody tr').length === {2 * first}")
        assert tab.evaluate("document.activeElement.closest('tr') !== null")
        tab.select_option(".clips select", "bad")
        until(tab, "!document.querySelector('.clips tbody tr:not(.anomalous)')")


def test_a_token_lets_in_and_a_wrong_one_is_told():
    fake = Fake(three(), token="sesame")
    allowed = re.compile("401")
    with serving(fake) as url:
        tab = browser().new_context(locale="en-US").new_page()
        said = []
        tab.on("console", lambda line: said.append(line.text))
        tab.goto(url)
        tab.wait_for_selector("#token")
        assert not any("machines" in one for one in fake.asked)
        tab.fill("#token", "wrong")
        tab.keyboard.press("Enter")
        until(
            tab,
            "document.querySelector('#token-fault').textContent.includes('That token is wrong.')",
        )
        tab.fill("#token", "sesame")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".tile")
        assert "sesame" not in tab.url
        tab.click("text=Sign out")
        tab.wait_for_selector("#token")
        tab.context.close()
        assert [one for one in said if not allowed.search(one)] == []


def test_a_lost_server_is_told_and_all_is_fetched_when_it_is_back():
    fake = Fake(three())
    with serving(fake) as url:
        tab = browser().new_context(locale="en-US").new_page()
        tab.goto(url)
        tab.wait_for_selector(".tile")
        while not fake.listeners:
            tab.wait_for_timeout(20)
    tab.wait_for_selector("#banner [role=alert]")
    assert "No connection since" in tab.inner_text("#banner")
    fake.started = "2026-01-01T00:00:00+00:00"
    fake.machines["pump"] = machine_made("pump")
    with serving(fake, int(url.rsplit(":", 1)[1].strip("/"))):
        until(tab, "!document.querySelector('#banner [role=alert]')")
        until(tab, "!document.querySelector('.tile.alarm')")
        assert "started anew" in tab.inner_text("#toasts")
        tab.context.close()


def test_the_language_is_chosen_and_kept():
    with looked_at(Fake(three()), language="fr-FR") as tab:
        assert tab.evaluate("document.documentElement.lang") == "en"
        tab.select_option("header select", "ja")
        until(tab, "document.querySelector('.tile.alarm').textContent.includes('アラーム')")
        tab.reload()
        tab.wait_for_selector(".tile.alarm")
        assert tab.evaluate("document.documentElement.lang") == "ja"
        assert tab.evaluate("document.querySelector('header select').value") == "ja"


def test_the_first_page_of_a_hundred_machines_is_light():
    fake = Fake(hundred())
    with serving(fake) as url:
        tab = browser().new_context(locale="en-US").new_page()
        sizes = []
        tab.on("requestfinished", lambda asked: sizes.append(asked.sizes()["responseBodySize"]))
        tab.goto(url)
        tab.wait_for_selector(".tile")
        tab.context.close()
    answers = sum(1 for one in fake.asked if "/api/" in one)
    assert answers <= 5
    assert sum(sizes) < 300_000  # without gzip, which the real server adds


def test_every_control_has_a_name_and_every_view_one_heading():
    nameless = """[...document.querySelectorAll(
        'button, a, input, select, textarea, [role=application]')]
        .filter(one => one.checkVisibility() && !(one.getAttribute('aria-label') || one.innerText
          || one.labels?.length || one.title || one.querySelector('img[alt]:not([alt=""])')))
        .map(one => one.outerHTML)"""
    with looked_at(Fake(three())) as tab:
        for where, drawn in (("#/", ".tile"), ("#/m/pump/00", "svg.plot .fine"), ("#/audit", "td")):
            tab.evaluate(f"location.hash = '{where}'")
            tab.wait_for_selector(drawn)
            assert tab.evaluate(nameless) == []
            assert tab.locator("h1").count() == 1
            assert tab.locator("main").count() == tab.locator("header").count() == 1
            twice = "all => all.map(one => one.id).filter((id, i, ids) => ids.indexOf(id) !== i)"
            assert tab.eval_on_selector_all("[id]", twice) == []


def test_paper_has_no_buttons():
    with looked_at(Fake(three()), "#/m/pump/00") as tab:
        tab.wait_for_selector("svg.plot .fine")
        tab.emulate_media(media="print")
        seen = "[...document.querySelectorAll('button, select')].filter(b => b.checkVisibility())"
        assert tab.evaluate(f"{seen}.length") == 0
        assert tab.is_visible("svg.plot")
        assert tab.is_visible(".clips table")


def test_marks_of_time_are_round_and_few_however_much_is_seen():
    asked = """async () => {
        const { times } = await import('/static/scales.js');
        const until = Date.UTC(2026, 10, 30, 2, 17, 43);
        return [6e4, 36e5, 864e5, 7 * 864e5, 30 * 864e5, 900 * 864e5, 9000 * 864e5].map((span) =>
          times(until - span, until, 900).map(([at]) => at).filter((at) => at < until - span
            || at > until || at % 1e4).concat([times(until - span, until, 900).length]));
    }"""
    with looked_at(Fake(three())) as tab:
        for (count,) in tab.evaluate(asked):  # none is outside or odd
            assert 2 <= count <= 12


def test_the_line_is_where_clips_were_called_anomalous():
    """Nine normal clips give no p below 0.1: a line at 0.01 would say that no clip crossed it."""
    asked = """async () => {
        const { limit } = await import('/static/scales.js');
        return [limit(0.01, []), limit(0.01, [0.1]), limit(0.1, [0.01]), limit(null, [0.1])];
    }"""
    with looked_at(Fake(three())) as tab:
        assert tab.evaluate(asked) == [0.01, 0.1, 0.1, None]


def test_what_is_made_up_keeps_the_contract():
    """The made-up answers have the keys of the real ones, or these tests show nothing."""
    from bulletins import seen, standing
    from nearfar.service.news import MachineNow
    from nearfar.service.outputs.said import machine_said

    real = machine_said(MachineNow("pump", "00", 1, last=seen(), judged=seen(), alarms=()))
    made = copy.deepcopy(machine_made("pump", [alarm_made(1, "pump")]))
    assert set(real) | {"label", "threshold_p"} == set(made)
    assert set(standing().as_dict()) == set(made["alarms"][0])
