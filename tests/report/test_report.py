"""The page: its numbers, its size, what it may not show, and how it looks to a browser."""

import html
import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import PHONE, drawn, opened, overflow
from conftest import first_quick
from nearfar.report.anchors import load
from nearfar.report.cards import BYTES
from nearfar.report.contents import gather
from nearfar.report.page import is_page
from nearfar.report.report import DRAWN, About, drawn_panels, headline, write_report
from nearfar.report.tables import alarms_table
from nearfar.scores.alarms import AlarmRule
from nearfar.scores.verdict import Scores
from reports import judged, official, plant

EVIL = "<img src=x onerror=alert(1)>&\"'"


class Texts(HTMLParser):
    """Cells of each table by its name, and all tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self._cell = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        if given.get("role") == "region":
            self._rows = self.tables.setdefault(given["aria-label"], [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
            self._cell = self._rows[-1]

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell[-1] = (self._cell[-1] + data).strip()


def page(tmp_path, run, **given):
    place = tmp_path / "r.html"
    write_report(place, gather(run, **given), (), About("nearfar report d x", data="x"))
    return place, place.read_text(encoding="utf-8")


@pytest.mark.slow
def test_figures_are_those_that_evaluate_writes(run, dcase, detector_folder, tmp_path):
    code, _, err = run("evaluate", dcase, "--detector", detector_folder, "--no-floor", "--json",
                       tmp_path / "e.json")  # fmt: skip
    assert code == 0, err
    place = tmp_path / "r.html"
    assert run("report", detector_folder, dcase, "-o", place, "--explain", "0")[0] == 0
    wanted = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    text = place.read_text(encoding="utf-8")
    table = Texts(text).tables["figures of each machine, in per cent"]
    for row in table[1:]:
        numbers = [
            wanted["table"][figure]["harmonic" if row[0] == "all" else "machines"]
            for figure in ("auc_source", "auc_target", "pauc", "total")
        ]
        values = [n if row[0] == "all" else n[row[0]] for n in numbers]
        assert row[1:5] == [f"{100 * v:.2f}" for v in values]
    assert [row[0] for row in table[1:]] == ["fan", "pump", "all"]
    if wanted["interval"]:
        assert table[-1][5] == "–".join(f"{100 * v:.2f}" for v in wanted["interval"])
    assert f"{100 * wanted['omega']:.2f} %" in text


def test_published_numbers_are_never_beside_simulated_ones(tmp_path):
    clips = official("fan")
    titles = {a.system for a in load().systems}
    _, real = page(tmp_path, judged(clips))
    assert titles <= {row[0] for row in Texts(real).tables["published systems"]}
    _, made = page(tmp_path, judged(clips, simulated="SIMULATED v1 seed 0"))
    assert "published systems" not in Texts(made).tables
    assert "upright lines: published" not in made
    assert "SIMULATED v1 seed 0" in made


@pytest.mark.parametrize("machines", first_quick([1, 7]))
@pytest.mark.slow
def test_fourteen_hundred_clips_stay_small(tmp_path, machines):
    """Without sounds, which have their own bound: both together stay below 15 MB."""
    clips = [clip for machine in load().machines[:machines] for clip in official(machine)]
    assert len(clips) == 200 * machines
    place, _ = page(tmp_path, judged(clips, bank=1000))
    assert 7 / machines * place.stat().st_size + BYTES < 15_000_000


def test_names_with_html_in_them_are_shown_and_not_obeyed(tmp_path):
    clips = [replace(clip, path=Path(f"hall/{EVIL}/{n}{EVIL}.wav"), machine=EVIL)
             for n, clip in enumerate(plant(count=6))]  # fmt: skip
    place, text = page(tmp_path, judged(clips, silent=(2,)))
    assert "img" not in Texts(text).tags
    assert html.escape(EVIL, quote=False) in html.unescape(text) or EVIL in html.unescape(text)
    with opened(place) as tab:
        assert tab.text_content("h3.machine") == EVIL


def test_it_is_known_as_ours_again(tmp_path):
    place, _ = page(tmp_path, judged(plant(count=3)))
    assert is_page(place, "report")
    assert not is_page(place, "timeline")


@pytest.mark.parametrize(
    "kind", ["labelled", pytest.param("plant", marks=pytest.mark.slow), "silent"]
)
def test_it_is_whole_on_a_desk_and_on_a_phone(tmp_path, kind):
    runs = {
        "labelled": lambda: judged([*official("fan", 5), *official("pump", 5)], silent=(1,)),
        "plant": lambda: judged(plant(count=30)),
        "silent": lambda: judged(plant(count=2), silent=(0, 1)),
    }
    place, _ = page(tmp_path, runs[kind]())
    with opened(place) as tab:
        assert drawn(tab) == []
        assert overflow(tab) <= 0
        for link in tab.eval_on_selector_all("a[href^='#']", "all => all.map(a => a.hash)"):
            assert tab.query_selector(link), link
    with opened(place, PHONE, dark=True) as tab:
        assert overflow(tab) <= 0
        assert drawn(tab) == []


def test_of_a_whole_plant_those_with_most_alarms_are_drawn(tmp_path):
    clips = [clip for n in range(DRAWN + 2) for clip in plant(f"pump{n:02d}", 2)]
    run = judged(clips, bank=4, scores=[9.0] * (2 * DRAWN) + [0.0] * 4)
    assert [p.name for p in drawn_panels(gather(run))] == [f"pump{n:02d}" for n in range(DRAWN)]
    assert len(alarms_table(gather(run)).rows) == DRAWN + 2


def test_every_picture_has_words(tmp_path):
    _, text = page(tmp_path, judged(official("fan", 3)))
    pictures = re.findall(r"<svg [^>]*>", text)
    # The overview is there twice, for a desk and for a phone, in the same words.
    assert len({re.search('aria-label="[^"]*"', one)[0] for one in pictures}) == 4
    assert all(re.search(r'role="img" aria-label="[^"]{30,}"', one) for one in pictures)


def test_the_first_numbers_are_omega_or_alarms():
    assert headline(gather(judged(official("fan", 3))))[0][0] == "Ω of 1 machine"
    names = [name for name, _, _ in headline(gather(judged(plant(count=3))))]
    assert names[0] == "anomalous by the threshold"
    assert "recorded" in names


def test_what_made_it_is_told(tmp_path):
    _, text = page(tmp_path, judged(official("fan", 3)))
    for word in ("nearfar report d x", "sha256 of the scores", "LogMel", "seed 0, 2,000 draws"):
        assert word in text


def test_the_first_lasting_alarm_is_told_at_the_top(tmp_path):
    run = judged(plant(count=6), scores=[0.0, 9.0, 9.0, 9.0, 0.0, 0.0])
    _, text = page(tmp_path, run, alarm=AlarmRule(2, 2))
    # From 08:00 every three hours: the second of two in a row is the third recording.
    assert "First lasting alarm: 2026-06-15 14:00" in text
    assert text.index("First lasting alarm") < text.index('id="machines"')
    _, calm = page(tmp_path, run, alarm=AlarmRule(4, 4))
    assert "No lasting alarm" in calm
    _, untimed = page(tmp_path, judged(official("fan", 3)))
    assert "lasting alarm" not in untimed


def test_verdicts_that_are_to_be_doubted_are_told_before_the_numbers(tmp_path):
    run = judged(plant(count=4))
    warned = [replace(v, warning="the detector was fitted on it") if n < 2 else v
              for n, v in enumerate(run.scores)]  # fmt: skip
    _, text = page(tmp_path, replace(run, scores=Scores(warned)))
    assert "2 of 4 verdicts come with a doubt" in text
    assert text.index("come with a doubt") < text.index('id="machines"')


def test_recorders_in_several_zones_are_told_on_one_clock():
    early, late = (
        datetime.fromisoformat(f"2026-03-01T{t}") for t in ("10:00+02:00", "09:30+00:00")
    )
    clips = [replace(c, time=t) for c, t in zip(plant(count=2), (early, late), strict=True)]
    told = {name: note for name, _, note in headline(gather(judged(clips)))}
    assert told["recorded"] == "10:00 to 11:30"
