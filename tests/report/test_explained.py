"""The page of an explanation: what it says is the explanation's, its sounds play, keys work."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from browser import DESK, PHONE, drawn, opened, overflow, until
from explanations import explanation, tone
from nearfar.clips import Clip
from nearfar.detector.explanation.explanation import Tracks
from nearfar.report.explained import LONGEST, bands_of, shown, write_explanation
from nearfar.report.page import is_page
from nearfar.report.spectrograms import less_usual, levels
from nearfar.scores.verdict import Verdict

EVIL = "<img src=x onerror=alert(1)>&.wav"


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write_explanation(explanation(), tmp_path_factory.mktemp("page") / "clip.html")


def test_it_says_what_the_explanation_says(written):
    assert is_page(written, "explained")
    with opened(written, DESK) as tab:
        text = tab.inner_text("main")
        for words in ("743.10", "612.00", "99 %", "0.012", "2026-01-02", "DIF of both microphones"):
            assert words in text
        rows = tab.locator(".moves li").all_inner_texts()
        # 36 of 52, 16 of 52; the third moved nothing and is no reason.
        assert [("69 %" in rows[0], "31 %" in rows[1]), len(rows)] == [(True, True), 2]
        assert "fell" in rows[1]
        assert tab.locator("details table tbody tr").count() == 3
        assert tab.locator("h2").all_inner_texts()[0] == "Hear it, see it"
        assert drawn(tab) == []


@pytest.mark.parametrize(("size", "dark"), [(DESK, True), (PHONE, False)])
def test_it_fits_the_screen(written, size, dark):
    with opened(written, size, dark=dark) as tab:
        assert overflow(tab) <= 0


def loaded(tab):
    """Every sound of a page has come so far that it can be played."""
    until(tab, "[...document.querySelectorAll('audio')].every(a => a.readyState >= 2 && !a.error)")


def test_all_sounds_load_and_are_as_long_as_the_clip(written):
    with opened(written) as tab:
        loaded(tab)
        lengths = tab.evaluate("[...document.querySelectorAll('audio')].map(a => a.duration)")
        assert lengths == pytest.approx([2.0] * 4, abs=0.01)


def test_the_keyboard_plays_switches_and_seeks(written):
    with opened(written) as tab:
        loaded(tab)
        tab.focus("[data-player]")
        tab.keyboard.press("ArrowRight")
        until(tab, "document.querySelector('audio').currentTime === 1")
        tab.keyboard.press("3")
        assert pressed(tab) == ["what the system heard"]
        # Switched in place: the next sound goes on where the last one was.
        until(tab, "document.querySelectorAll('audio')[2].currentTime === 1")
        tab.keyboard.press("Space")
        until(
            tab,
            "document.querySelectorAll('audio')[2].currentTime > 1"
            " && !document.querySelector('.playhead').hidden",
        )
        others = "[0, 1, 3].every(n => document.querySelectorAll('audio')[n].paused)"
        assert tab.evaluate(others)


def pressed(tab) -> list[str]:
    return tab.locator("button[aria-pressed=true]").all_inner_texts()


@pytest.mark.parametrize(("size", "drawing"), [(DESK, "picture"), (PHONE, "slim")])
@pytest.mark.slow
def test_a_click_on_the_picture_seeks_there(written, size, drawing):
    with opened(written, size) as tab:
        loaded(tab)
        place = tab.locator("[data-follows] svg:visible")
        box, x = place.bounding_box(), shown(explanation())[drawing]
        middle = (x.left + x.right) / 2 * box["width"]
        place.click(position={"x": middle, "y": box["height"] / 8})
        until(tab, "Math.abs(document.querySelector('audio').currentTime - 1) < 0.02")


def test_a_name_with_html_in_it_is_a_name(tmp_path):
    bad = explanation(name=f"pump/{EVIL}", missing=EVIL, sensor=(EVIL,))
    with opened(write_explanation(bad, tmp_path / "c.html")) as tab:
        assert tab.text_content("h1") == f"pump/{EVIL}"
        assert tab.locator("img").count() == 0
        assert EVIL in tab.text_content(".banner")


def test_the_sensor_is_named_before_the_machine(tmp_path):
    odd = explanation(sensor=("both channels are identical", "20 dB quieter"))
    with opened(write_explanation(odd, tmp_path / "c.html")) as tab:
        text = tab.inner_text("main")
        assert text.index("both channels are identical") < text.index("What moved")
        assert tab.locator(".banner.bad li").count() == 2


def test_a_clip_that_was_not_judged_says_why(tmp_path):
    clip = Clip(Path("pump/dead.wav"), machine="pump")
    silent = explanation(
        verdict=Verdict.none(clip, 1.0, "pump/dead.wav: the near channel is digitally silent"),
        shares=(), neighbours=(), movements=(), squared=math.nan, regions=None,
        tracks=Tracks(np.zeros(1600, np.float32)), normal=None,
    )  # fmt: skip
    with opened(write_explanation(silent, tmp_path / "c.html")) as tab:
        assert "not judged" in tab.inner_text("header")
        assert "digitally silent" in tab.inner_text(".banner.bad")
        assert drawn(tab) == []


@pytest.mark.slow
def test_what_cannot_be_heard_is_left_out(tmp_path):
    unread = explanation(tracks=None, normal=None, regions=None, missing="give --normals FOLDER")
    with opened(write_explanation(unread, tmp_path / "c.html")) as tab:
        assert tab.locator("audio").count() == 0
        mono = explanation(tracks=Tracks(tone(440)), normal=None)
    with opened(write_explanation(mono, tmp_path / "d.html")) as tab:
        assert tab.locator("audio").count() == 1


def test_a_louder_tone_is_its_decibels_above_the_usual_spectrum():
    """10 dB more of the same sound is 10 dB of difference, wherever the sound has power."""
    noise = np.random.default_rng(0).normal(size=32_000).astype(np.float32)
    usual, loud = levels(0.01 * noise), levels(np.float32(10**0.5) * 0.01 * noise)
    np.testing.assert_allclose(less_usual(loud, usual) - less_usual(usual, usual), 10.0, atol=1e-3)
    # And the mean of power over time is what it is compared with.
    mean = np.mean(10 ** (less_usual(usual, usual) / 10), axis=1)
    np.testing.assert_allclose(mean, 1.0, rtol=1e-4)


@pytest.mark.slow
def test_an_hour_is_cut_to_its_first_minute_and_that_is_said(tmp_path):
    long = tone(440, LONGEST + 30)
    parts = shown(explanation(tracks=Tracks(long, long)), pictures=False)
    assert [track.seconds for track in parts["tracks"]] == [LONGEST, LONGEST, 2.0]
    place = write_explanation(explanation(tracks=Tracks(long), normal=None), tmp_path / "c.html")
    assert f"first {LONGEST} s" in place.read_text(encoding="utf-8")
    short = write_explanation(explanation(), tmp_path / "d.html").read_text(encoding="utf-8")
    assert "Sounds and pictures are of the first" not in short


def test_a_picture_has_no_more_frames_than_pixels():
    for seconds in (0.1, 10.0, 60.0, 600.0):
        assert levels(tone(440, seconds)).shape[1] <= 901


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_picture_is_whole_on_any_screen(written, size):
    """Nothing of it is to be looked for by scrolling."""
    with opened(written, size) as tab:
        shown_ones = tab.locator("svg:visible")
        for n in range(shown_ones.count()):
            box = shown_ones.nth(n).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]


def test_normal_clips_as_they_are_need_no_word_of_made_rows(tmp_path):
    one = explanation()
    plain = explanation(neighbours=tuple(replace(n, made=False) for n in one.neighbours))
    text = write_explanation(plain, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "nriched" not in text


@pytest.mark.slow
def test_the_bands_of_what_moved_most_are_marked(tmp_path):
    first, *others = explanation().movements
    one = explanation(movements=(replace(first, band=(1000.0, 2000.0)), *others))
    assert bands_of(one) == [(1000.0, 2000.0)]  # of the others none is told
    text = write_explanation(one, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "bands of what moved most" in text
    without = write_explanation(explanation(movements=(), squared=math.nan), tmp_path / "d.html")
    assert "bands of what moved most" not in without.read_text(encoding="utf-8")
