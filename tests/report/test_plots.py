"""A picture in a page has the page's colours and no names that another has."""

import re
from datetime import datetime

import numpy as np
import pytest

from nearfar.report.plots import COLOURS, WIDE_RANGE, figure, score_axis, spectrogram, styled, svg


def drawing(label="a picture"):
    picture = figure(4, 2)
    with styled():
        axes = picture.subplots()
        for name in COLOURS:
            axes.plot([0, 1], [0, 1], color=COLOURS[name], label=name)
        axes.set_title("a title & more")
    return svg(picture, label)


def test_every_colour_is_a_name_of_the_page():
    text = drawing()
    for name in COLOURS:
        assert f"var(--{name})" in text
    assert "#0101" not in text


def test_text_stays_text_and_says_what_it_shows():
    text = drawing('<b> & "quoted"')
    assert "a title &amp; more" in text
    assert 'role="img"' in text
    assert "<b>" not in text


def test_two_pictures_in_one_page_share_no_names():
    """Only what is defined has a name, and equal names mean equal definitions."""
    page = drawing() + drawing()
    defined = re.findall(r'<(\w+)[^>]* id="([^"]+)"', page)
    assert {tag for tag, _ in defined} <= {"path", "clipPath", "image", "use"}
    assert "<style" not in page
    assert "<metadata" not in page


def test_markers_of_two_pictures_are_each_their_own():
    """The same shape in two pictures would have one name, which a page may have only once."""
    pictures = []
    for high in (1, 2):
        picture = figure(4, 2)
        with styled():
            picture.subplots().plot([0, high], "o", color=COLOURS["near"])
        pictures.append(str(svg(picture, "points")))
    one, other = (set(re.findall(r' id="([^"]+)"', text)) for text in pictures)
    assert one
    assert not one & other
    for text in pictures:  # what is referred to is there
        wanted = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
        assert wanted <= set(re.findall(r' id="([^"]+)"', text))


@pytest.mark.parametrize("year", [1, 2026, 9999])
def test_a_recorder_s_clock_may_be_anything(year):
    from matplotlib.dates import AutoDateLocator

    picture = figure(4, 2)
    with styled():
        axes = picture.subplots()
        axes.xaxis.set_major_locator(AutoDateLocator())
        axes.plot([datetime(2026, 1, 1), datetime(year, 12, 31, 23, 59)], [0, 1])
    assert "<svg" in svg(picture, "times")


def test_the_same_picture_is_the_same_text():
    assert drawing() == drawing()


def test_a_spectrogram_has_its_own_time_and_frequency():
    picture = figure(4, 2)
    with styled():
        axes = picture.subplots()
        spectrogram(axes, np.zeros((8, 20), np.float32), 10.0, (-80.0, 0.0))
    assert axes.get_xlim() == (0.0, 10.0)
    # Slaney's scale: 15 mel at 1 kHz, 27 more up to 6.4 kHz (Auditory Toolbox, 1998).
    named = {
        tick.get_text(): at
        for tick, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)
    }
    assert named["1"] == 15
    assert named["8"] == pytest.approx(axes.get_ylim()[1])


def test_the_colours_of_the_page_all_have_a_value_by_day_and_night():
    from pathlib import Path

    import nearfar.report

    css = (Path(nearfar.report.__file__).parent / "templates" / "page.css").read_text()
    day, night = css.split("prefers-color-scheme: dark", 1)
    for name in COLOURS:
        assert [f"--{name}:" in css for css in (day, night)] == [True, True], name


def test_pictures_need_matplotlib(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(Exception, match=r"nearfar\[report\]"):
        figure(1, 1)


@pytest.mark.parametrize("which", ["x", "y"])
def test_an_axis_of_scores_far_above_the_threshold_has_plain_numbers(which):
    picture = figure(4, 2)
    with styled():
        axes = picture.subplots()
        axes.plot([10, 20_000], [10, 20_000])
        axis = axes.xaxis if which == "x" else axes.yaxis
        assert score_axis(axis, [10, 20_000], 20.0)
    text = svg(picture, "scores")
    for number in (">10<", ">1,000<", ">20,000<"):
        assert number in text


@pytest.mark.parametrize(
    ("values", "threshold"),
    [([], 1.0), ([0.0, 99.0], 1.0), ([-1.0, 99.0], 1.0), ([0.5, WIDE_RANGE], 1.0), ([1.0], 0.0)],
)
def test_other_scores_are_drawn_evenly(values, threshold):
    picture = figure(4, 2)
    axes = picture.subplots()
    assert not score_axis(axes.yaxis, values, threshold)
    assert axes.get_yscale() == "linear"
