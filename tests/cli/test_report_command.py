"""The command report: a page at the end, or one line that says why not."""

import json
import sys

import numpy as np
import pytest

from browser import drawn, opened
from command import failed
from conftest import machine_sound, write


@pytest.fixture(scope="module")
def hall(tmp_path_factory):
    """A folder of recordings of one machine, with times, one of them without a far channel."""
    root = tmp_path_factory.mktemp("hall") / "fan"
    rng = np.random.default_rng(3)
    for n in range(4):
        sound = machine_sound(rng, anomaly=n == 3)
        write(root / f"2026061{n}_080000.wav", sound)
    write(root / "20260616_080000.wav", machine_sound(rng)[:1])
    return root


@pytest.mark.slow
def test_a_page_with_players_that_load(run, dcase, detector_folder, tmp_path):
    place = tmp_path / "r.html"
    code, out, err = run("report", detector_folder, dcase, "-o", place, "--explain", "1")
    assert code == 0, err
    assert "Ω = " in out
    assert out.endswith(f"wrote {place}\n")
    with opened(place) as tab:
        assert drawn(tab) == []
        assert tab.locator("article.card").count() == 2
        tab.wait_for_function(
            "[...document.querySelectorAll('audio')].every(a => a.readyState > 0 && a.duration > 1)"
        )
        first = tab.locator("table a").first
        first.click()
        assert tab.locator(first.get_attribute("href")).is_visible()


def test_recordings_without_labels_in_days(run, hall, detector_folder, tmp_path):
    place = tmp_path / "r.html"
    failed(run("report", detector_folder, hall, "-o", place), "20260616_080000.wav")
    assert not place.exists()
    code, out, err = run("report", detector_folder, hall, "-o", place, "--skip-bad")
    assert code == 0
    assert "1 not judged" in out
    assert "20260616_080000.wav" in err
    text = place.read_text(encoding="utf-8")
    assert "2026-06-13" in text
    assert "No AUC and no Ω" in text
    assert "1 channel, need 2" in text


@pytest.mark.slow
def test_the_first_lasting_alarm_is_told_and_explained_first(run, hall, detector_folder, tmp_path):
    """Above a threshold so low that every clip is: the second of two in a row raises the alarm."""
    place = tmp_path / "r.html"
    code, out, _ = run("report", detector_folder, hall, "-o", place, "--skip-bad", "--explain", "1",
                       "--alarm", "2/2", "--false-alarm-rate", "0.9")  # fmt: skip
    assert code == 0
    assert "first lasting alarm 2026-06-11 08:00" in out
    with opened(place) as tab:
        card = tab.locator("article.card")
        assert card.count() == 1
        assert "20260611_080000" in card.inner_text()
        assert "raised the first lasting alarm" in card.inner_text()
        tab.locator("header a", has_text="Why").click()


def test_long_recordings_are_cut_and_summed_up(run, detector_folder, tmp_path):
    rng = np.random.default_rng(5)
    write(tmp_path / "fan" / "night.wav", machine_sound(rng, seconds=9))
    place = tmp_path / "r.html"
    code, _, err = run("report", detector_folder, tmp_path / "fan", "-o", place,
                       "--clip-seconds", "1.5", "--explain", "0")  # fmt: skip
    assert code == 0, err
    assert "worst minutes of fan/night.wav" in place.read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_result_is_held_beside_it(run, dcase, detector_folder, tmp_path):
    other = tmp_path / "other.json"
    assert run("score", detector_folder, dcase / "fan" / "test", dcase / "pump" / "test", "--json",
               other)[0] == 0  # fmt: skip
    place = tmp_path / "r.html"
    code, _, err = run("report", detector_folder, dcase, "--compare", other, "-o", place,
                       "--explain", "0")  # fmt: skip
    assert code == 0, err
    text = place.read_text(encoding="utf-8")
    assert "Compared with other" in text
    assert "Paired" in text


@pytest.mark.slow
def test_what_is_not_comparable_is_warned_of_and_the_page_is_there(
    run, hall, dcase, detector_folder, tmp_path
):
    other, place = tmp_path / "e.json", tmp_path / "r.html"
    assert (
        run("evaluate", dcase, "--detector", detector_folder, "--no-floor", "--json", other)[0] == 0
    )
    code, _, err = run("report", detector_folder, hall, "--skip-bad", "--compare", other, "-o",
                       place, "--explain", "0")  # fmt: skip
    assert code == 0
    assert "not compared" in err
    assert "Not compared" in place.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_page_of_ours_is_replaced_and_nothing_else(run, hall, detector_folder, tmp_path):
    place = tmp_path / "r.html"
    once = ("report", detector_folder, hall, "-o", place, "--skip-bad", "--explain", "0")
    assert run(*once)[0] == 0
    assert run(*once)[0] == 0
    place.write_text("<!doctype html>\n<title>mine</title>\n", encoding="utf-8")
    failed(run(*once), "r.html", "--replace")
    assert "mine" in place.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("{det}", "{hall}", "-o", "{tmp}/r.txt"), ("r.txt", ".html")),
        (("{det}", "{hall}", "-o", "{tmp}/none/r.html"), ("none", "cannot be written")),
        (("{det}", "{tmp}/gone", "-o", "{tmp}/r.html"), ("gone", "no such file or folder")),
        (("{tmp}/gone", "{hall}", "-o", "{tmp}/r.html"), ("gone",)),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--machine", "bus"), ("'bus'", "fan, pump")),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--compare", "{tmp}/gone"), ("gone",)),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--truth", "{tmp}/gone"), ("gone",)),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--false-alarm-rate", "2"), ("2",)),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--near", "1"), ("--far",)),
        (("{det}", "{hall}", "-o", "{tmp}/r.html", "--alarm", "6/5"), ("6/5", "k/n")),
    ],
)
def test_bad_input_is_one_line_before_anything_is_heard(
    run, hall, detector_folder, tmp_path, arguments, words
):
    known = {"det": detector_folder, "hall": hall, "tmp": tmp_path}
    failed(run("report", *(a.format(**known) for a in arguments)), *words)
    assert not list(tmp_path.iterdir())


def test_a_json_that_is_no_result_is_one_line(run, hall, detector_folder, tmp_path):
    other = tmp_path / "o.json"
    other.write_text(json.dumps({"omega": 1}), encoding="utf-8")
    failed(run("report", detector_folder, hall, "-o", tmp_path / "r.html", "--compare", other),
           "o.json", "evaluate --json")  # fmt: skip


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_package_is_told_before_anything_is_heard(
    run, hall, detector_folder, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    line = failed(run("report", detector_folder, hall, "-o", tmp_path / "r.html"))
    assert line.endswith("pip install 'nearfar[report]', or '.[report]' in its folder")
