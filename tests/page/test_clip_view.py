"""A clip's view in a real browser: it is looked at, heard, and answered."""

import pytest

from browser import DESK, PHONE, overflow, until
from clip_fake import SECONDS, SHAPES, TONES, ClipFake, looked_at

pytestmark = pytest.mark.slow
BAD = 20  # an anomalous one of the fake's clips
SECOND = "Number(document.querySelector('.clip-run input').value)"
HEARD = "document.querySelector('.clip-choices [aria-pressed=true] span').textContent"
PLAYS = "document.querySelector('.clip-play').dataset.shows === 'pause'"


def of(fake, number=BAD):
    return f"#/c/pump%207/00/{fake.digest(number)}"


def loaded(tab):
    """Wait until all sounds can be heard and the picture is there."""
    tab.wait_for_selector(".clip-image")
    until(tab, "!document.querySelector('.clip-choice.loading')")
    until(tab, "document.querySelector('.clip-image').naturalWidth > 0")


def hears(tab, name):
    """Wait until the loudspeaker is given this sound."""
    until(tab, f"Math.abs(window.tone() - {TONES[name]}) < 20")


def switched(tab, before, name):
    """Switch to a sound; was that at the same second and without a gap, and what was measured.

    That is: seconds by which the player jumped, and how quiet it became, of 1.
    """
    keys = {tone: str(n) for n, tone in enumerate(TONES, 1)}
    jump, least = tab.evaluate(
        f"""async () => {{
          dispatch('{keys[before]}'); // the slider is as old as the last picture of the page
          const before = {SECOND}, loud = window.loudness();
          dispatch('{keys[name]}');
          const jump = Math.abs({SECOND} - before);
          let least = 1;
          for (const end = performance.now() + 150; performance.now() < end;) {{
            least = Math.min(least, window.loudness() / loud);
            await new Promise((done) => setTimeout(done, 2));
          }}
          return [jump, least];
          function dispatch(key) {{
            document.body.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
          }}
        }}"""
    )
    hears(tab, name)
    return jump < 0.1 and least > 0.3, jump, least


def test_sounds_are_switched_at_the_same_second_and_without_a_gap():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.click(".clip-loop")  # or it may end on a busy machine
        tab.click(".clip-play")
        hears(tab, "near")
        before = "near"
        for name in ("far", "normal", "heard", "near"):
            # Again, if it must be: a busy machine makes gaps of its own.
            tried = [switched(tab, before, name)]
            while not tried[-1][0] and len(tried) < 10:
                switched(tab, name, before)
                tried.append(switched(tab, before, name))
            assert tried[-1][0], (name, tried)
            assert tab.locator(".clip-choices [aria-pressed=true]").count() == 1
            before = name


def test_keys_play_stop_and_seek_wherever_one_is_on_the_page():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.keyboard.press(" ")
        until(tab, f"{PLAYS} && {SECOND} > 0.2")
        tab.keyboard.press(" ")
        until(tab, f"!({PLAYS})")
        stands = tab.evaluate(SECOND)
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate(SECOND) == pytest.approx(stands + 1, abs=0.1)
        tab.keyboard.press("ArrowLeft")
        assert tab.evaluate(SECOND) == pytest.approx(stands, abs=0.1)
        assert "seconds" in tab.get_attribute(".clip-run input", "aria-valuetext")
        # Keys of one letter can be in somebody's way: they can be switched off.
        tab.click(".clip-keyswitch input")
        tab.evaluate("document.activeElement.blur()")
        tab.keyboard.press("2")
        assert tab.evaluate(HEARD) == "Near"
        tab.focus(".clip-loop")
        tab.keyboard.press("2")
        assert tab.evaluate(HEARD) == "Far"


def test_it_ends_at_its_end_and_a_loop_goes_on():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.fill(".clip-run input", str(SECONDS - 0.4))
        tab.click(".clip-play")
        until(tab, f"!({PLAYS}) && {SECOND} > {SECONDS - 0.05}")
        tab.click(".clip-loop")
        tab.click(".clip-play")
        tab.fill(".clip-run input", str(SECONDS - 0.3))
        until(tab, f"{PLAYS} && {SECOND} < 1")
        hears(tab, "near")


def test_a_sound_that_cannot_be_decoded_is_named_and_the_others_play():
    fake = ClipFake()
    fake.sounds["near"] = b"no sound"
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        until(tab, "document.querySelector('.clip-told').textContent.startsWith('Near: ')")
        assert tab.evaluate(HEARD) == "Far"
        tab.click(".clip-play")
        hears(tab, "far")
        tab.keyboard.press("1")
        assert tab.evaluate(HEARD) == "Far"


@pytest.mark.parametrize(("size", "kind"), [(DESK, "desk"), (PHONE, "phone")])
def test_a_click_in_the_picture_goes_to_its_second_and_the_line_stands_there(size, kind):
    fake = ClipFake()
    with looked_at(fake, of(fake), size) as tab:
        loaded(tab)
        assert f"/{kind}.svg" in tab.evaluate("document.querySelector('.clip-image').currentSrc")
        left, right = SHAPES[kind]
        tab.evaluate("document.querySelector('.clip-image').scrollIntoView({ block: 'center' })")
        box = tab.locator(".clip-image").bounding_box()
        tab.locator(".clip-image").click(position={"x": box["width"] * (left + right) / 2, "y": 30})
        assert tab.evaluate(SECOND) == pytest.approx(SECONDS / 2, abs=0.1)
        line = tab.locator(".playhead").bounding_box()
        middle = box["x"] + box["width"] * (left + right) / 2
        assert line["x"] + line["width"] / 2 == pytest.approx(middle, abs=4)


def test_this_was_normal_is_learnt_kept_and_taken_back():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.click("text=This was normal")
        tab.fill("dialog textarea", "the valve was open")
        tab.fill("dialog [name=who]", "Ida")
        tab.select_option("dialog select", "target")
        tab.click("dialog .primary")
        tab.wait_for_selector(".clip-result")
        said = {"who": "Ida", "note": "the valve was open", "learn": True, "domain": "target"}
        assert fake.sent == [("POST", "normal", said)]
        result = tab.inner_text(".clip-result")
        assert "120 → 121" in result
        assert "3 → 3.2" in result
        assert "the rate stays 1 %" in result
        assert "the valve was open" in tab.inner_text(".clip-labels")
        tab.reload()
        loaded(tab)
        tab.click("text=Undo")
        assert tab.input_value("dialog [name=who]") == "Ida"  # remembered
        tab.click("dialog .primary")
        tab.wait_for_selector(".clip-labels .undone")
        assert fake.sent[1] == ("DELETE", "label", {"who": "Ida"})
        assert tab.locator("text=This was normal").is_enabled()


def test_what_the_server_refuses_is_said_where_it_was_asked_and_nothing_is_lost():
    fake = ClipFake()
    digest = fake.digest(BAD)
    line = "it is labelled already; undo that first"
    fake.refusals[f"POST /api/machines/pump 7/clips/{digest}/fault"] = (409, line)
    with looked_at(fake, of(fake), allowed=["409"]) as tab:
        loaded(tab)
        tab.click("text=This was a fault")
        tab.fill("dialog textarea", "it rattles")
        tab.click("dialog .primary")
        until(tab, f"document.querySelector('dialog [role=alert]').textContent === '{line}'")
        tab.click("dialog .primary")
        tab.wait_for_selector(".clip-result")
        assert fake.sent == [("POST", "fault", {"who": "", "note": "it rattles"})]


def test_a_dialog_is_closed_by_escape_and_the_focus_comes_back():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.focus(".clip-answers .good")
        tab.keyboard.press("Enter")
        tab.wait_for_selector("dialog[open]")
        tab.focus("dialog textarea")
        tab.keyboard.type("1 2")  # keys of the player are letters here
        assert tab.input_value("dialog textarea") == "1 2"
        tab.keyboard.press("Escape")
        until(tab, "!document.querySelector('dialog')")
        assert "This was normal" in tab.evaluate("document.activeElement.textContent")
        assert not tab.evaluate(PLAYS)
        assert fake.sent == []


def test_what_moved_is_named_with_its_amount_and_share():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        first, second = tab.locator(".moves li").all_inner_texts()
        assert "steady tone near 3.1 kHz" in first
        assert "+9.4 σ · 60%" in first
        assert "▼" in second
        assert "normal_12.wav" in tab.inner_text("table")
        # What does not apply leaves nothing behind.
        assert tab.inner_text(".clip-part-sound").strip().endswith("of what moved most.")


def test_who_may_only_look_is_told_so():
    fake = ClipFake()
    fake.role = "reader"
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        assert tab.locator(".clip-answers button:not([disabled])").count() == 0
        assert "may look" in tab.inner_text(".clip-answers")


def test_a_clip_without_its_sound_says_so_and_what_to_do():
    fake = ClipFake()
    line = "its sound is not kept any more"
    path = f"GET /api/machines/pump 7/clips/{fake.digest(BAD)}/explanation"
    fake.refusals[path] = (410, line)
    with looked_at(fake, of(fake), allowed=["410"]) as tab:
        tab.wait_for_selector(f"text={line}")
        assert "How long sound is kept" in tab.inner_text(".clip-part-why")
        fake.kept = False
        tab.reload()
        tab.wait_for_selector("text=is not kept")
        assert tab.locator(".clip-answers button:not([disabled])").count() == 0


def test_the_clips_before_and_after_are_a_key_away():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        for key, number in (("Shift+ArrowLeft", 19), ("Shift+ArrowRight", 20)):
            until(tab, "document.querySelectorAll('.clip-around a').length === 2")
            tab.keyboard.press(key)
            until(tab, f"location.hash.endsWith('{fake.digest(number)}')")
            # Until its own view stands the one before it answers to keys.
            until(
                tab, f"document.querySelector('.clip-name')?.textContent.endsWith('/{number}.wav')"
            )
        until(tab, "document.querySelectorAll('.clip-around a').length === 2")
        assert tab.get_attribute(".clip-back", "href").startswith("#/m/pump%207/00?since=")
    with looked_at(fake, of(fake, -1)) as tab:
        until(tab, "document.querySelectorAll('.clip-around a').length === 1")
        assert tab.inner_text(".clip-around a") == "← Earlier"


def test_another_threshold_warns_of_all_machines_that_it_changes():
    fake = ClipFake()
    with looked_at(fake, of(fake)) as tab:
        loaded(tab)
        tab.evaluate(
            """() => { import("/static/answers.js").then(({ showThreshold }) => showThreshold(
              { machine: "pump 7", section: "00" },
              { role: "operator", say: (line) => { document.title = line; } })); }"""
        )
        tab.wait_for_selector("dialog[open]")
        assert "pump 7, pump 8" in tab.inner_text("dialog")
        tab.fill("dialog [name=rate]", "2.5")
        assert "25 of 1,000" in tab.inner_text("dialog")
        tab.fill("dialog [name=rate]", "0.2")
        assert "finer" in tab.inner_text("dialog")
        tab.click("dialog .primary")
        until(tab, "document.title === 'Threshold 3 → 2.5'")
        assert fake.sent == [("PUT", "threshold", {"false_alarm_rate": 0.002, "who": ""})]


@pytest.mark.parametrize(
    ("size", "dark", "language"),
    [(PHONE, False, "ja-JP"), (PHONE, True, "de-DE")],
)
def test_it_fits_its_window_in_every_language(size, dark, language):
    fake = ClipFake()
    with looked_at(fake, of(fake), size, dark=dark, language=language) as tab:
        loaded(tab)
        assert overflow(tab) <= 0
        tab.click(".clip-answers .good")
        assert tab.locator("dialog[open] h2").inner_text()
        assert overflow(tab) <= 0
