"""The page of scores over time, in a real browser: marks, words, tables, names that are HTML."""

import html
import re
import shlex
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import nearfar as nf
from browser import DESK, PHONE, drawn, opened, overflow
from nearfar.detector.explanation.recordings import span_of
from nearfar.report import timeline
from nearfar.report.page import is_page
from nearfar.report.timeline import write_timeline
from nearfar.scores.alarms import AlarmRule, histories
from nearfar.scores.verdict import Verdict
from nearfar.scoring.calibrate import Threshold

EVIL = "<img src=x onerror=alert(1)>&\"'"


class Promised:
    """A detector whose thresholds were drawn from so many clips."""

    def threshold(self, machine, section="00"):
        return Threshold(1.0, 0.05, 119)


def verdict(hour, score, machine="pump", domain=None, threshold=1.0, time=True):
    clip = nf.Clip(
        Path(f"{machine}/{hour:04d}.wav"), machine=machine, domain=domain,
        time=datetime(2026, 3, 2) + timedelta(hours=hour) if time else None,
    )  # fmt: skip
    if score is None:
        return Verdict.none(clip, threshold, "far is silent")
    return Verdict(clip, score, 0.5, threshold, "a.wav")


def page(place, verdicts, rule=AlarmRule(3, 5)):  # noqa: B008 - it never changes
    return write_timeline(place / "t.html", histories(verdicts, rule), rule, Promised(), "det")


COURSE = [0.4, 0.5, 2.0, None, 0.3, *[0.5] * 20, 2.0, 3.0, 9.0, 0.5, 30.0]
SIX = [verdict(hour, score) for hour, score in enumerate(COURSE)]


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)])
def test_the_page_opens_and_shows_every_recording(tmp_path, size, dark):
    place = page(tmp_path, SIX)
    assert is_page(place, "timeline")
    with opened(place, size, dark=dark) as tab:
        assert drawn(tab) == []
        assert overflow(tab) <= 0
        assert tab.locator("svg g > title").count() == len(COURSE)
        # Not links: a page leads nowhere outside of itself.
        assert tab.locator("svg a").count() == 0
        assert "First lasting alarm: 2026-03-03 03:00" in tab.text_content("main")
        assert "1 not judged" in tab.text_content("main")
        rows = tab.locator("tbody tr")
        assert rows.count() == 1
        assert "30.0" in rows.first.text_content()


def test_what_a_point_says_is_of_that_point(tmp_path):
    """Points of one height in the picture stand in the order of their times."""
    place = page(tmp_path, SIX)
    with opened(place) as tab:
        found = tab.evaluate(
            """[...document.querySelectorAll('svg g > title')].map(t => {
                 const box = t.parentElement.getBoundingClientRect();
                 return [t.textContent, box.x + box.width / 2, box.y + box.height / 2]; })"""
        )
    found.sort(key=lambda point: point[1])
    times = [words.split(";")[0] for words, _, _ in found]
    assert times == sorted(times)
    judged = [(words, y) for words, _, y in found if "score" in words]
    scores = [float(re.search(r"score ([\d.]+)", words)[1]) for words, _ in judged]
    by_height = [s for _, s in sorted(zip([-y for _, y in judged], scores, strict=True))]
    assert by_height == pytest.approx(sorted(scores), abs=0.2)


def test_a_name_with_html_in_it_is_shown_and_not_obeyed(tmp_path):
    verdicts = [verdict(hour, score, EVIL) for hour, score in enumerate(COURSE)]
    place = page(tmp_path, verdicts)
    with opened(place) as tab:
        assert tab.locator("img").count() == 0
        assert EVIL in tab.title()
        assert EVIL in tab.locator("svg g > title").first.text_content()


@pytest.mark.slow
def test_many_machines_have_a_table_that_leads_to_each(tmp_path):
    calm = [verdict(hour, 0.5, "calm") for hour in range(9)]
    place = page(tmp_path, [*calm, *SIX])
    with opened(place) as tab:
        assert tab.locator("section").count() == 2
        links = tab.locator("tbody a")
        assert [links.nth(n).text_content() for n in range(2)] == ["pump", "calm"]  # alarms first
        for n in range(2):
            target = links.nth(n).get_attribute("href")
            assert tab.locator(target).count() == 1
        assert "No lasting alarm" in tab.text_content("main")


def test_domains_have_marks_and_thresholds_of_their_own(tmp_path):
    verdicts = [
        verdict(hour, 0.5, domain=domain, threshold=threshold)
        for hour, (domain, threshold) in enumerate([("source", 1.0), ("target", 2.0)] * 4)
    ]
    text = page(tmp_path, verdicts).read_text(encoding="utf-8")
    for said in ("threshold source 1.00", "threshold target 2.00", "below the threshold, target"):
        assert said in text


def test_where_no_time_is_known_recordings_are_in_the_order_of_names(tmp_path):
    verdicts = [verdict(hour, 0.5, time=False) for hour in range(9)]
    text = page(tmp_path, verdicts).read_text(encoding="utf-8")
    assert "order of their names" in text


@pytest.mark.parametrize("scores", [[None, None], [0.0], [-3.0, 5.0, 5.0, 5.0], [1e-9, 1e9]])
def test_any_scores_make_a_page(tmp_path, scores):
    verdicts = [verdict(hour, score) for hour, score in enumerate(scores)]
    with opened(page(tmp_path, verdicts)) as tab:
        assert drawn(tab) == []


def test_a_long_time_is_drawn_with_its_highest_recordings(tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "MOST", 50)
    monkeypatch.setattr(timeline, "FEWEST", 50)
    verdicts = [verdict(hour, 0.5 + hour % 7 / 100) for hour in range(1000)]
    verdicts[613] = verdict(613, 77.0)
    text = page(tmp_path, verdicts).read_text(encoding="utf-8")
    assert text.count("<title>") == 1 + 50  # of the page and of its points
    assert "score 77.00" in text
    assert "highest of up to 20 recordings" in text


@pytest.mark.slow
def test_why_is_asked_of_the_part_that_raised_the_alarm(tmp_path):
    """Of one long recording each part is a clip: the command must name it and no other."""
    parts = [
        replace(said, clip=replace(said.clip, path=Path("hall/a day.wav"),
                                   start=6.0 * n, stop=6.0 * n + 6))
        for n, said in enumerate(SIX)
    ]  # fmt: skip
    text = html.unescape(page(tmp_path, parts).read_text(encoding="utf-8"))
    (command,) = re.findall(r"nearfar explain .*?(?=</code>)", text)
    path, start, stop = span_of(shlex.split(command)[3])
    (history,) = histories(parts, AlarmRule(3, 5))
    raised = history.verdicts[history.spells[0].first].clip
    assert (Path(path), start, stop) == (raised.path, raised.start, raised.stop)
    assert f"with which the alarm was raised, {history.when(history.spells[0].first)}," in text


def test_what_the_threshold_promises_is_told(tmp_path):
    text = page(tmp_path, SIX).read_text(encoding="utf-8")
    assert "at most about 5 %" in text
    assert "once in 860" in text  # 1 / (10·0.05³·0.95² + 5·0.05⁴·0.95 + 0.05⁵)


def test_recordings_of_several_zones_stand_in_the_order_in_which_they_were_made(tmp_path):
    """By their own clocks 08:15 would come first; it is the second, after 10:00 in summer time."""
    times = ("2026-03-01T10:00+02:00", "2026-03-01T08:15+00:00", "2026-03-01T09:30+00:00")
    verdicts = [
        replace(one, clip=replace(one.clip, time=datetime.fromisoformat(time)))
        for one, time in zip([verdict(hour, 2.0) for hour in range(3)], times, strict=True)
    ]
    place = page(tmp_path, verdicts, AlarmRule(2, 3))
    with opened(place) as tab:
        found = tab.evaluate(
            """[...document.querySelectorAll('svg g > title')].map(t =>
                 [t.parentElement.getBoundingClientRect().x, t.textContent.split(';')[0]])"""
        )
    assert [words[11:16] for _, words in sorted(found)] == ["10:00", "08:15", "09:30"]
    assert "UTC+02:00" in place.read_text(encoding="utf-8")
