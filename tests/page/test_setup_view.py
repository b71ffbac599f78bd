"""The first run in a real browser: from a folder of recordings to a detector that listens."""

import pytest

from browser import DESK, PHONE, overflow, until
from clip_fake import ClipFake, looked_at

pytestmark = pytest.mark.slow
STEP = "document.querySelector('[aria-current=step] h2')?.textContent ?? ''"


@pytest.fixture
def folder(tmp_path):
    """30 files that are called as recordings are, and two that are none."""
    place = tmp_path / "pump sounds"
    (place / "b").mkdir(parents=True)
    for number in range(30):
        (place / ("b" if number % 2 else "") / f"{number}.wav").write_bytes(bytes(1000))
    (place / "notes.txt").write_text("normal")
    (place / ".hidden.wav").write_bytes(b"")
    return place


def fresh():
    """There is no detector yet."""
    fake = ClipFake()
    fake.ready = False
    return fake


def sent_names(folder):
    return sorted(p.relative_to(folder.parent).as_posix() for p in folder.rglob("[0-9]*.wav"))


def test_a_folder_becomes_a_detector_that_listens(folder):
    fake = fresh()
    with looked_at(fake, "#/") as tab:
        tab.wait_for_selector(".setup-steps")  # nobody has to look for it
        tab.set_input_files("input[webkitdirectory]", folder)
        tab.wait_for_selector(".setup-form")
        assert sorted(fake.names) == sent_names(folder)
        found = tab.inner_text(".setup-steps")
        assert "one channel; record two" in found
        assert "near over far differs" in found
        assert "With 30 recordings" in found
        assert "beside them are no recordings" in found
        tab.fill(".setup-form [name=machine]", "pump 7")
        tab.select_option(".setup-form select", "0.02")
        tab.fill(".setup-form [name=who]", "Ida")
        tab.click(".setup-form .primary")
        tab.wait_for_selector(".setup-listens:has-text('It listens now')")
        asked = {"machine": "pump 7", "false_alarm_rate": 0.02, "exclude_suspects": True,
                 "far_first": False, "who": "Ida"}  # fmt: skip
        assert fake.sent == [("POST", "fit", asked)]
        tab.click("text=To the machines")
        tab.wait_for_selector(".tile")


def test_an_upload_that_fails_half_way_goes_on_where_it_was(folder):
    fake = fresh()
    with looked_at(fake, "#/setup", allowed=["507"]) as tab:
        tab.wait_for_selector(".setup-steps")
        line = "1 MB are free; free some space"
        fake.refusals["POST /api/setup/recordings"] = (507, line)
        tab.set_input_files("input[webkitdirectory]", folder)
        tab.wait_for_selector(f".banner.bad:has-text('{line}')")
        assert fake.names == []
        assert "0 of 30 recordings" in tab.inner_text(".setup-count")
        tab.click("text=Go on")
        tab.wait_for_selector(".setup-form")
        assert sorted(fake.names) == sent_names(folder)


def test_a_folder_of_the_computer_itself_is_one_click():
    fake = fresh()
    with looked_at(fake, "#/setup") as tab:
        tab.click("text=hall 2")
        tab.wait_for_selector(".setup-form")
        assert fake.sent[0][2]["names"] == ["hall 2"]
        assert tab.get_attribute("text=hall 2", "aria-pressed") == "true"
        assert tab.input_value(".setup-form [name=machine]") == "pump"


def test_a_fit_that_fails_says_why_and_how_to_go_on():
    fake = fresh()
    fake.fails = "hall 2: 40 recordings, 2 of them can be read; record more"
    with looked_at(fake, "#/setup") as tab:
        tab.click("text=hall 2")
        tab.click(".setup-form .primary")
        tab.wait_for_selector(f"[role=alert]:has-text('{fake.fails}')")
        fake.fails = ""
        tab.click("text=Back to the recordings")
        tab.click(".setup-form .primary")
        tab.wait_for_selector(".setup-listens:has-text('It listens now')")


def test_a_folder_without_recordings_is_told_so(tmp_path):
    (tmp_path / "notes.txt").write_text("normal")
    fake = fresh()
    with looked_at(fake, "#/setup") as tab:
        tab.wait_for_selector(".setup-steps")
        tab.set_input_files("input[webkitdirectory]", tmp_path)
        tab.wait_for_selector(".banner.bad:has-text('.flac')")
        assert fake.names == []


def test_who_may_only_look_changes_nothing():
    fake = fresh()
    fake.role = "reader"
    with looked_at(fake, "#/setup") as tab:
        tab.wait_for_selector(".setup-steps")
        assert tab.locator(".setup-steps button:not([disabled])").count() == 0


@pytest.mark.parametrize(
    ("size", "dark", "language"),
    [(DESK, True, "de-DE"), (PHONE, False, "ja-JP"), (PHONE, True, "de-DE")],
)
def test_it_fits_its_window_in_every_language(size, dark, language):
    fake = fresh()
    with looked_at(fake, "#/setup", size, dark=dark, language=language) as tab:
        tab.wait_for_selector(".setup-steps")
        assert overflow(tab) <= 0
        tab.click(".setup-offered button")
        tab.wait_for_selector(".setup-form")
        assert overflow(tab) <= 0
        until(tab, f"({STEP}).startsWith('3')")
